"""What of an answer is kept, passed on, and made."""

from __future__ import annotations

import pytest
from mitmproxy.test.tutils import treq

from addons import answers
from tests.unit.exchanges import reply

SENT = [
    ("Content-Type", "application/json"),
    ("Content-Length", "2"),
    ("Set-Cookie", "a=b"),
    ("X-Request-Id", "req_1"),
    ("X-RateLimit-Remaining", "1"),
    ("Date", "now"),
    ("Connection", "keep-alive"),
    ("Transfer-Encoding", "chunked"),
    ("Proxy-Authenticate", "Basic"),
    ("X-Wiretape-Key", "forged"),
    ("Cache-Status", "forged"),
    ("Age", "7"),
    ("Retry-After", "3"),
]


def test_kept_are_only_headers_of_the_answer_itself() -> None:
    assert answers.kept(SENT) == (("content-type", "application/json"), ("retry-after", "3"))


def test_passed_on_is_all_but_the_connections_and_forged_ones() -> None:
    names = [name for name, _ in answers.passed_on(SENT)]
    assert names == [
        "Content-Type",
        "Content-Length",
        "Set-Cookie",
        "X-Request-Id",
        "X-RateLimit-Remaining",
        "Date",
        "Retry-After",
    ]


@pytest.mark.parametrize("name", ["x-wiretape-anything", "X-WIRETAPE-KEY", "cache-status", "Age"])
def test_our_names(name: str) -> None:
    assert answers.is_ours(name)
    assert not answers.is_ours(f"not-{name}")


def test_a_stored_reply_is_served_as_it_came() -> None:
    body = '{"text": "déjà"}'.encode()
    served = answers.from_reply(reply(body=body, status=201, headers=(("content-type", "a/b"),)))
    assert (served.status_code, served.reason, served.raw_content) == (201, "Created", body)
    assert served.headers.fields == ((b"content-type", b"a/b"), (b"content-length", str(len(body)).encode()))


@pytest.mark.parametrize("status", [204, 304])
def test_a_stored_reply_that_may_have_no_length_has_none(status: int) -> None:
    assert "content-length" not in answers.from_reply(reply(body=b"", status=status)).headers


@pytest.mark.parametrize(
    ("version", "headers", "field", "value"),
    [
        (b"HTTP/1.1", [], "transfer-encoding", "chunked"),
        (b"HTTP/1.0", [], "connection", "close"),
        (b"HTTP/1.1", [("content-length", "5")], "content-length", "5"),
        (b"HTTP/2.0", [], None, None),
    ],
)
def test_a_live_answer_is_framed_as_its_client_takes_it(
    version: bytes, headers: list[tuple[str, str]], field: str | None, value: str | None
) -> None:
    made = answers.live_response(treq(http_version=version), 200, "Fine", [*headers, ("a", "b")])
    assert (made.status_code, made.reason, made.raw_content) == (200, "Fine", None)
    framing = {"transfer-encoding", "connection", "content-length"} & {name.lower() for name in made.headers}
    assert framing == ({field} if field else set())
    if field:
        assert made.headers[field] == value


def test_refusals_tell_whether_to_ask_again() -> None:
    final, passing = answers.refusal(424, b"{}"), answers.refusal(502, b"{}", retry=True)
    assert final.headers["x-should-retry"] == "false"
    assert "x-should-retry" not in passing.headers
    assert final.headers["content-type"] == "application/json"
    assert final.headers["content-length"] == "2"
