"""Keys ignore the order of object members and the spacing, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.protocols.strict_json import loads
from cache.keys import canonical, digest

NAMES = st.text(max_size=3) | st.sampled_from(["a", "b", "\ud800", "ä", ""])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.integers(2**63 - 2, 2**64 + 2)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, -0.0, 1.0, 1e16, 1e-7, "1", "1.0", "null", "\ud800", "\udc00x", "\0", "é", "e\u0301"])
    | st.text(max_size=4)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)


def same(left: Any, right: Any) -> bool:
    """Equal as JSON, where numbers written differently, as integer or not, are different."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return repr(left) == repr(right)
    return bool(left == right)


def rewritten(value: Any, spaces: str, escaped: bool) -> bytes:
    """The same JSON with members in the opposite order, other spacing and other escapes."""

    def turned(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: turned(part[name]) for name in reversed(part)}
        return [turned(item) for item in part] if isinstance(part, list) else part

    text = json.dumps(turned(value), ensure_ascii=escaped, separators=("," + spaces, spaces + ":" + spaces))
    try:
        return (spaces + text + spaces).encode()
    except UnicodeEncodeError:
        return json.dumps(turned(value)).encode()  # a lone surrogate can only be written as an escape


@given(VALUES, st.sampled_from(["", " ", "\n\t "]), st.booleans())
def test_order_of_members_spacing_and_escapes_do_not_matter(value: Any, spaces: str, escaped: bool) -> None:
    plain = loads(json.dumps(value).encode())
    assert canonical(loads(rewritten(plain, spaces, escaped))) == canonical(plain)


@given(VALUES, VALUES)
def test_values_have_equal_bytes_only_if_they_are_equal(left: Any, right: Any) -> None:
    left, right = loads(json.dumps(left).encode()), loads(json.dumps(right).encode())
    assert (canonical(left) == canonical(right)) == same(left, right)


@given(VALUES, st.data())
def test_one_changed_leaf_changes_the_bytes(value: Any, draw: st.DataObject) -> None:
    value = loads(json.dumps([value]).encode())
    changed = json.loads(json.dumps(value))
    holder: Any = changed
    place: Any = 0
    while isinstance(holder[place], (dict, list)) and holder[place]:
        holder = holder[place]
        place = draw.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    new = draw.draw(LEAVES)
    before = holder[place]
    holder[place] = new
    assert (canonical(changed) == canonical(value)) == same(before, new)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1", "1.0"),
        ("0", "-0.0"),
        ("0.0", "-0.0"),
        ("true", "1"),
        ("null", '"null"'),
        ("1", '"1"'),
        ("[1,2]", "[2,1]"),
        ("[[1],2]", "[[1,2]]"),
        ("{}", "[]"),
        ('{"a":null}', "{}"),
        ("18446744073709551616", "18446744073709551617"),
        ("18446744073709551616", "1.8446744073709552e19"),
        ("9007199254740993", "9007199254740992"),
        ('"\\ud800"', '"\\udc00"'),
        ('"\\ud800"', '"\\\\ud800"'),
        ('"\\u00e9"', '"e\\u0301"'),
        ('{"a":"\\ud800","b":1}', '{"a":"\\ud800","b":1.0}'),
    ],
)
def test_what_differs_differs(left: str, right: str) -> None:
    assert canonical(loads(left.encode())) != canonical(loads(right.encode()))


def test_deep_nesting_is_told_apart_too() -> None:
    deep = b"[" * 400 + b"%d" + b"]" * 400
    assert canonical(loads(deep % 1)) != canonical(loads(deep % 2))
    assert canonical(loads(deep % 1)) == canonical(loads(deep % 1))


def test_a_digest_is_64_hexadecimal_digits_and_does_not_depend_on_order() -> None:
    first, second = digest({"a": 1, "b": [2]}), digest({"b": [2], "a": 1})
    assert first == second
    assert len(first) == 64
    assert set(first) <= set("0123456789abcdef")
    assert digest({"a": 1, "b": [3]}) != first
