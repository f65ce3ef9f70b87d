"""What keeps a proxy from starting is told in one clear line, with exit status 2, and nothing is overwritten."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.wire.asking import ask, chat
from tests.wire.conftest import Starting
from tests.wire.proxy import ROOT
from tests.wire.reach import PATIENCE, clean_environment


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder to start in."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def refusal(work: Path, *arguments: str, **variables: str) -> str:
    """What a start says that must fail: the one line it says."""
    command = [sys.executable, str(ROOT / "run.py"), "--home", str(work.parent / "home"), "--port", "0", *arguments]
    done = subprocess.run(
        command, cwd=work, env=clean_environment() | variables, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("wiretape: ")
    return lines[0]


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with a digest of what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def dump(file: Path) -> list[str]:
    """All tables of a database, and all that is in them."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bogus", "1"], ["--bogus"]),
        (["--mode", "recrod"], ["mode", "record"]),
        (["--match", "fuzzy"], ["match", "normalized"]),
        (["--port", "70000"], ["port"]),
        (["--store", "mysql://db/x"], ["store"]),
        (["--max-age", "soon"], ["max-age", "duration"]),
        (["--upstream.ca-file", "missing.pem"], ["missing.pem"]),
        (["--config", "missing.yaml"], ["missing.yaml"]),
        (["--host", "no such host"], ["host"]),
        (["--mode", "replay", "--cassette", "missing"], ["missing", "record"]),
    ],
    ids=lambda value: value[0].strip("-") if isinstance(value, list) and value[0].startswith("--") else "",
)
def test_settings_that_cannot_be(arguments: list[str], words: list[str], work: Path) -> None:
    line = refusal(work, *arguments)
    assert [word for word in words if word not in line] == []
    assert contents(work) == {}


def test_settings_that_do_not_exist(work: Path) -> None:
    assert "WIRETAPE_MOED" in refusal(work, WIRETAPE_MOED="replay")
    file = work / "wiretape.yaml"
    file.write_text("mode: cache\nupstream:\n  ca_flie: x\n")
    line = refusal(work)
    assert "ca_flie" in line
    assert "wiretape.yaml" in line
    file.write_text("providers:\n  mine: {hosts: [api.mine.example], routes: {'POST /x': no-such-protocol}}\n")
    assert "no-such-protocol" in refusal(work)
    file.write_text("mode: [cache\n")
    assert "wiretape.yaml" in refusal(work)


def test_a_port_that_is_taken(work: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        line = refusal(work, "--port", str(port))
    assert f"127.0.0.1:{port}" in line
    assert "in use" in line


@pytest.mark.parametrize("text", [b"", b"not a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_roots_that_cannot_be_read(text: bytes, work: Path) -> None:
    (work / "roots.pem").write_bytes(text)
    assert "roots.pem" in refusal(work, "--upstream.ca-file", "roots.pem")


def test_an_authority_that_cannot_be_read_is_not_replaced(work: Path, proxy: Starting) -> None:
    home = work.parent / "home"
    proxy(home=home).stop()
    (home / "wiretape-ca.pem").write_bytes(b"\0 not a certificate")
    before = contents(home)
    assert "wiretape-ca.pem" in refusal(work)
    assert contents(home) == before


def test_a_newer_database_is_left_alone(work: Path, proxy: Starting) -> None:
    home = work.parent / "home"
    proxy(home=home).stop()
    with contextlib.closing(sqlite3.connect(home / "wiretape.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = dump(home / "wiretape.db")
    line = refusal(work)
    assert "newer" in line
    assert "9999" in line
    assert "wiretape.db" in line
    assert dump(home / "wiretape.db") == before


@pytest.mark.parametrize(
    "rubbish", [b"This is no database, but somebody's only copy of it. " * 99, b"SQLite format 3\0"]
)
def test_a_file_that_is_no_database_is_left_alone(rubbish: bytes, work: Path) -> None:
    file = work / "mine.db"
    file.write_bytes(rubbish)
    assert "mine.db" in refusal(work, "--store", f"sqlite:///{file}")
    assert file.read_bytes() == rubbish


def test_a_database_that_is_somebody_else_s_is_left_alone(work: Path) -> None:
    file = work / "theirs.db"
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE replies (mail TEXT)")
        connection.execute("INSERT INTO replies VALUES ('Dear all')")
    before = file.read_bytes()
    assert "theirs.db" in refusal(work, "--store", f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_a_postgres_that_does_not_answer(work: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as closed:
        port = closed.getsockname()[1]
    line = refusal(work, "--store", f"postgresql://me:sesame@127.0.0.1:{port}/wiretape")
    assert str(port) in line
    assert "sesame" not in line


def test_a_postgres_without_that_database(work: Path, postgres: PostgresServer) -> None:
    assert "no_such" in refusal(work, "--store", postgres.url.replace("/postgres?", "/no_such?"))


def test_a_broken_cassette_file_is_named_and_the_rest_is_used(work: Path, proxy: Starting, salt: str) -> None:
    folder = work / "tape"
    running = proxy("record", cassette=str(folder))
    first, second = chat(f"{salt} 1"), chat(f"{salt} 2")
    recorded = ask(running, first)
    files = set(folder.rglob("*.yaml"))
    ask(running, second)
    running.stop()
    (broken,) = set(folder.rglob("*.yaml")) - files
    text = broken.read_text()
    broken.write_text(text[: len(text) // 2] + "\n\t: [")
    before = contents(folder)
    line = refusal(work, "--mode", "replay", "--cassette", str(folder), "--strict")
    assert f"{broken.name}:" in line
    running.restart(mode="replay")
    running.wait_for(broken.name)
    assert ask(running, first).body == recorded.body
    assert ask(running, second).status == 424
    running.stop()
    assert contents(folder) == before


def test_a_missing_cassette_folder_is_not_made_in_replay(work: Path) -> None:
    refusal(work, "--mode", "replay", "--cassette", "tape")
    assert not (work / "tape").exists()
