"""Where the store is, as a URL, and the same URL fit to be shown."""

from __future__ import annotations

import re
from pathlib import Path

_SQLITE = "sqlite:///"
_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/?#@\[\],]*)(?::[0-9]{0,5})?"
_POSTGRES = re.compile(
    rf"postgres(?:ql)?://(?P<rest>(?:[^\s/?#]*@)?{_HOST}(?:,{_HOST})*(?:[/?]\S*)?)(?<!://)", re.ASCII
)
_FORMS = "must be sqlite:///PATH or postgresql://USER@HOST/DATABASE"


def parse_store_url(text: str, folder: Path) -> str:
    """`sqlite:////absolute/path` or `postgresql://…` out of what was typed.

    A relative SQLite path starts at `folder`, `~` is the home directory, and `postgres://` is
    taken as `postgresql://`. Raises ValueError, without repeating the text, for anything else.
    """
    if text.startswith(_SQLITE):
        path = text.removeprefix(_SQLITE)
        if not path or path == ":memory:" or any(mark in path for mark in "?#\0"):
            raise ValueError(f"{_FORMS}; a SQLite URL names a file and takes no parameters")
        return sqlite_url(folder / Path(path).expanduser())
    if match := _POSTGRES.fullmatch(text):
        return "postgresql://" + match["rest"]
    raise ValueError(_FORMS)


def sqlite_url(path: Path) -> str:
    """The URL of the SQLite database in the file `path`."""
    return f"{_SQLITE}{path.as_posix()}"


def masked(url: str) -> str:
    """The URL with its password, in the authority or as a parameter, replaced by `***`."""
    url = re.sub(r"^([^:/]+://[^:/?#@]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"((?:^|[?&])[^=&?]*password=)[^&]*", r"\1***", url, flags=re.IGNORECASE)
