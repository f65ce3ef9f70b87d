"""The docs say what the code does."""

from __future__ import annotations

import re
import tomllib

import pytest

from addons.protocols import PROTOCOLS
from tests.generated import PAGES, ROOT, TABLES, renewed


@pytest.mark.parametrize("page", PAGES)
def test_generated_tables_are_up_to_date(page: str) -> None:
    text = (ROOT / page).read_text()
    assert renewed(text) == text, f"{page} is stale: run `uv run python -m tests.generated`"


def test_every_table_stands_somewhere() -> None:
    pages = "".join((ROOT / page).read_text() for page in PAGES)
    assert set(re.findall(r"<!-- begin: (\w+) -->", pages)) == set(TABLES)


def test_the_changelog_begins_with_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == version


def test_every_noise_field_has_a_reason() -> None:
    for protocol in PROTOCOLS.values():
        for reason in (*protocol.noise.values(), *protocol.noise_query.values()):
            assert len(reason) > 10


def test_ci_runs_the_test_command_of_the_readme() -> None:
    command = "uv run --all-extras pytest"
    assert command in (ROOT / "README.md").read_text()
    assert command in (ROOT / ".ci/run").read_text()
