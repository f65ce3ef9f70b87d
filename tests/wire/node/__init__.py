"""Node programs for the tests, with their packages installed once outside the repository."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
MANIFEST = ("package.json", "package-lock.json", ".npmrc")
PROGRAMS = ("openai.mjs", "fetch.mjs")
INSTALLING = 300
"""Seconds that npm may take."""


class NoNode(Exception):
    """There is no Node here, or npm cannot fetch what the programs need."""


def install() -> Path:
    """A folder with the programs and their packages; npm runs only when the lock file is a new one."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise NoNode("node or npm is not installed")
    mark = hashlib.sha256(b"".join((FOLDER / name).read_bytes() for name in MANIFEST)).hexdigest()[:16]
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    ready = caches / "wiretape-tests" / f"node-{mark}"
    if not ready.is_dir():
        ready.parent.mkdir(parents=True, exist_ok=True)
        _install_into(ready)
    for name in PROGRAMS:
        _replace(FOLDER / name, ready / name)
    return ready


def _install_into(ready: Path) -> None:
    """Install beside and rename, so that a folder of that name is always whole."""
    with tempfile.TemporaryDirectory(dir=ready.parent) as folder:
        made = Path(folder) / "made"
        made.mkdir()
        for name in MANIFEST:
            shutil.copy(FOLDER / name, made / name)
        done = subprocess.run(
            ["npm", "ci", "--no-progress"], cwd=made, capture_output=True, text=True, timeout=INSTALLING, check=False
        )
        if done.returncode:
            raise NoNode(f"npm ci failed: {done.stderr.strip()[-400:]}")
        try:
            made.rename(ready)
        except OSError:
            if not ready.is_dir():  # else somebody else was quicker
                raise


def _replace(source: Path, target: Path) -> None:
    """Copy a file in one step, for another test run may be reading it."""
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as copy:
        copy.write(source.read_bytes())
    Path(copy.name).replace(target)


def run(program: Path, *given: str, env: Mapping[str, str]) -> dict[str, Any]:
    """What a program printed as its one line of JSON. Raises AssertionError with its stderr if it failed."""
    command = ["node", program.name, *given]
    done = subprocess.run(
        command, cwd=program.parent, env=dict(env), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
