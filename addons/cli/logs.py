"""The log on standard error: one line per exchange, and no credential in any of them."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from typing import TextIO

from addons.cli.units import waiting
from addons.exchange import Exchange, Outcome
from addons.secrets import REDACTED, redacted

log = logging.getLogger("wiretape")

_QUERY = re.compile(r"(?i)([?&](?:key|api[-_]?key|access_token|token|sig|signature)=)[^&\s\"']+")
_HEADER = re.compile(
    r"(?i)((?:proxy-)?authorization|(?:x-)?api-key|x-goog-api-key|subscription-key|[\w-]+-token|cookie)"
    r"([\"']?\s*[:=,]\s*(?:b?[\"'])?)((?:bearer|basic)\s+)?[^\s\"',;)]+"
)
_BYTES = re.compile(r"""\bb(['"])(?:(?!\1)[^\\]|\\.)*\1""")
"""Bytes as error messages quote them: lines of requests that could not be read."""

_HEADER_NAMES = ("authorization", "api-key", "subscription-key", "-token", "cookie")
"""One of these is part of every name `_HEADER` finds."""
_USERINFO = re.compile(r"(\w+://)[^/@\s]+@")

_COLOURS = {
    Outcome.HIT: "32",
    Outcome.PARTIAL: "36",
    Outcome.LOCAL: "32",
    Outcome.MISS: "33",
    Outcome.PASS: "90",
    Outcome.NOT_RECORDED: "31",
    Outcome.REFUSED: "31",
    Outcome.CUT: "31",
}

_CHATTY = ("httpcore2", "httpx2", "hpack", "h2", "asyncio", "alembic", "sqlalchemy", "psycopg", "markdown_it")
"""Libraries whose debug lines show headers, statements or bodies: never below a warning."""


_ROOMY = 110
"""Columns from which on a terminal holds a line with full columns."""

_TOGETHER = 0.05
"""Seconds within which lines are written together."""


_UNTRUSTED = "does not trust the proxy's certificate"
"""What mitmproxy says of a program that refuses our certificate; it knows nothing of our verbs."""

_ADVICE = "start the program with run.py exec, or give it the certificate that run.py ca names"


class SecretFree(logging.Formatter):
    """Formats a record, traceback included, and blots out what looks like a credential."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if _UNTRUSTED in text:
            text += "; " + _ADVICE
        return blotted(text)


def blotted(text: str) -> str:
    """`text` without credentials in headers, query parameters, URLs, or by their shape."""
    text = _BYTES.sub("b'…'", text)
    if "=" in text:  # looked for first, here and below, since most lines hold none of this
        text = _QUERY.sub(rf"\1{REDACTED}", text)
    low = text.lower()
    if any(name in low for name in _HEADER_NAMES):
        text = _HEADER.sub(rf"\1\2{REDACTED}", text)
    if "@" in text:
        text = _USERINFO.sub(rf"\1{REDACTED}@", text)
    return str(redacted(text, ()))


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Log to standard error from `level` on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(SecretFree("%(asctime)s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if level == "debug" else logging.WARNING)
    log.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mitmproxy.addons.proxyserver").setLevel(logging.CRITICAL)  # why it cannot listen: BindError


class Report:
    """Writes one line per exchange, those of a moment together: a write of its own for each costs as much as a hit."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._colour = self._stream.isatty() and not os.environ.get("NO_COLOR")
        self._lines: list[str] = []

    def __call__(self, found: Exchange, elapsed: float, status: int) -> None:
        """Note an exchange that is over; `elapsed` in seconds."""
        if not log.isEnabledFor(logging.INFO):
            return
        text = line(found, elapsed, status, colour=self._colour, narrow=self._narrow())
        self._lines.append(blotted(f"{time.strftime('%H:%M:%S')} {text}\n"))
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_later(_TOGETHER, self.flush)

    def _narrow(self) -> bool:
        """Whether full columns would not leave a line on one line; asked each time, since windows are resized."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns < _ROOMY
        except (OSError, ValueError):
            return False

    def flush(self) -> None:
        """Write what is noted."""
        lines, self._lines = self._lines, []
        self._stream.write("".join(lines))
        self._stream.flush()


def line(found: Exchange, elapsed: float, status: int, *, colour: bool, narrow: bool = False) -> str:
    """Outcome, provider, model, status, latency, tokens, what it saved, and why where there is a why.

    A `narrow` line has smaller columns, and no status where that is 200.
    """
    outcome, provider, model = (8, 9, 14) if narrow else (12, 12, 28)
    word = f"{found.outcome:<{outcome}}"
    if colour:
        word = f"\x1b[{_COLOURS[found.outcome]}m{word}\x1b[0m"
    name = _shown(found.model) or "-"
    if narrow and len(name) > model:
        name = f"{name[: model - 1]}…"
    parts = [word, f"{found.provider.name:<{provider}}", f"{name:<{model}}"]
    if not (narrow and status == 200):
        parts.append(f"{status or '---'}")
    parts.append(f"{elapsed * 1000:>{5 if narrow else 7},.0f} ms")
    tokens = found.tokens
    if tokens.input is not None or tokens.output is not None:
        parts.append(f"{tokens.input or 0:,}→{tokens.output or 0:,} tokens")
    saved = (found.saved.input or 0) + (found.saved.output or 0)
    if saved or found.saved_ms:
        parts.append(f"saved {saved:,} tokens" + (f", {waiting(found.saved_ms)}" if found.saved_ms else ""))
    if found.stored:
        parts.append("stored")
    why = found.reason or found.unstored
    if why and found.outcome is not Outcome.HIT:
        parts.append(f"({_shown(why)})")
    return (" " if narrow else "  ").join(parts)


def _shown(text: str) -> str:
    """Text of others, fit for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)[:160]
