"""Settings put together: command line before environment before YAML file before default."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.errors import ConfigError, did_you_mean
from config.leaves import CONFIG, DESTINATION, PREFIX, leaves, sections
from config.provider_block import ProviderBlock
from config.settings import Settings
from config.yaml_file import YamlFile, read_yaml

FILE_NAME = "wiretape.yaml"
_UNSET = ("", "none", "null", "~")
"""How text says that an optional setting is not set."""


class Row(NamedTuple):
    """One setting as the `settings` verb lists it."""

    name: str
    value: str
    source: str
    description: str


class _Given(NamedTuple):
    """A value somebody gave: where from, and how they wrote it without the value (`--port`)."""

    value: Any
    source: str
    written: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and where each came from.

    `sources` has for every dotted name `command line`, `environment WIRETAPE_X`, the path of the
    YAML file, or `default`. `file` is the YAML file read, if any.
    """

    settings: Settings
    sources: Mapping[str, str]
    file: Path | None = None

    def rows(self) -> list[Row]:
        """All settings in the order of their declaration, passwords masked."""
        return [
            Row(name, leaf.shown(_member(self.settings, name)), self.sources[name], leaf.description)
            for name, leaf in leaves().items()
        ]


def load(
    flags: argparse.Namespace | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Loaded:
    """The settings for this start.

    `flags` is what a parser with `add_flags` returned, `environ` and `cwd` are those of the process
    unless given. Raises ConfigError, one line, for unknown names, impossible values, and a file
    that is broken or, when asked for by name, missing.
    """
    environ = os.environ if environ is None else environ
    folder = Path.cwd() if cwd is None else cwd
    typed, exported = _from_flags(flags), _from_environment(environ)
    file = _file(typed, exported, folder)
    given = (_from_file(file) if file else {}) | exported | typed
    given.pop(CONFIG, None)
    tree: dict[str, Any] = {}
    for name, item in given.items():
        unset = leaves()[name].optional and isinstance(item.value, str) and item.value.strip() in _UNSET
        _plant(tree, name, None if unset else item.value)
    try:
        settings = Settings.model_validate(tree, context={"folder": folder})
    except ValidationError as error:
        # A misspelt name comes with a missing one: the misspelling is what to tell.
        details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] == "missing")
        raise _explained(details[0], given, file) from None
    sources = {name: given[name].source if name in given else "default" for name in leaves()}
    return Loaded(settings, sources, file.path if file else None)


def _from_flags(flags: argparse.Namespace | None) -> dict[str, _Given]:
    given = {}
    for destination, value in vars(flags or argparse.Namespace()).items():
        if destination.startswith(DESTINATION):
            name = destination.removeprefix(DESTINATION)
            given[name] = _Given(value, "command line", "--" + name.replace("_", "-"))
    return given


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    known = {leaf.variable: leaf.name for leaf in leaves().values()} | {PREFIX + CONFIG.upper(): CONFIG}
    given = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = known.get(variable)
        if name is None:
            raise ConfigError(f"environment: {variable} is no setting{_advice(variable, known, 'unset it')}")
        if name != CONFIG and leaves()[name].file_only:
            raise ConfigError(f"environment: {variable} cannot be set here; write {name} into {FILE_NAME}")
        given[name] = _Given(value, f"environment {variable}", variable)
    return given


def _file(typed: Mapping[str, _Given], exported: Mapping[str, _Given], folder: Path) -> YamlFile | None:
    """The YAML file asked for by name, else the first of its two usual places where there is one."""
    wanted = typed.get(CONFIG) or exported.get(CONFIG)
    if wanted:
        path = folder / Path(wanted.value).expanduser()
        if not path.is_file():
            raise ConfigError(f"{wanted.written}={wanted.value}: there is no such file; give the path of a YAML file")
        return read_yaml(path)
    home = typed.get("home") or exported.get("home")
    at_home = folder / Path(home.value if home else Settings.model_fields["home"].default).expanduser()
    for path in (folder / FILE_NAME, at_home / FILE_NAME):
        if path.exists():
            return read_yaml(path)
    return None


def _from_file(file: YamlFile) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    for keys, value in _settings_in(file, file.content, ()):
        name = ".".join(keys)
        if name in given:
            raise ConfigError(f"{file.where(keys)}: {name} is given twice, nested and with dots")
        given[name] = _Given(value, str(file.path), f"{file.where(keys)}: {name}")
    return given


def _settings_in(
    file: YamlFile, content: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in content.items():
        keys = (*above, key)
        name = ".".join(keys)
        if name in leaves():
            yield keys, value
        elif name not in sections():
            raise ConfigError(f"{file.where(keys)}: {name} is no setting{_advice(name, leaves(), 'remove it')}")
        elif isinstance(value, Mapping):
            yield from _settings_in(file, value, keys)
        elif value not in _UNSET:
            raise ConfigError(f"{file.where(keys)}: {name} must hold settings of its own, one per line below it")


def _advice(name: str, known: Mapping[str, Any], otherwise: str) -> str:
    return did_you_mean(name, known) or f"; {otherwise}, `settings` lists all"


def _plant(tree: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = value


def _member(settings: Settings, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


_PLAINER = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "missing": "is missing",
    "tuple_type": "must be a list",
    "dict_type": "must hold `name: value` lines",
    "model_type": "must hold `name: value` lines",
}


def _explained(detail: ErrorDetails, given: Mapping[str, _Given], file: YamlFile | None) -> ConfigError:
    """pydantic's account of one wrong value as our one line: as written, what is wrong, what would be right."""
    keys = [str(key) for key in detail["loc"]]
    name = next(name for length in range(len(keys), 0, -1) if (name := ".".join(keys[:length])) in leaves())
    item = given[name]
    if detail["type"] == "extra_forbidden":
        # Its value is not shown: what stands under an unknown name may be a key.
        advice = did_you_mean(keys[-1], ProviderBlock.model_fields) or "; remove it"
        return ConfigError(f"{file.where(keys) if file else item.written}: {'.'.join(keys)} is not known{advice}")
    what = _PLAINER.get(detail["type"]) or detail["msg"].removeprefix("Value error, ").replace("Input should", "must")
    if file is not None and item.source == str(file.path):
        return ConfigError(f"{file.where(keys)}: {'.'.join(keys)}{_quoted(name, detail['input'], ': ')}: {what}")
    return ConfigError(f"{item.written}{_quoted(name, item.value, '=')}: {name} {what}")


def _quoted(name: str, value: Any, joint: str) -> str:
    """The value as it was typed, shortened; nothing for a store, whose URL may hold a password."""
    if name == "store" or not isinstance(value, str):
        return ""
    return joint + (value if len(value) <= 60 else value[:60] + "…")
