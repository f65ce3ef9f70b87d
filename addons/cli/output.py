"""Tables and texts for people; nothing others sent is taken for markup or terminal control."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

UNSEEN_WIDTH = 200
"""Columns of output that goes to a file or another program."""


def plain(text: str) -> str:
    """Text of others without control characters, so that it cannot command a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[str] = (),
    cut: Collection[str] = (),
    folded: Collection[str] = (),
) -> None:
    """Print rows as a table, the columns in `right` right-aligned.

    Where the terminal is too narrow the columns in `cut` are shortened and those in `folded` go on
    in the next line; all others are shown whole, so that a key can always be copied.
    """
    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column not in cut and column not in folded,
            overflow="fold",
        )
    for row in rows:
        made.add_row(*(_cell(str(value), column in cut) for column, value in zip(columns, row, strict=True)))
    console().print(made)


def _cell(value: str, cut: bool) -> Text:
    return Text(plain(value), no_wrap=True, overflow="ellipsis") if cut else Text(plain(value))


def console() -> Console:
    """Standard output as it is now."""
    return Console(
        file=sys.stdout, width=None if sys.stdout.isatty() else UNSEEN_WIDTH, soft_wrap=True, highlight=False
    )


def as_json(value: Any) -> None:
    """Print JSON for scripts."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can express
        text = json.dumps(value, indent=2)
    print(text)
