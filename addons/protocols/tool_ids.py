"""Ids that link a tool call to its result: random, echoed by the client, of no meaning beyond the link."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

type Place = tuple[str | int, ...]
"""Where a value stands: the members and list indexes on the way to it."""

_WORD = re.compile(r"[\w-]")


def settle(body: Any, calls: Sequence[str], results: Sequence[str]) -> Any:
    """`body` with linked ids replaced by `{"call": 0}`, `{"call": 1}`, … in the order of their calls.

    `calls` and `results` are dotted paths (`*` is any list index or member) of the ids at either
    end. An id is replaced only if it stands at both ends and nowhere else in the body: one that is
    also quoted in a text means something there. The argument is never altered, and returned as it
    is where nothing changes.
    """
    called = [found for pattern in calls for found in _places(body, pattern.split("."))]
    answered = [found for pattern in results for found in _places(body, pattern.split("."))]
    objects = [(place, {"literal": value}) for place, value in called + answered if isinstance(value, dict)]
    if objects:
        return _replaced(body, objects)  # no provider takes one here; wrapped, it cannot pass for an ordinal of ours
    sites = [(place, value) for place, value in called + answered if isinstance(value, str) and value]
    ids = {value for _, value in called if isinstance(value, str)}
    linked = ids & {value for _, value in answered if isinstance(value, str)}
    sites = [(place, value) for place, value in sites if value in linked]
    if not sites:
        return body
    mentions = _mentions(body, linked)
    standing = Counter(value for _, value in sites)
    settled = dict.fromkeys(value for _, value in sites if mentions[value] == standing[value])
    ordinals = {value: number for number, value in enumerate(settled)}
    return _replaced(body, [(place, {"call": ordinals[value]}) for place, value in sites if value in ordinals])


def _places(value: Any, steps: Sequence[str], place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value that `steps` lead to, in the order of the body, with its place."""
    if not steps:
        yield place, value
        return
    step, rest = steps[0], steps[1:]
    if step == "*" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, rest, (*place, index))
    elif step == "*" and isinstance(value, dict):
        for name, item in value.items():
            yield from _places(item, rest, (*place, name))
    elif isinstance(value, dict) and step in value:
        yield from _places(value[step], rest, (*place, step))


def _mentions(body: Any, ids: set[str]) -> Counter[str]:
    """How often each id stands as a word of its own anywhere in the body, member names included."""
    # Longest first, so that `call_11` is not taken for `call_1`.
    pattern = re.compile("|".join(re.escape(name) for name in sorted(ids, key=len, reverse=True)))
    found: Counter[str] = Counter()
    for text in _strings(body):
        for match in pattern.finditer(text):
            before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
            if not _WORD.match(before) and not _WORD.match(after):
                found[match.group()] += 1
    return found


def _strings(body: Any) -> Iterator[str]:
    waiting = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())


def _replaced(body: Any, changes: Sequence[tuple[Place, Any]]) -> Any:
    """A copy of `body` with new values at some places; what is not on the way to them is shared."""
    copies: dict[Place, Any] = {}

    def copy_of(place: Place) -> Any:
        if place not in copies:
            original = body if not place else copy_of(place[:-1])[place[-1]]
            copies[place] = original.copy()
            if place:
                copies[place[:-1]][place[-1]] = copies[place]
        return copies[place]

    for place, value in changes:
        copy_of(place[:-1])[place[-1]] = value
    return copies.get((), body)
