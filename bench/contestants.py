"""The proxies that are compared, each a process of its own on one core, and the provider behind them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from load import HOST, Contestant

HERE = Path(__file__).parent
REPLY = (HERE / "reply.json").read_bytes()
CHAT = "/v1/chat/completions"
UPSTREAM_CA = "mitmproxy-ca-cert.pem"
_PATIENCE = 30.0


def apart() -> None:
    """Keep this process, which asks, off the core of those that answer, where the system lets us."""
    if len(cores := _cores()) > 1:
        os.sched_setaffinity(0, cores[:1])


def _cores() -> list[int]:
    """One core for who asks and one for who answers, as far as there are two."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []


_ALL = _cores()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def process(arguments: Sequence[object], port: int, folder: Path, *, asking: bool = False) -> Iterator[int]:
    """A program, from when it listens on `port` to the end of the block; its process id.

    It shares the core of the load generator if it is `asking`, else it gets the other one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, *map(str, arguments)], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        if len(_ALL) > 1:
            os.sched_setaffinity(running.pid, {_ALL[0] if asking else _ALL[1]})
        _await(running, port, folder / "log")
        yield running.pid
    finally:
        running.terminate()
        running.wait(_PATIENCE)


def _await(running: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if running.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{running.args!r} does not listen:\n{log.read_text()}") from None
            time.sleep(0.05)


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[int]:
    """The provider; its port. Its authority is `folder / UPSTREAM_CA`."""
    port = free_port()
    with process([HERE / "upstream.py", port, folder], port, folder, asking=True):
        yield port


@contextlib.contextmanager
def wiretape(
    name: str, folder: Path, provider: int, *, python: Sequence[str] = (), **settings: Any
) -> Iterator[Contestant]:
    """`run.py` as it starts by itself, log line per exchange included, with the provider at a port of ours."""
    port = free_port()
    home = folder / "home"
    content: Mapping[str, Any] = {
        "port": port,
        "upstream": {
            "ca_file": str(folder.parent / "upstream" / UPSTREAM_CA),
            "connect_to": {f"{HOST}:443": f"127.0.0.1:{provider}"},
        },
        **settings,
    }
    folder.mkdir(parents=True)
    (folder / "wiretape.yaml").write_text(yaml.safe_dump(content))
    with process([*python, HERE.parent / "run.py", "serve", "--home", home], port, folder) as pid:
        yield Contestant(name, pid, port, home / "wiretape-ca-cert.pem")


@contextlib.contextmanager
def mitmdump(name: str, folder: Path, *arguments: object, **options: object) -> Iterator[Contestant]:
    """Stock mitmdump, quiet, not looking upstream before it must."""
    port = free_port()
    given = {"confdir": folder, "connection_strategy": "lazy", "upstream_cert": "false", **options}
    sets = [part for option, value in given.items() for part in ("--set", f"{option}={value}")]
    start = [Path(sys.executable).with_name("mitmdump"), "-q", "--listen-host", "127.0.0.1", "--listen-port", port]
    with process([*start, *sets, *arguments], port, folder) as pid:
        yield Contestant(name, pid, port, folder / "mitmproxy-ca-cert.pem")
