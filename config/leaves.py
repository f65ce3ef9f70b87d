"""The single settings as names, flags, variables and rows of a table."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from config.errors import ConfigError, did_you_mean
from config.quantities import format_duration, format_size
from config.settings import Section, Settings
from config.store_url import masked

PREFIX = "WIRETAPE_"
DESTINATION = "setting:"
"""What the names of our flags start with in an argparse.Namespace, to stay clear of a verb's own."""
CONFIG = "config"
"""The flag and variable that name the YAML file; not a setting itself."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting: `name` is dotted (`upstream.ca_file`)."""

    name: str
    field: FieldInfo

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper().replace(".", "__")

    @property
    def description(self) -> str:
        """What it means, in one sentence."""
        return self.field.description or ""

    @property
    def default(self) -> str:
        """The default as one would type it."""
        return self.shown(self.field.get_default(call_default_factory=True))

    @property
    def optional(self) -> bool:
        """Whether it may be unset."""
        return type(None) in get_args(self.field.annotation)

    @property
    def file_only(self) -> bool:
        """Whether it is too rich for a flag or a variable."""
        return get_origin(self.field.annotation) is Mapping

    @property
    def placeholder(self) -> str:
        """What stands for its value in a help text."""
        kinds = self._kinds()
        if literals := [str(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]:
            return "{" + ",".join(literals) + "}"
        if float in kinds:
            return "DURATION"
        if int in kinds:
            return "SIZE" if self.name.endswith("_bytes") else "NUMBER"
        return "PATH" if Path in kinds else "LIST" if self._is_list else "TEXT"

    def shown(self, value: Any) -> str:
        """`value` as one would type it, without a password."""
        if value is None:
            return "none"
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, tuple | Mapping):
            return ",".join(value) or "none"
        if isinstance(value, float):
            return format_duration(value)
        if isinstance(value, int) and self.name.endswith("_bytes"):
            return format_size(value)
        return masked(str(value))

    @property
    def _is_list(self) -> bool:
        return get_origin(self.field.annotation) is tuple

    def _kinds(self) -> list[Any]:
        """The plain types its value may have, None and annotations aside."""
        annotation = self.field.annotation
        members = get_args(annotation) if self.optional else (annotation,)
        return [member.__origin__ if hasattr(member, "__metadata__") else member for member in members]


@cache
def leaves() -> Mapping[str, Leaf]:
    """All settings by dotted name, in the order of their declaration."""
    return {leaf.name: leaf for leaf in _leaves(Settings, "")}


@cache
def sections() -> frozenset[str]:
    """Dotted names of the groups that hold settings."""
    return frozenset(name.rpartition(".")[0] for name in leaves()) - {""}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give `parser` a flag for every setting, and `--config`; what is not typed leaves no trace in the namespace."""
    group, suppress = parser.add_argument_group("settings"), argparse.SUPPRESS
    group.add_argument(
        f"--{CONFIG}", metavar="PATH", dest=DESTINATION + CONFIG, default=suppress, help="The YAML file with settings."
    )
    for leaf in leaves().values():
        if leaf.file_only:
            continue
        destination = DESTINATION + leaf.name
        text = f"{leaf.description} Default: {leaf.default or 'empty'}.".replace("%", "%%")
        if leaf.field.annotation is bool:
            action = argparse.BooleanOptionalAction
            group.add_argument(leaf.flag, action=action, dest=destination, default=suppress, help=text)
        else:
            group.add_argument(leaf.flag, metavar=leaf.placeholder, dest=destination, default=suppress, help=text)


def unknown_flag(argument: str, others: Iterable[str] = ()) -> ConfigError:
    """The error for a word of the command line nobody knows; `others` are the verb's own flags."""
    flag = argument.partition("=")[0]
    known = [leaf.flag for leaf in leaves().values() if not leaf.file_only] + [f"--{CONFIG}", *others]
    return ConfigError(f"{flag}: unknown argument{did_you_mean(flag, known) or '; --help lists all'}")


def settings_table() -> str:
    """All settings as a Markdown table: name, default, meaning."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for leaf in leaves().values():
        default = f"`{leaf.default}`" if leaf.default else "empty"
        rows.append(f"| `{leaf.name}` | {default} | {leaf.description} |")
    return "\n".join(rows) + "\n"


def _leaves(model: type[Section], prefix: str) -> Iterable[Leaf]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            yield from _leaves(annotation, f"{prefix}{name}.")
        else:
            yield Leaf(prefix + name, field)
