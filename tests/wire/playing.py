"""Whole sets of exchanges through a proxy: clients ask and the scripted upstream answers, each as recorded."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tests.traffic import Recorded
from tests.wire.answers.answer import Answer
from tests.wire.asking import KEY, Got, got
from tests.wire.reach import HOSTS, PATIENCE, Reachable
from tests.wire.requests import Request
from tests.wire.upstream import Upstream

NUMBER = "x-exchange-number"
"""The request header that tells the upstream which exchange it is in; no key counts it."""

_FRAMING = frozenset(
    {"content-length", "transfer-encoding", "connection", "content-encoding", "host", "accept-encoding"}
)
_PIECES = 7


def answers(exchanges: Sequence[Recorded]) -> Callable[[Request], Answer]:
    """What an upstream has to say to give each of these exchanges its recorded status, headers and body."""

    def answer(request: Request) -> Answer:
        exchange = exchanges[int(request.header(NUMBER))]
        headers = [(name, value) for name, value in exchange.response_headers if name.lower() not in _FRAMING]
        streamed = is_stream(exchange)
        pieces = _pieces(exchange.response_body) if streamed else [exchange.response_body]
        return Answer(exchange.status, headers, pieces, streamed)

    return answer


def is_stream(exchange: Recorded) -> bool:
    """Whether the answer came in pieces."""
    kind = dict(exchange.response_headers).get("content-type", "")
    return "event-stream" in kind or "eventstream" in kind or "ndjson" in kind


def _pieces(body: bytes) -> list[bytes]:
    """A body cut where no event ends."""
    size = len(body) // _PIECES + 1
    return [body[start : start + size] for start in range(0, len(body), size)]


def wired(upstream: Upstream, exchanges: Sequence[Recorded]) -> dict[str, str]:
    """`upstream.connect_to` for every host of these exchanges."""
    return dict.fromkeys([*HOSTS, *(exchange.authority for exchange in exchanges)], upstream.address)


def play(proxy: Reachable, exchanges: Sequence[Recorded], **headers: str) -> list[Got]:
    """Ask everything through the proxy, hosts side by side, each over one connection in the order given."""
    hosts: dict[str, list[int]] = {}
    for number, exchange in enumerate(exchanges):
        hosts.setdefault(exchange.authority, []).append(number)
    gotten: dict[int, Got] = {}

    def converse(numbers: list[int]) -> None:
        with _connection(proxy, exchanges[numbers[0]]) as connection:
            for number in numbers:
                gotten[number] = _ask(connection, exchanges[number], number, headers)

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(converse, numbers) for numbers in hosts.values()]:
            done.result()
    return [gotten[number] for number in range(len(exchanges))]


@contextlib.contextmanager
def _connection(proxy: Reachable, exchange: Recorded) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(exchange.url)
    assert parts.hostname
    if parts.scheme == "https":
        with proxy.connection(parts.hostname, parts.port or 443) as connection:
            yield connection
        return
    plain = http.client.HTTPConnection(proxy.host, proxy.port, timeout=PATIENCE)
    with contextlib.closing(plain):
        yield plain


def _ask(connection: http.client.HTTPConnection, exchange: Recorded, number: int, headers: dict[str, str]) -> Got:
    given = {name.lower(): value for name, value in exchange.request_headers if name.lower() not in _FRAMING}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    given |= {"authorization": f"Bearer {KEY}", "x-api-key": KEY, NUMBER: str(number)}
    target = exchange.target if exchange.url.startswith("https:") else exchange.url
    connection.request(exchange.method, target, exchange.request_body or None, given)
    return got(connection.getresponse())
