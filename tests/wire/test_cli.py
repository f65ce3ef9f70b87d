"""The command line as its users type it: verbs, exit statuses, JSON for scripts, and one line for what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from addons.cli import main
from tests.postgres import PostgresServer
from tests.wire import behaviours
from tests.wire.asking import ask, chat, embed
from tests.wire.proxy import write_settings
from tests.wire.reach import HOSTS, PATIENCE, ROOT, clean_environment
from tests.wire.upstream import Upstream

if TYPE_CHECKING:
    from tests.wire.inside import Inside

Within = Callable[..., "Inside"]

URL = "https://api.openai.com/v1/chat/completions"
BODY = chat("from a child").body

CURL = ["curl", "-sS", "-o", "{out}", "-H", "content-type: application/json", "-d", json.dumps(BODY), URL]
REQUESTS = [
    sys.executable,
    "-c",
    "import requests, sys; requests.post(sys.argv[1], data=sys.argv[2]).raise_for_status()",
]
FETCH = "fetch(process.argv[1], {method: 'POST', body: process.argv[2]}).then(r => process.exit(r.ok ? 0 : 1))"
NODE = ["node", "-e", FETCH]


class Typed:
    """What a command said and how it ended; `home` is where the next one finds the same store."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        """Run one verb in this process; its exit status."""
        self._capsys.readouterr()
        try:
            status = main([*words, "--home", str(self.home)])
        except SystemExit as end:  # argparse ends the program by itself
            status = int(str(end.code))
        said = self._capsys.readouterr()
        self.out, self.err = said.out, said.err
        return status

    def json(self, *words: str) -> Any:
        """What a verb says to scripts."""
        assert self(*words, "--json") == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Verbs with an empty home."""
    monkeypatch.chdir(tmp_path)
    return Typed(tmp_path / "home", capsys)


@pytest.fixture
def filled(inside: Within, typed: Typed, salt: str) -> Typed:
    """Verbs with a home in which a chat (asked twice), a stream and an embedding are stored."""
    proxy = inside(home=typed.home)
    for asked in (chat(salt), chat(salt), chat(salt, stream=True), embed(salt)):
        assert ask(proxy, asked).status == 200
    proxy.stop()
    return typed


def test_ls_show_and_rm(filled: Typed, salt: str) -> None:
    entries = filled.json("ls", "--model", "gpt-test")
    assert [entry["form"] for entry in entries] == ["sse", "plain"]
    assert {(entry["provider"], entry["status"], entry["host"]) for entry in entries} == {
        ("openai", 200, "api.openai.com")
    }
    assert filled("ls") == 0
    assert all(entry["key"][:12] in filled.out for entry in entries)
    assert salt in filled.out
    assert filled("ls", "--provider", "nobody") == 1
    key = entries[1]["key"]
    shown = filled.json("show", key[:8])
    assert {one["request"]["body"]["messages"][0]["content"] for one in shown} == {salt}
    assert filled("show", key) == 0
    assert f"POST {URL}" in filled.out
    assert filled("rm", key[:8]) == 0
    assert (filled("show", key), filled("rm", key[:8])) == (1, 1)


def test_stats_and_prune(filled: Typed) -> None:
    said = filled.json("stats")
    assert said["vectors"] == 1
    assert {(one["model"], one["outcome"]): one["count"] for one in said["tallies"]} == {
        ("gpt-test", "miss"): 2,
        ("gpt-test", "hit"): 1,
        ("embed-test", "miss"): 1,
    }
    assert filled("stats") == 0
    assert "gpt-test" in filled.out
    assert filled("prune") == 2
    assert "--max-age 30d" in filled.err
    assert filled.json("prune", "--max-entries", "1")["replies"] >= 2


def test_an_empty_store(typed: Typed) -> None:
    assert typed.json("stats")["replies"] == 0
    assert (typed("ls"), typed.err) == (1, "nothing stored that matches\n")
    assert typed.json("ls") == []
    assert typed("show", "abcdef") == 1


