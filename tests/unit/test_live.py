"""Live answers: the next piece is fetched when it is wanted, and connections are opened for providers alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from mitmproxy.test.tflow import tclient_conn, tserver_conn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing mitmproxy uses what its own dependencies deprecate
    from mitmproxy.addons.proxyserver import Proxyserver
    from mitmproxy.options import Options
    from mitmproxy.proxy.context import Context

    from addons.live import Live, LiveNextLayer, Pull

from addons.tape import UpstreamError


class Pieces:
    """Pieces from a list; an error among them is raised."""

    def __init__(self, *pieces: bytes | UpstreamError) -> None:
        self._pieces: Iterator[bytes | UpstreamError] = iter(pieces)

    async def next(self) -> bytes | None:
        piece = next(self._pieces, None)
        if isinstance(piece, UpstreamError):
            raise piece
        return piece

    def close(self) -> None:
        """Nothing to let go of."""


async def test_each_pull_brings_the_next_piece_or_tells_the_end() -> None:
    live, pieces = Live(Proxyserver()), Pieces(b"one", b"two")
    pulls = [Pull(pieces, "a client that left") for _ in range(3)]
    for pull in pulls:
        await live.next_piece(pull)
    assert [(pull.piece, pull.failure) for pull in pulls] == [(b"one", ""), (b"two", ""), (None, "")]


async def test_where_it_broke_off_the_pull_says_so() -> None:
    pull = Pull(Pieces(UpstreamError("the connection broke off")), "a client")
    await Live(Proxyserver()).next_piece(pull)
    assert (pull.piece, pull.failure) == (None, "the connection broke off")


async def test_no_end_is_told_where_the_next_piece_could_not_be_had() -> None:
    class Broken(Pieces):
        async def next(self) -> bytes | None:
            raise RuntimeError("a bug")

    pull = Pull(Broken(), "a client")
    with pytest.raises(RuntimeError):  # mitmproxy logs it and goes on
        await Live(Proxyserver()).next_piece(pull)
    assert (pull.piece, pull.failure) == (None, "the answer could not be read")


@pytest.mark.parametrize(("address", "blind"), [(("a.test", 443), False), (("b.test", 443), True), (None, False)])
def test_only_what_is_to_be_opened_is(address: tuple[str, int] | None, blind: bool) -> None:
    context = Context(tclient_conn(), Options())
    context.server = tserver_conn()
    context.server.address = address
    layers = LiveNextLayer(lambda host, port: (host, port) == ("a.test", 443))
    # What the client says of itself is not believed: the server name and Host header are b.test's.
    assert layers._ignore_connection(context, b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"") is blind
