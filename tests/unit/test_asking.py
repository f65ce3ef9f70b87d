from __future__ import annotations

from mitmproxy import http

from addons.asking import ask_of
from tests.unit.exchanges import flow, made


def asked(body: bytes | None = None, **headers: str) -> tuple[dict[str, str], bytes]:
    """Headers by lower-case name, and the body, of a request that is sent on."""
    request = flow(path=b"/v1/x?a=1", content=b"packed", headers=http.Headers(**headers)).request
    ask = ask_of(request, made(), body)
    assert (ask.method, ask.scheme, ask.host, ask.port, ask.target) == (
        "POST",
        "https",
        "api.openai.com",
        443,
        "/v1/x?a=1",
    )
    return {name.decode().lower(): value.decode() for name, value in ask.headers}, ask.body


def test_a_request_goes_out_as_it_came() -> None:
    headers, body = asked(content_encoding="gzip", authorization="Bearer x", x_wiretape_match="exact")
    assert body == b"packed"
    assert headers["content-encoding"] == "gzip"
    assert headers["authorization"] == "Bearer x"
    assert headers["content-length"] == "6"
    assert "x-wiretape-match" not in headers


def test_another_body_is_not_encoded_as_the_first_was() -> None:
    headers, body = asked(b"[1]", content_encoding="gzip", content_length="6")
    assert body == b"[1]"
    assert "content-encoding" not in headers
    assert headers["content-length"] == "3"