def test_settings_tell_where_they_come_from(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    write_settings(typed.home, {})
    monkeypatch.setenv("WIRETAPE_VERSION", "7")
    rows = {row["name"]: row for row in typed.json("settings", "--mode", "read")}
    assert (rows["mode"]["value"], rows["mode"]["source"]) == ("read", "command line")
    assert rows["version"]["value"] == "7"
    assert "WIRETAPE_VERSION" in rows["version"]["source"]
    assert rows["port"]["source"] == "default"


def test_ca(typed: Typed) -> None:
    facts = typed.json("ca")
    assert Path(facts["certificate"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert len(facts["sha256"].split(":")) == 32
    assert typed("ca") == 0
    assert facts["sha256"] in typed.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--frob"], "--frob: unknown argument"),
        (["--frob", "ls"], "--frob: unknown argument"),
        (["--mod", "read"], "did you mean --mode?"),
        (["--mode", "banana"], "mode must be 'cache'"),
        (["frob"], "no such verb: 'frob'"),
        (["ls", "--limit", "x"], "no whole number above 0"),
        (["show"], "required: KEY"),
        (["show", "no/key"], "'no/key' is no key"),
        (["rm", "abc"], "6 characters"),
        (["cassette", "move", "x"], "invalid choice"),
        (["exec"], "no command given"),
        (["ls", "--", "x"], "-- goes with exec"),
        (["ls", "--store", "mysql://x"], "store must be sqlite:///PATH or postgresql://"),
        (["ls", "--mode", "replay", "--cassette", "nowhere"], "run.py --mode record"),
        (["explain", "nowhere.json"], "No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_line(words: list[str], said: str, typed: Typed) -> None:
    assert typed(*words) == 2
    assert said in typed.err
    assert typed.err.startswith("wiretape: ")
    assert typed.err.count("\n") == 1
    assert typed.out == ""


def test_a_cassette_and_back(filled: Typed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "tape"
    moved = filled.json("cassette", "export", str(folder))
    other = Typed(tmp_path / "other", capsys)
    assert other.json("cassette", "import", str(folder)) == moved
    assert [one["key"] for one in other.json("ls")] == [one["key"] for one in filled.json("ls")]
    key = other.json("ls", "--model", "gpt-test")[0]["key"]
    assert other.json("show", key)[0]["body"] == filled.json("show", key)[0]["body"]
    spoilt = next(folder.rglob("*.sse.yaml"))
    spoilt.write_text("wiretape: 1\n  x")
    third = Typed(tmp_path / "third", capsys)
    assert third("cassette", "import", str(folder)) == 1
    assert f"{spoilt}:" in third.err
    assert f"imported {moved['replies'] - 1:,} replies" in third.out


def test_verbs_on_postgres(inside: Within, postgres: PostgresServer, typed: Typed, salt: str, tmp_path: Path) -> None:
    url = postgres.fresh_database()
    proxy = inside(home=typed.home, store=url)
    first = ask(proxy, chat(salt))
    assert ask(proxy, chat(salt)).outcome == "hit"
    proxy.stop()
    (entry,) = typed.json("ls", "--store", url)
    assert entry["key"].startswith(first.headers["x-wiretape-key"])
    assert typed.json("show", entry["key"], "--store", url)[0]["body"] == first.body.decode()
    assert typed.json("stats", "--store", url)["replies"] == 1
    assert typed("cassette", "export", str(tmp_path / "tape"), "--store", url) == 0
    assert typed("rm", entry["key"], "--store", url) == 0
    assert typed.json("cassette", "import", str(tmp_path / "tape"), "--store", url)["replies"] == 1
    (row,) = [row for row in typed.json("settings", "--store", "postgresql://u:hidden@h/d") if row["name"] == "store"]
    assert "hidden" not in json.dumps(row)


def command(folder: Path, *words: str, **options: Any) -> subprocess.Popen[str]:
    """`run.py` as a process of its own, in `folder` with its wiretape.yaml."""
    line = [sys.executable, str(ROOT / "run.py"), *words]
    return subprocess.Popen(
        line, cwd=folder, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=2 * PATIENCE)
    return process.returncode, out, err


@pytest.fixture
def folder(tmp_path: Path, upstream: Upstream) -> Path:
    """A working folder whose settings lead to the scripted upstream and a home of its own."""
    authority = tmp_path / "upstream.pem"
    authority.write_bytes(upstream.authority.pem)
    wired = {"ca_file": str(authority), "connect_to": dict.fromkeys(HOSTS, upstream.address)}
    return write_settings(tmp_path / "home", {"home": str(tmp_path / "home"), "upstream": wired})


@pytest.mark.parametrize("program", [CURL, REQUESTS, NODE], ids=["curl", "python-requests", "node-fetch"])
def test_exec_gives_children_all_they_need(program: Sequence[str], folder: Path, upstream: Upstream) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    line = [word.replace("{out}", str(folder / "out")) for word in program]
    if program is not CURL:
        line += [URL, json.dumps(BODY)]
    status, out, err = ended(command(folder, "exec", "--", *line))
    assert (status, out) == (0, ""), err
    assert err == "wiretape (cache): 1 call: 1 miss.\n"


def test_exec_passes_the_exit_status_and_the_words_as_they_are(folder: Path) -> None:
    script = """printf '%s|' "$@"; echo "to stderr" >&2; exit 7"""
    words = ["a b", 'c"d', "e'f", "--", "--json", "$HOME", "*", ""]
    status, out, err = ended(command(folder, "exec", "--quiet", "--", "sh", "-c", script, "sh", *words))
    assert (status, err) == (7, "to stderr\n")
    assert out == "".join(f"{word}|" for word in words)


@pytest.mark.parametrize(
    ("line", "expected", "said"),
    [
        (["no-such-command"], 127, "no-such-command: there is no such command"),
        (["/etc/passwd"], 126, "/etc/passwd: it cannot be run"),
    ],
)
def test_exec_of_what_cannot_be_run(line: list[str], expected: int, said: str, folder: Path) -> None:
    status, out, err = ended(command(folder, "exec", "--", *line))
    assert (status, out) == (expected, "")
    assert said in err
    assert err.count("\n") == 1


def test_exec_passes_signals_on(folder: Path) -> None:
    script = "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    process = command(folder, "exec", "--quiet", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (3, "caught\n", "")


def test_exec_in_replay_says_how_to_record(folder: Path) -> None:
    line = ["sh", "-c", f"curl -sS -d '{json.dumps(BODY)}' {URL}"]
    status, out, err = ended(command(folder, "--mode", "replay", "exec", "--", *line))
    assert status == 0
    assert "not recorded" in json.loads(out)["error"]["message"]
    assert err == (
        "wiretape (replay): 1 call: 1 not-recorded. Record what is missing with: run.py --mode record exec -- COMMAND\n"
    )


def test_interrupted_twice_it_goes_at_once(folder: Path, upstream: Upstream, salt: str) -> None:
    asked = threading.Event()
    upstream.script(salt, behaviours.stalled(asked))
    process = command(folder, "--port", "0", "--drain-timeout", "1h")
    assert process.stderr is not None
    url = process.stderr.readline().split()[3]
    body = json.dumps(chat(salt).body)
    curl = subprocess.Popen(["curl", "-sS", "-d", body, f"{url}/v1/chat/completions"], stderr=subprocess.DEVNULL)
    upstream.wait_for(1, salt)
    process.send_signal(signal.SIGINT)
    while "is stopping" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 130
    assert curl.wait(PATIENCE) != 0
    asked.set()


@pytest.mark.parametrize("verb", [["ls"], ["settings"], ["stats"], ["--help"], ["show", "KEY"]], ids=lambda v: v[0])
def test_a_reader_that_leaves_early_sees_no_traceback(verb: list[str], filled: Typed, tmp_path: Path) -> None:
    key = filled.json("ls")[0]["key"]
    words = [word.replace("KEY", key) for word in verb]
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, str(ROOT / "run.py"), *words, "--home", str(filled.home)]
    done = subprocess.run(
        line,
        stdout=writing,
        stderr=subprocess.PIPE,
        env=clean_environment(),
        cwd=tmp_path,
        check=False,
        timeout=PATIENCE,
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == (0 if verb == ["--help"] else 1)
