"""The proxy starts with its own dependencies alone: what it imports is not there by a test's grace."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]

IMPORTING = "import sys, addons.cli.serve, addons.cli.run_command; print(*{name.split('.')[0] for name in sys.modules})"

TRIED = {"sniffio"}
"""Imported where it happens to be installed, and done without where not."""


def _needed(wanted: Iterable[str], extras: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    for line in wanted:
        found = Requirement(line)
        if found.marker is None or any(found.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield canonicalize_name(found.name), frozenset(found.extras)


def _closure(wanted: Iterable[str]) -> set[str]:
    """The distributions that installing `wanted` brings, those of the extras named on the way included."""
    waiting, seen = list(_needed(wanted)), set[tuple[str, frozenset[str]]]()
    while waiting:
        name, extras = one = waiting.pop()
        if one not in seen:
            seen.add(one)
            try:
                waiting += _needed(requires(name) or (), extras)
            except PackageNotFoundError:
                continue
    return {name for name, _ in seen}


def test_all_that_is_imported_is_declared() -> None:
    declared = _closure(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    printed = subprocess.run([sys.executable, "-c", IMPORTING], cwd=ROOT, capture_output=True, text=True, check=True)
    owners = packages_distributions()
    imported = {canonicalize_name(name) for module in printed.stdout.split() for name in owners.get(module, ())}
    assert "mitmproxy" in imported
    assert imported - declared <= TRIED
