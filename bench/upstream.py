"""A provider over TLS that answers at once: the one reply, or a short stream of events with a pause in it."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from load import HOST
from mitmproxy.certs import CertStore

REPLY = Path(__file__).with_name("reply.json").read_bytes()
PAUSE = 0.003
"""Seconds between the first events of a stream and its last ones."""

_WORD = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
_LAST = (
    b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
_PLAIN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + str(len(REPLY)).encode() + b"\r\n\r\n"
)
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            if b'"stream":true' in body:
                writer.write(_STREAM + _chunk(_WORD))
                for _ in range(4):
                    await asyncio.sleep(PAUSE / 4)
                    writer.write(_chunk(_WORD))
                writer.write(_chunk(_LAST) + b"0\r\n\r\n")
            else:
                writer.write(_PLAIN + REPLY)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _context(folder: Path) -> ssl.SSLContext:
    """TLS with a leaf of an authority that is made in `folder`."""
    entry = CertStore.from_store(folder, "mitmproxy", 2048).get_cert(HOST, [x509.DNSName(HOST)])
    key = entry.privatekey.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    leaf = folder / "leaf.pem"
    leaf.write_bytes(key + entry.cert.to_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf)
    return context


async def _serve(port: int, folder: Path) -> None:
    server = await asyncio.start_server(_converse, "127.0.0.1", port, ssl=_context(folder))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
