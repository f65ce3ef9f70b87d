"""A folder of cassette files: what they are called, how they are read all at once and written one by one."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from cache.cassette.file import Contents, load_cassette
from cache.cassette.replies import LOCAL_TENANT
from cache.cassette.yaml_text import BrokenCassette
from cache.entry import Reply, Vector
from cache.store import StoreError

type Identity = tuple[str, str, str]
"""What the repeats in one file have in common: tenant, key, form."""

_NAME_LENGTH = 26
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])\Z")
_KEY = re.compile(r"[0-9a-f]{12,}")


@dataclass(slots=True)
class Scan:
    """What a folder holds. Paths are relative to it.

    `problems` are lines `path:line: what`, one for each file in `broken`; such a file counts for nothing.
    """

    replies: dict[Path, tuple[Reply, ...]] = field(default_factory=dict)
    vectors: dict[Path, tuple[Vector, ...]] = field(default_factory=dict)
    broken: set[Path] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def identity(reply: Reply) -> Identity:
    """The tenant, key and form of a reply."""
    return reply.tenant, reply.key, reply.form


def reply_path(reply: Reply, taken: Container[Path] = ()) -> Path:
    """Where a request that has no file yet is kept: `provider/operation-model-key[.form].yaml`.

    At most 120 characters, lower case, the same on every system, whatever the names hold. One that is
    `taken` (12 digits of two keys agree) is avoided by a longer digest.
    """
    operation = unquote(reply.operation)
    operation = operation.replace(reply.model, "") if reply.model else operation
    # The end of the operation tells more than its beginning: /v1beta/models/…:generateContent.
    words = [re.sub(r"^(post-)?(v[0-9][a-z0-9]*-)?", "", _slug(operation))[-_NAME_LENGTH:].strip("-") or "call"]
    words += [_slug(reply.model, "."), _short(reply.key)]
    stem = "-".join(word for word in words if word)
    form = "" if reply.form == "plain" else f".{_slug(reply.form)[:10] or 'form'}"
    folder = PurePosixPath(_tenant_folder(reply.tenant), _provider_folder(reply.provider))
    path = Path(folder / f"{stem}{form}.yaml")
    if path not in taken:
        return path
    return Path(folder / f"{'-'.join(words[:1])}-{_digest(*identity(reply))[:32]}{form}.yaml")


def vector_path(vector: Vector) -> Path:
    """Where a vector is kept: one file for a model and the first two digits of keys."""
    space = _digest(vector.provider, vector.host, vector.model)[:12]
    words = [_provider(vector.provider), _slug(vector.model, "."), space, _short(vector.key)[:2]]
    return Path(PurePosixPath(_tenant_folder(vector.tenant), "vectors", "-".join(filter(None, words)) + ".yaml"))


def _slug(text: str, also: str = "") -> str:
    kept = re.sub(rf"[^a-z0-9{re.escape(also)}]+", "-", text.lower())
    return (kept[:_NAME_LENGTH] if also else kept).strip("-.")


def _provider(provider: str) -> str:
    return _slug(provider)[:20].strip("-") or "unknown"


def _provider_folder(provider: str) -> str:
    name = _provider(provider)
    # These names mean devices on Windows, in any folder and with any ending.
    return f"provider-{name}" if _DEVICES.match(name) else name


def _tenant_folder(tenant: str) -> str:
    return "" if tenant == LOCAL_TENANT else f"tenant-{_digest(tenant)[:12]}"


def _short(key: str) -> str:
    return key[:12] if _KEY.fullmatch(key) else _digest(key)[:12]


def _digest(*parts: str) -> str:
    data = b"".join(len(part).to_bytes(8) + part.encode("utf-8", "surrogatepass") for part in parts)
    return hashlib.sha256(data).hexdigest()


def scan(folder: Path) -> Scan:
    """Read every `*.yaml` below a folder, in the order of their names. Raises StoreError if it is none."""
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder" if folder.exists() else f"no cassette folder at {folder}")
    found = Scan()
    seen: dict[tuple[str, ...], Path] = {}
    for path in sorted(folder.rglob("*.yaml")):
        relative = path.relative_to(folder)
        try:
            contents = load_cassette(path.read_bytes())
            _claim(contents, relative, seen)
        except (BrokenCassette, OSError) as error:
            line, what = (error.line, error.what) if isinstance(error, BrokenCassette) else (1, error.strerror)
            found.broken.add(relative)
            found.problems.append(f"{path}:{line}: {what}")
            continue
        if contents.replies:
            found.replies[relative] = contents.replies
        else:
            found.vectors[relative] = contents.vectors
    return found


def _claim(contents: Contents, path: Path, seen: dict[tuple[str, ...], Path]) -> None:
    """Note what a file holds; raises BrokenCassette if another file holds the same."""
    claims: Sequence[tuple[str, ...]] = [(vector.tenant, vector.key) for vector in contents.vectors]
    claims = claims or [identity(contents.replies[0])]
    for claim in claims:
        if claim in seen:
            raise BrokenCassette(1, f"holds the same key {claim[1][:12]} as {seen[claim]}")
    seen.update(dict.fromkeys(claims, path))


def write_file(folder: Path, path: Path, data: bytes) -> None:
    """Put a file in its place in one step; once this returns it survives a crash. Raises StoreError."""
    target = folder / path
    try:
        for parent in reversed(path.parents):
            (folder / parent).mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from None


def remove_file(folder: Path, path: Path) -> None:
    """Remove a file that may be gone already. Raises StoreError."""
    target = folder / path
    try:
        target.unlink(missing_ok=True)
        if target.parent.is_dir():
            _sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"cannot remove {target}: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where a folder can be opened at all."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
