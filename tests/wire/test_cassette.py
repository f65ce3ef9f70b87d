"""A folder of text files as the store of a real proxy: readable, exact, and mergeable."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.wire.asking import KEY, Ask, Got, ask, chat, embed, streams
from tests.wire.upstream import Upstream

if TYPE_CHECKING:
    from tests.wire.inside import Inside

Within = Callable[..., "Inside"]


def recorded(inside: Within, folder: Path, asked: Sequence[Ask]) -> list[Got]:
    """Ask everything of a proxy that records into `folder`."""
    recorder = inside("record", cassette=str(folder))
    answers = [ask(recorder, one) for one in asked]
    recorder.stop()
    assert {answer.outcome for answer in answers} == {"miss"}
    return answers


def replayed(inside: Within, folder: Path, asked: Sequence[Ask]) -> list[Got]:
    proxy = inside("replay", cassette=str(folder))
    answers = [ask(proxy, one) for one in asked]
    proxy.stop()
    return answers


def test_every_protocol_byte_for_byte(inside: Within, tmp_path: Path, upstream: Upstream, salt: str) -> None:
    asked = [*streams(salt), chat(salt), chat(salt), embed(salt, encoding_format="base64"), embed(salt, "other")]
    folder = tmp_path / "tape"
    before = recorded(inside, folder, asked)
    with upstream.down():
        after = replayed(inside, folder, asked)
    for one, first, second in zip(asked, before, after, strict=True):
        assert (second.outcome, second.status) == ("hit", 200), one.name
        assert second.body == first.body, one.name
        assert second.headers["content-type"] == first.headers["content-type"], one.name
    written = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert KEY.encode() not in written


def test_files_can_be_read_and_stay_as_they_are(inside: Within, tmp_path: Path, salt: str) -> None:
    folder = tmp_path / "tape"
    recorded(inside, folder, [chat(f"{salt} déjà vu"), chat(salt, stream=True)])
    plain, stream = sorted(folder.rglob("*.yaml"), key=lambda file: file.name.endswith(".sse.yaml"))
    assert plain.parent == stream.parent == folder / "openai"
    assert plain.name.startswith("chat-completions-gpt-test-")
    text = plain.read_text()
    assert f"content: {salt} déjà vu\n" in text
    assert max(map(len, text.splitlines())) <= 200
    assert len(text.splitlines()) < 60
    contents = {file: file.read_bytes() for file in (plain, stream)}
    replayed(inside, folder, [chat(f"{salt} déjà vu")])
    assert {file: file.read_bytes() for file in folder.rglob("*.yaml")} == contents


def test_two_recordings_merge_as_a_union_of_files(inside: Within, tmp_path: Path, salt: str) -> None:
    one, two, both = chat(f"one {salt}"), chat(f"two {salt}"), chat(f"both {salt}")
    recorded(inside, tmp_path / "ours", [one, both])
    recorded(inside, tmp_path / "theirs", [two, both])
    theirs = {file.relative_to(tmp_path / "theirs") for file in (tmp_path / "theirs").rglob("*.yaml")}
    ours = {file.relative_to(tmp_path / "ours") for file in (tmp_path / "ours").rglob("*.yaml")}
    assert len(theirs & ours) == 1, "one request has one place whoever records it"
    shutil.copytree(tmp_path / "ours", tmp_path / "theirs", dirs_exist_ok=True)
    answers = replayed(inside, tmp_path / "theirs", [one, two, both])
    assert [answer.outcome for answer in answers] == ["hit"] * 3


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_merges_two_branches(inside: Within, tmp_path: Path, salt: str) -> None:
    repository = tmp_path / "repository"
    folder = repository / "tape"
    repository.mkdir()

    def git(*words: str) -> None:
        identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.com", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *words], cwd=repository, check=True, capture_output=True)

    git("init")
    base, one, two = embed(f"base {salt}"), embed(f"one {salt}"), chat(f"two {salt}")
    recorded(inside, folder, [base, chat(f"base {salt}")])
    for command in (["add", "."], ["commit", "-m", "base"], ["checkout", "-b", "other"]):
        git(*command)
    recorded(inside, folder, [one])
    for command in (["add", "."], ["commit", "-m", "one"], ["checkout", "main"]):
        git(*command)
    recorded(inside, folder, [two])
    for command in (["add", "."], ["commit", "-m", "two"], ["merge", "other", "-m", "both"]):
        git(*command)
    answers = replayed(inside, folder, [base, one, two, chat(f"base {salt}")])
    assert [answer.outcome for answer in answers] == ["hit"] * 4
