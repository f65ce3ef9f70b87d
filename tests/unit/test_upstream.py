"""What goes to a provider and where, and what becomes of an answer that is encoded, cut, or wanted by nobody."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from addons.tape import Tape, UpstreamError
from addons.upstream import Ask, Upstream, forwarded

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
HOST = "provider.test"


def names(*headers: tuple[str, str], body: bytes = b"x") -> list[str]:
    fields = forwarded([(name.encode(), value.encode()) for name, value in headers], "h", body)
    return [name.decode().lower() for name, _ in fields]


def test_nothing_of_the_connection_and_nothing_of_ours_goes_out() -> None:
    hop_by_hop = ["Connection", "Proxy-Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade"]
    gone = [
        *hop_by_hop,
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "Host",
        "Expect",
        "X-Wiretape-Match",
        "x-WIRETAPE-a",
    ]
    assert names(*((name, "100-continue") for name in gone)) == ["host", "accept-encoding", "content-length"]


def test_what_the_connection_header_names_stays_here() -> None:
    kept = names(("connection", "close, X-Hop ,x-other"), ("x-hop", "1"), ("X-Other", "2"), ("x-end", "3"))
    assert kept == ["host", "x-end", "accept-encoding", "content-length"]


def test_order_case_and_repeats_are_kept() -> None:
    sent = [(b"B", b"1"), (b"a", b"2"), (b"B", b"3"), (b"x", b"\xff")]
    assert forwarded(sent, "h:1", b"")[:5] == ((b"Host", b"h:1"), *sent)


def test_answers_are_asked_for_plain_unless_that_would_break_a_signature() -> None:
    plain = forwarded([(b"accept-encoding", b"gzip"), (b"authorization", b"Bearer k")], "h", b"")
    assert [value for name, value in plain if name.lower() == b"accept-encoding"] == [b"identity"]
    signature = b"AWS4-HMAC-SHA256 Credential=a, SignedHeaders=accept-encoding;host, Signature=b"
    signed = forwarded([(b"Accept-Encoding", b"gzip"), (b"Authorization", signature)], "h", b"")
    assert [value for name, value in signed if name.lower() == b"accept-encoding"] == [b"gzip"]


@pytest.mark.parametrize(
    ("headers", "body", "length"),
    [([], b"", None), ([(b"content-length", b"0")], b"", b"0"), ([(b"content-length", b"9")], b"abc", b"3")],
)
def test_the_length_is_that_of_the_body(headers: list[tuple[bytes, bytes]], body: bytes, length: bytes | None) -> None:
    lengths = [value for name, value in forwarded(headers, "h", body) if name == b"Content-Length"]
    assert lengths == ([] if length is None else [length])


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """A plain server on this machine; its address."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await answer(head, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def reaching(address: str, **settings: float) -> AbstractAsyncContextManager[Upstream]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Upstream]:
        upstream = Upstream(
            ca_file=None,
            connect_to={f"{HOST}:80": address},
            connect_timeout=5,
            idle_timeout=settings.get("idle", 5),
            linger_timeout=settings.get("linger", 5),
            reply_limit=int(settings.get("limit", 1000)),
        )
        try:
            yield upstream
        finally:
            await upstream.close(0)

    return opened()


def ask(target: str = "/v1/x?a=%20b") -> Ask:
    return Ask("GET", "http", HOST, 80, target, forwarded([(b"X-A", b"1")], HOST, b""), b"")


def writing(*pieces: bytes) -> Answer:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return answer


WHOLE = b"HTTP/1.1 200 Fine\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello"


async def test_the_request_goes_to_the_address_given_under_its_own_name() -> None:
    heads: list[bytes] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(WHOLE)

    async with serving(answer) as address, reaching(address) as upstream:
        tape = upstream.send(ask())
        await tape.head()
        await tape.finished.wait()
        tape.end()
        assert (tape.status, tape.reason, await tape.body()) == (200, "Fine", b"hello")
        assert ("x-a", "b") in [(name.lower(), value) for name, value in tape.headers]
    assert heads[0].startswith(b"GET /v1/x?a=%20b HTTP/1.1\r\n")
    assert b"host: provider.test\r\n" in heads[0].lower()


