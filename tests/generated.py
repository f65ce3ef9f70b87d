"""The tables in the docs that come from the code: `uv run python -m tests.generated` writes them anew."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from addons.cli import parser
from addons.exchange import Outcome
from addons.protocols import PROTOCOLS
from config import Providers, providers_table, settings_table

ROOT = Path(__file__).parent.parent

_MARKS = re.compile(r"(<!-- begin: (\w+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)

_OUTCOMES = {
    Outcome.HIT: "answered from the store, or from an equal request that was under way",
    Outcome.PARTIAL: "embeddings: some inputs were known, the others were asked for",
    Outcome.MISS: "the provider was asked",
    Outcome.LOCAL: "answered by a model on this machine",
    Outcome.PASS: "went past the cache; `x-wiretape-reason` says why",
    Outcome.NOT_RECORDED: "replay mode has no recording; the error says what differs",
    Outcome.REFUSED: "the client asked for what cannot be (`only-if-cached` without an entry, an unknown level)",
    Outcome.CUT: "the provider could not be reached, or its answer broke off",
}


def verbs() -> str:
    """The verbs of the command line."""
    actions = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    rows = ["| verb | what it does |", "|---|---|"]
    rows += [f"| `{choice.dest}` | {choice.help} |" for choice in actions[0]._choices_actions]
    return "\n".join(rows) + "\n"


def outcomes() -> str:
    """What may become of an exchange."""
    rows = ["| outcome | meaning |", "|---|---|"]
    rows += [f"| `{outcome}` | {_OUTCOMES[outcome]} |" for outcome in Outcome]
    return "\n".join(rows) + "\n"


def noise() -> str:
    """What of each protocol is not in the key."""
    rows = ["| protocol | field | why it cannot change the answer |", "|---|---|---|"]
    for name, protocol in PROTOCOLS.items():
        fields = {**protocol.noise, **{f"?{query}": why for query, why in protocol.noise_query.items()}}
        rows += [f"| `{name}` | `{field}` | {why} |" for field, why in fields.items()]
    return "\n".join(rows) + "\n"


def providers() -> str:
    """The providers we know."""
    return providers_table(Providers.load({}, PROTOCOLS))


def modules() -> str:
    """What each module of the addons and of the store is about, in its own first sentence."""
    rows = ["| file | subject |", "|---|---|"]
    for path in [*sorted((ROOT / "addons").glob("*.py")), *sorted((ROOT / "cache").glob("*.py"))]:
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        rows.append(f"| `{path.relative_to(ROOT).as_posix()}` | {said.splitlines()[0]} |")
    return "\n".join(rows) + "\n"


TABLES: Mapping[str, Callable[[], str]] = {
    "verbs": verbs,
    "outcomes": outcomes,
    "settings": settings_table,
    "providers": providers,
    "noise": noise,
    "modules": modules,
}
PAGES = ("README.md", "docs/settings.md", "docs/providers.md", "docs/key.md", "docs/design.md")


def renewed(text: str) -> str:
    """A page with each of its tables as the code has it now."""
    return _MARKS.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


if __name__ == "__main__":
    for page in PAGES:
        path = ROOT / page
        path.write_text(renewed(path.read_text()))
