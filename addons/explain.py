"""Why a request is not recorded: the nearest recording, and what differs from it."""

from __future__ import annotations

import asyncio
import difflib
import itertools
import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from addons.exchange import Exchange
from addons.frames import FORM as FRAME
from addons.identity import settled
from addons.items import item_keys
from addons.protocols.base import Batch, Protocol
from addons.secrets import KEPT_REQUEST_HEADERS, document, redacted
from cache import Query, Reply, Store

_CANDIDATES = 200
"""So many recordings of the same endpoint are compared, newest first."""

_SHOWN = 5
_WIDTH = 70
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the recording and the request differ; None stands for "not there"."""

    path: str
    recorded: str | None
    asked: str | None

    def __str__(self) -> str:
        return f"{self.path}: recorded {self.recorded or 'nothing'}, asked {self.asked or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why there is no recording. `reason` is one of: `nothing recorded for this host`,
    `nothing recorded for this endpoint`, `exhausted: …`, `differs`, `form differs`, or why the request is excluded."""

    reason: str
    nearest: str = ""
    differences: Sequence[Difference] = field(default=())
    how: str = ""

    def __str__(self) -> str:
        lines = [f"not recorded ({self.reason})"]
        if self.nearest:
            lines.append(f"nearest recording: {self.nearest}")
        lines += [f"  {difference}" for difference in self.differences[:_SHOWN]]
        if len(self.differences) > _SHOWN:
            lines.append(f"  and {len(self.differences) - _SHOWN} more differences")
        if self.how:
            lines.append(f"record it with: {self.how}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "reason": self.reason,
            "nearest": self.nearest or None,
            "differences": [{"path": d.path, "recorded": d.recorded, "asked": d.asked} for d in self.differences],
            "record_with": self.how or None,
        }


def _leaves(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """Every leaf of a JSON value with its path; empty containers are leaves."""
    if isinstance(value, Mapping) and value:
        for name, member in value.items():
            yield from _leaves(member, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path or "body", value


def comparable(request: bytes, protocol: Protocol) -> dict[str, Any]:
    """Path → value of all that counts in a stored request document."""
    content = json.loads(request)
    leaves = dict(_leaves(settled(protocol, content.get("body"))))
    url = str(content.get("url", ""))
    leaves["url"] = url.partition("?")[0]
    for pair in url.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        if name and name not in protocol.noise_query:
            leaves[f"query.{name}"] = value
    for name, value in content.get("headers", []):
        if name in protocol.key_headers or name not in KEPT_REQUEST_HEADERS:
            leaves[f"header.{name}"] = value
    return leaves


def short(value: Any, other: Any = None) -> str:
    """A value as JSON, shortened around the place where it begins to differ from `other`."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if isinstance(value, str) and isinstance(other, str) and len(text) > _WIDTH:
        same = next(itertools.compress(itertools.count(), map(operator.ne, text, other)), min(len(text), len(other)))
        start = max(0, min(same - 20, len(text) - _WIDTH))
        text = ("…" if start else "") + text[start : start + _WIDTH] + ("…" if start + _WIDTH < len(text) else "")
    elif len(text) > _WIDTH:
        text = text[:_WIDTH] + "…"
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) else text


def differences(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Difference]:
    """Where two requests differ, in the order of the request asked."""
    found = []
    for path in dict.fromkeys((*asked, *recorded)):
        old, new = recorded.get(path, _MISSING), asked.get(path, _MISSING)
        if old is new or (type(old) is type(new) and old == new):
            continue
        found.append(
            Difference(
                path,
                None if old is _MISSING else short(old, new),
                None if new is _MISSING else short(new, old),
            )
        )
    return found


def _closeness(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> tuple[int, float]:
    """Fewest differing leaves first, then how alike the differing texts are."""
    differing = [p for p in {*recorded, *asked} if recorded.get(p, _MISSING) != asked.get(p, _MISSING)]
    likeness = 0.0
    for path in differing[:8]:
        old, new = recorded.get(path), asked.get(path)
        if isinstance(old, str) and isinstance(new, str):
            likeness += difflib.SequenceMatcher(None, old[-400:], new[-400:], autojunk=False).quick_ratio()
    return len(differing), -likeness


def nearest(request: bytes, protocol: Protocol, candidates: Sequence[Reply]) -> tuple[Reply, list[Difference]] | None:
    """The recording with the fewest differences from the request asked, and what they are."""
    asked = comparable(request, protocol)
    best: tuple[tuple[int, float], Reply, dict[str, Any]] | None = None
    for candidate in candidates:
        recorded = comparable(candidate.request, protocol)
        closeness = _closeness(recorded, asked)
        if best is None or closeness < best[0]:
            best = (closeness, candidate, recorded)
    return None if best is None else (best[1], differences(best[2], asked))


async def unknown_inputs(store: Store, found: Exchange, namespace: str) -> dict[int, Any] | None:
    """The inputs of an embedding request that have no vector in the store, by their place in it.

    None where not even the model and parameters are known, or the request is none that is answered
    input by input. Raises StoreError.
    """
    call, protocol = found.call, found.protocol
    if call is None or not found.key or found.level == "exact" or not isinstance(protocol, Batch):
        return None
    inputs = protocol.split(call)
    if not inputs:
        return None
    space, keys = item_keys(found, call, protocol, inputs, namespace)
    known = await store.get_vectors(found.tenant, list(dict.fromkeys(keys)))
    if not known and not await store.count(found.tenant, space, FRAME):
        return None
    return {place: inputs[place] for place, key in enumerate(keys) if key not in known}


async def explain(store: Store, found: Exchange, how: str, namespace: str) -> Explanation:
    """Why `found` has no recording. Raises StoreError if the store cannot tell."""
    if found.reason:
        excluded = "" if found.reason.startswith("exhausted") else "excluded: "
        return Explanation(excluded + found.reason, how=how)
    call = found.call
    if call is None or not found.key:
        return Explanation("excluded: the request was not read", how=how)
    for same in await store.find(Query(found.tenant, key_prefix=found.key, limit=1)):
        return Explanation(f"form differs: recorded as {same.form}, asked for as {found.form}", same.key[:12], how=how)
    if unknown := await unknown_inputs(store, found, namespace):
        secret = sorted(found.secrets)
        inputs = {at: redacted(item, secret) for at, item in unknown.items()}
        return Explanation(
            "differs",
            differences=[Difference(f"input[{at}]", None, short(item)) for at, item in inputs.items()],
            how=how,
        )
    if not await store.find(Query(found.tenant, host=found.host, limit=1)):
        return Explanation("nothing recorded for this host", how=how)
    wanted = Query(found.tenant, host=found.host, operation=found.operation, limit=_CANDIDATES)
    asked = document(call, found.protocol, f"{found.scheme}://{found.host}", found.secrets)
    candidates = await store.find(wanted)
    best = await asyncio.to_thread(nearest, asked, found.protocol, candidates)
    if best is None:
        return Explanation("nothing recorded for this endpoint", how=how)
    # Equal as far as it is stored: what differs then stands in no request, or is none of the store's business.
    reason = "differs" if best[1] else "differs in namespace, level of matching, or what is not stored of a request"
    return Explanation(reason, f"{best[0].key[:12]} ({best[0].model or best[0].operation})", best[1], how)