async def test_an_encoded_answer_is_unpacked_and_says_so_no_more() -> None:
    packed = gzip.compress(b"hello")
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with serving(writing(head, packed[:9], packed[9:])) as address, reaching(address) as upstream:
        tape = upstream.send(ask())
        await tape.finished.wait()
        tape.end()
        assert await tape.body() == b"hello"
        assert not {"content-encoding", "content-length"} & {name.lower() for name, _ in tape.headers}


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ((WHOLE[:-2],), "broke off"),
        ((b"nonsense\r\n\r\n",), "broke off"),
        ((), "broke off"),
        ((WHOLE.replace(b"x-a: b", b"content-encoding: gzip"),), "cannot be read"),
        ((WHOLE.replace(b"x-a: b", b"content-encoding: rot13"),), "cannot be read"),
    ],
)
async def test_what_is_not_whole_fails_in_one_clear_line(pieces: tuple[bytes, ...], words: str) -> None:
    async with serving(writing(*pieces)) as address, reaching(address) as upstream:
        tape = upstream.send(ask())
        await tape.finished.wait()
        tape.end()
        with pytest.raises(UpstreamError, match=words) as raised:
            await tape.body()
        assert f"{HOST}:80" in str(raised.value)
        assert "\n" not in str(raised.value)


async def test_nobody_there_fails() -> None:
    async with serving(writing()) as address:
        pass
    async with reaching(address) as upstream:
        with pytest.raises(UpstreamError, match=r"cannot connect to provider\.test:80"):
            await upstream.send(ask()).head()


async def test_a_silent_provider_fails() -> None:
    forever = asyncio.Event()

    async def silent(_: bytes, __: asyncio.StreamWriter) -> None:
        await forever.wait()

    async with serving(silent) as address, reaching(address, idle=0.05) as upstream:
        with pytest.raises(UpstreamError, match=r"silent for 0\.05 s"):
            await upstream.send(ask()).head()
        forever.set()


@pytest.mark.parametrize("limit", [1000, 3])
async def test_nobody_waiting_bounds_the_reading(limit: int) -> None:
    more = asyncio.Event()

    async def slow(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(WHOLE[:-1])
        await more.wait()

    async with serving(slow) as address, reaching(address, linger=0, limit=limit) as upstream:
        tape = upstream.send(ask())
        tape.join()
        assert await tape.piece(0) == b"hell"
        tape.leave()
        await tape.finished.wait()
        assert "no client waits for it" in str(tape.failure)
        more.set()


async def test_whoever_comes_back_in_time_is_still_answered() -> None:
    more = asyncio.Event()

    async def slow(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(WHOLE[:-1])
        await more.wait()
        writer.write(WHOLE[-1:])

    async with serving(slow) as address, reaching(address, linger=0) as upstream:
        tape = upstream.send(ask())
        tape.join()
        await tape.piece(0)
        tape.leave()
        tape.join()
        await asyncio.sleep(0)
        more.set()
        await tape.finished.wait()
        tape.end()
        assert await tape.body() == b"hello"


async def test_an_answer_that_breaks_us_is_not_taken_for_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async def whole(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(WHOLE)

    monkeypatch.setattr(Tape, "add", broken)
    async with serving(whole) as address, reaching(address) as upstream:
        tape = upstream.send(ask())
        await tape.finished.wait()
        assert "could not be read" in str(tape.failure)


@pytest.mark.parametrize(
    ("head", "delimited"),
    [(b"Content-Length: 2\r\n", True), (b"Transfer-Encoding: chunked\r\n", True), (b"", False)],
)
async def test_the_tape_knows_whether_an_answer_tells_its_end(head: bytes, delimited: bool) -> None:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        body = b"2\r\nab\r\n0\r\n\r\n" if b"chunked" in head else b"ab"
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body)

    async with serving(answer) as address, reaching(address) as upstream:
        tape = upstream.send(ask())
        await tape.finished.wait()
        assert (tape.delimited, tape.failure, tape.chunks) == (delimited, None, [b"ab"])


async def test_what_is_known_to_be_whole_is_read_no_further() -> None:
    more = asyncio.Event()

    async def hanging(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\ndone")
        await more.wait()

    async with serving(hanging) as address, reaching(address) as upstream:
        tape = upstream.send(ask())
        await tape.piece(0)
        tape.complete()
        await tape.finished.wait()
        tape.end()
        assert await tape.body() == b"done"
        more.set()
