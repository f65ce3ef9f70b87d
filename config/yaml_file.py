"""A YAML file read as text: every scalar is the string that was typed, every key has its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError


@dataclass(frozen=True, slots=True)
class YamlFile:
    """A parsed file: its path, its mapping and the line (from 1) of every key by the keys leading to it."""

    path: Path
    content: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def where(self, keys: Sequence[str]) -> str:
        """`PATH, line N` of a key, or of the nearest key above it that has a line."""
        for length in range(len(keys), 0, -1):
            if (line := self.lines.get(tuple(keys[:length]))) is not None:
                return f"{self.path}, line {line}"
        return str(self.path)


class _TextLoader(yaml.SafeLoader):
    """Reads plain scalars as text, as the environment does: YAML 1.1 would make `mode: off` a boolean."""


_TextLoader.yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile("<<$"))]}


def read_yaml(path: Path) -> YamlFile:
    """Read a file whose top is a mapping (or nothing).

    Raises ConfigError with file and line for a file that cannot be read, broken YAML, keys that are
    given twice, keys that are not text and any other top than a mapping.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    loader = _TextLoader(text)
    try:
        node = loader.get_single_node()
        lines: dict[tuple[str, ...], int] = {}
        _walk(path, node, (), lines, set())
        content = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        # The error's own text shows the line itself, which may hold a password.
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None
    finally:
        loader.dispose()
    if content == "":
        content = {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold `name: value` lines, not a {type(content).__name__}")
    return YamlFile(path, content, lines)


def _walk(
    path: Path, node: yaml.Node | None, keys: tuple[str, ...], lines: dict[tuple[str, ...], int], seen: set[int]
) -> None:
    """Note the line of every key and refuse the ones YAML would silently merge or misread."""
    if not isinstance(node, yaml.MappingNode) or id(node) in seen:
        return
    seen.add(id(node))
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{path}, line {line}: a name must be plain text")
        below = (*keys, key.value)
        if below in lines:
            raise ConfigError(f"{path}, line {line}: {key.value} is given twice (first in line {lines[below]})")
        lines[below] = line
        _walk(path, value, below, lines, seen)
