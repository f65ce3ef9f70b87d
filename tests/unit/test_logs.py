"""What is logged: one readable line per exchange, and no credential in any line."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from addons.cli import logs
from addons.exchange import Exchange, Outcome
from addons.protocols import PROTOCOLS
from addons.protocols.base import Call, Tokens
from config import Providers

SECRET = "0f5c-canary-91ab"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes while a test runs; the loggers are as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("wiretape")
    before = root.handlers[:], root.level, ours.level
    yield io.StringIO()
    root.handlers[:], root.level, ours.level = before


def _exchange(**given: object) -> Exchange:
    provider = Providers.load({}, PROTOCOLS).find("https", "api.openai.com", 443)
    assert provider is not None
    made = Exchange(provider, PROTOCOLS["openai_chat"], "api.openai.com", "cache")
    made.call = Call("POST", "/v1/chat/completions", body={"model": "gpt-test"})
    for name, value in given.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    "text",
    [
        "GET /v1/models?key={} HTTP/1.1",
        "https://h/?a=1&api_key={}&b=2",
        "https://h/?access_token={}",
        "Authorization: Bearer {}",
        "authorization={}",
        "{{'x-api-key': '{}'}}",
        "(b'api-key', b'{}')",
        "Proxy-Authorization: Basic {}",
        "Cookie: {}",
        "X-Auth-Token: {}",
        "Ocp-Apim-Subscription-Key: {}",
        "{{'authorization': b'bearer {}'}}",
        "postgresql://me:{}@db/wiretape",
        "Invalid header line: b'X-Anything {}'",
        'Bad HTTP request line: b"GET /?acme={} x"',
        "key sk-proj-{}",
    ],
)
def test_what_looks_like_a_credential_is_blotted(text: str) -> None:
    assert SECRET not in logs.blotted(text.format(SECRET))


@pytest.mark.parametrize("text", ["miss openai gpt-4o 200 12 ms", "https://h/?a=1", "tokens: 5", "it's b and 'c'"])
def test_other_text_stays(text: str) -> None:
    assert logs.blotted(text) == text


def test_tracebacks_are_blotted(stream: io.StringIO) -> None:
    logs.set_up("debug", stream)
    try:
        raise ValueError(f"x-api-key: {SECRET}")
    except ValueError:
        logging.getLogger("wiretape").exception("failed at https://h/?key=%s", SECRET)
    assert "Traceback" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_chatty_libraries_are_quiet_even_at_debug(stream: io.StringIO) -> None:
    logs.set_up("debug", stream)
    for name in ("httpcore2.http11", "hpack", "asyncio", "sqlalchemy.engine", "psycopg"):
        logging.getLogger(name).info("headers: %s", SECRET)
    logging.getLogger("wiretape").debug("seen")
    assert SECRET not in stream.getvalue()
    assert "seen" in stream.getvalue()


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_the_level_is_kept(level: str, stream: io.StringIO) -> None:
    logs.set_up(level, stream)
    for name in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("wiretape"), name)(f"at {name}.")
    shown = [name for name in ("debug", "info", "warning", "error") if f"at {name}." in stream.getvalue()]
    assert shown == ["debug", "info", "warning", "error"][["debug", "info", "warning", "error"].index(level) :]


def test_a_miss_and_a_hit() -> None:
    miss = logs.line(_exchange(outcome=Outcome.MISS, stored=True, tokens=Tokens(1200, 34)), 1.234, 200, colour=False)
    assert miss.split() == ["miss", "openai", "gpt-test", "200", "1,234", "ms", "1,200→34", "tokens", "stored"]
    hit = _exchange(outcome=Outcome.HIT, saved=Tokens(1200, 34), saved_ms=2345, reason="not shown")
    assert logs.line(hit, 0.001, 200, colour=False).endswith("saved 1,234 tokens, 2.3 s")


def test_the_reason_is_told_and_colour_does_not_move_columns() -> None:
    found = _exchange(outcome=Outcome.PASS, reason="mode is off")
    bare, coloured = (logs.line(found, 0, 0, colour=colour) for colour in (False, True))
    assert bare.endswith("(mode is off)")
    assert "---" in bare
    assert coloured.replace("\x1b[90m", "").replace("\x1b[0m", "") == bare


@pytest.mark.parametrize(
    ("outcome", "status", "model", "expected"),
    [
        (Outcome.HIT, 200, "gpt-test", "hit      openai    gpt-test           1 ms saved 1,234 tokens, 2.3 s"),
        (Outcome.MISS, 404, "a-model-of-a-long-name", "miss     openai    a-model-of-a-… 404     1 ms"),
    ],
)
def test_a_narrow_terminal_holds_a_line(outcome: Outcome, status: int, model: str, expected: str) -> None:
    found = _exchange(outcome=outcome)
    found.call = Call("POST", "/v1/chat/completions", body={"model": model})
    if outcome is Outcome.HIT:
        found.saved, found.saved_ms = Tokens(1200, 34), 2345
    line = logs.line(found, 0.001, status, colour=False, narrow=True)
    assert line == expected
    assert len(f"00:00:00 {line}") < 80


@pytest.mark.parametrize(("variable", "coloured"), [("", True), ("1", False)])
async def test_no_color_is_heeded(
    variable: str, coloured: bool, monkeypatch: pytest.MonkeyPatch, stream: io.StringIO
) -> None:
    monkeypatch.setenv("NO_COLOR", variable)
    logs.set_up("info", stream)
    monkeypatch.setattr(stream, "isatty", lambda: True)
    report = logs.Report(stream)
    report(_exchange(outcome=Outcome.HIT), 0.001, 200)
    report.flush()
    assert ("\x1b[32m" in stream.getvalue()) is coloured


def test_a_program_that_does_not_trust_us_is_told_what_to_do(stream: io.StringIO) -> None:
    logs.set_up("info", stream)
    logging.getLogger("mitmproxy").warning("The client does not trust the proxy's certificate for h (unknown ca)")
    assert stream.getvalue().endswith("(unknown ca); " + logs._ADVICE + "\n")


def test_text_of_others_cannot_steer_the_terminal() -> None:
    found = _exchange(outcome=Outcome.MISS, unstored="a\x1b[2Jb\nc\u202ed")
    found.call = Call("POST", "/", body={"model": "m\x1b]0;x\x07\r\n" + "y" * 1000})
    line = logs.line(found, 0, 200, colour=False)
    assert line.isprintable()
    assert len(line) < 500
