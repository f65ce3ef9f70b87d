"""Whatever changes in a request makes another key: each leaf of many requests in turn, the protocols' noise apart."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from addons import identity
from addons.protocols import PROTOCOLS
from addons.protocols.base import Batch, Call, Protocol
from config import Providers
from tests import traffic

type Place = tuple[str | int, ...]

SAMPLES: list[tuple[str, str, dict[str, Any]]] = [
    (
        "openai_chat",
        "/v1/chat/completions",
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "low"}}]},
                {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "r"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x": [1, 2.5]}}}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "logit_bias": {"50256": -100},
            "user": "u",
            "seed": None,
        },
    ),
    (
        "anthropic_messages",
        "/v1/messages",
        {
            "model": "m",
            "max_tokens": 5,
            "metadata": {"user_id": "u"},
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "messages": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": False, "content": []}],
                },
            ],
        },
    ),
    ("ollama_chat", "/api/chat", {"model": "m", "messages": [{"role": "user", "content": "q"}], "keep_alive": "5m"}),
    ("openai_completions", "/v1/completions", {"model": "m", "prompt": ["a", [1, 2]], "echo": False, "user": "u"}),
    ("ollama_generate", "/api/generate", {"model": "m", "prompt": "q", "options": {"num_ctx": 1}, "keep_alive": 1}),
    ("cohere_rerank", "/v2/rerank", {"model": "m", "query": "q", "documents": ["a", "b"], "priority": 1}),
    ("ollama_embed", "/api/embed", {"model": "m", "input": ["a", "b"], "truncate": True, "keep_alive": 1}),
    ("openai_embeddings", "/v1/embeddings", {"model": "m", "input": [[1, 2], [3]], "dimensions": 4, "user": "u"}),
    ("other", "/v1/moderations", {"model": "m", "input": [{"type": "text", "text": "t"}], "extra": {"a": [None, {}]}}),
]


@dataclass(frozen=True, slots=True)
class Request:
    """A call, and who is asked."""

    name: str
    provider: str
    host: str
    protocol: Protocol
    call: Call

    @property
    def identity(self) -> tuple[str, str]:
        """Key and form."""
        return self.key(), self.protocol.form(self.call)

    def key(self, level: str = "normalized") -> str:
        """The key at a level."""
        return identity.key_of(
            self.call, self.protocol, level=level, namespace="", provider=self.provider, host=self.host
        )

    def asking(self, **changes: Any) -> Request:
        """The same with another call."""
        return replace(self, call=replace(self.call, **changes))


def requests() -> list[Request]:
    """Small requests of every kind, and the recorded ones where they are."""
    made = [
        Request(f"sample {name}", "p", "h", PROTOCOLS[name], Call("POST", path, raw=b"{}", body=body))
        for name, path, body in SAMPLES
    ]
    return made + (recorded_requests() if traffic.present() else [])


@functools.cache
def recorded_requests() -> list[Request]:
    """The recorded requests to providers. Raises FileNotFoundError where there are none."""
    providers = Providers.load({}, PROTOCOLS)
    found = []
    for exchange in traffic.load():
        parts = urlsplit(exchange.url)
        host = parts.hostname or ""
        provider = providers.find(parts.scheme, host, parts.port or 443)
        if provider is None or not exchange.request_body:
            continue
        name, params = provider.route(exchange.method, parts.path) or ("other", {})
        call = Call(
            method=exchange.method,
            path=parts.path,
            params=params,
            query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in exchange.request_headers},
            raw=exchange.request_body,
            body=json.loads(exchange.request_body),
        )
        found.append(Request(f"{exchange.id} {name}", provider.name, host, PROTOCOLS[name], call))
    return found


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where anything stands in a JSON value, itself included."""
    yield place
    if isinstance(value, dict | list):
        for name, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(member, (*place, name))


def at(value: Any, place: Place) -> Any:
    """What stands there."""
    return functools.reduce(lambda inner, step: inner[step], place, value)


def changed(leaf: Any) -> Any:
    """Another leaf of the same kind."""
    match leaf:
        case str():
            return leaf + "."
        case bool():
            return not leaf
        case int() | float():
            return leaf + 1
        case None:
            return 0
        case dict():
            return {"unknown": 1}
        case _:
            return [1]


def mutations(body: Any) -> Iterator[tuple[str, Place]]:
    """Changes `body` in one way after another, says what and where, and puts it back after each."""
    for place in list(places(body)):
        value = at(body, place)
        if isinstance(value, dict):
            value["unknown field"] = 1
            yield "added", (*place, "unknown field")
            del value["unknown field"]
        if not place:
            continue
        parent, name = at(body, place[:-1]), place[-1]
        if not isinstance(value, dict | list) or not value:
            parent[name] = changed(value)
            yield "changed", place
        if isinstance(value, int | float):
            parent[name] = str(value)
            yield "made a string", place
        parent[name] = value
        before = copy.copy(parent)
        del parent[name]
        yield "removed", place
        parent.clear() if isinstance(parent, dict) else parent.__delitem__(slice(None))
        parent.update(before) if isinstance(parent, dict) else parent.extend(before)


def is_noise(protocol: Protocol, place: Place) -> bool:
    """Whether the protocol says that what stands there cannot matter."""
    for path in protocol.noise:
        steps = path.split(".")
        fits = (step in ("*", str(name)) for step, name in zip(steps, place, strict=False))
        if len(steps) <= len(place) and all(fits):
            return True
    return False


def pattern(place: Place) -> str:
    """A place with all positions as one."""
    return ".".join("*" if isinstance(step, int) else step for step in place)


def unnoticed(request: Request, identity_of: Callable[[Request], object]) -> list[str]:
    """The changes after which a request is still taken for the same, noise aside."""
    body = copy.deepcopy(request.call.body)
    own = request.asking(body=body)
    before = identity_of(own)
    return [
        f"{request.name}: {pattern(place)} {what}"
        for what, place in mutations(body)
        if identity_of(own) == before and not is_noise(request.protocol, place)
    ]


def test_every_change_makes_another_key() -> None:
    missed = [line for request in requests() for line in unnoticed(request, lambda one: one.identity)]
    assert missed == []


def test_every_change_makes_another_vector() -> None:
    """What an embedding request is looked up by: its inputs one by one, in a space of all the rest."""
    missed = []
    for request in requests():
        if isinstance(request.protocol, Batch) and request.protocol.split(request.call):
            missed += unnoticed(request, vectors)
    # These say how vectors are written, which is done for each client anew; a model may be left to the path.
    free = (": encoding_format ", ": embedding_types", ": requests.*.model removed")
    assert [line for line in missed if not any(name in line for name in free)] == []


def vectors(request: Request) -> object:
    """Inputs and space, or the whole request where it cannot be taken apart; types count, as they do in JSON."""
    protocol = request.protocol
    assert isinstance(protocol, Batch)
    items = protocol.split(request.call)
    return request.identity if items is None else json.dumps([items, protocol.space(request.call)], sort_keys=True)


def test_a_mutation_is_undone() -> None:
    body = copy.deepcopy(SAMPLES[0][2])
    kinds = {what for what, _ in mutations(body)}
    assert kinds == {"added", "changed", "made a string", "removed"}
    assert json.dumps(body) == json.dumps(SAMPLES[0][2])


def test_noise_is_noise_and_nothing_else_is_in_the_key() -> None:
    """Each protocol's noise, put into a request, leaves the key as it was."""
    for request in requests():
        if not isinstance(request.call.body, dict):
            continue
        for name in (name for name in request.protocol.noise if "." not in name):
            noisy = request.asking(body={**request.call.body, name: "noise"})
            assert noisy.key() == request.key(), (request.name, name)


def test_query_parameters_count() -> None:
    for request in requests():
        key, query = request.key(), request.call.query
        unknown = {request.asking(query=(*query, ("unknown", value))).key() for value in "12"}
        assert len({key, *unknown}) == 3, request.name
        assert request.asking(query=(*query, ("api_key", "secret"))).key() == key, "a credential is in the key"
        for number, (name, value) in enumerate(query):
            without = request.asking(query=query[:number] + query[number + 1 :])
            other = request.asking(query=(*query[:number], (name, value + "x"), *query[number + 1 :]))
            free = name in request.protocol.noise_query or name in identity.CREDENTIAL_QUERY
            assert free or request.identity not in (without.identity, other.identity), (request.name, name)


def test_key_headers_count_and_others_do_not() -> None:
    for request in requests():
        headers = request.call.headers
        for name in request.protocol.key_headers:
            assert request.asking(headers={**headers, name: "changed"}).key() != request.key(), (request.name, name)
        assert request.asking(headers={**headers, "user-agent": "another", "x-unknown": "1"}).key() == request.key()


def test_method_path_host_and_provider_count() -> None:
    for request in requests():
        others = [
            request.asking(method="PUT"),
            request.asking(path=request.call.path + "x"),
            replace(request, host="elsewhere"),
            replace(request, provider="another"),
        ]
        assert request.key() not in {other.key() for other in others}


def test_order_of_members_and_spacing_do_not_count() -> None:
    for request in requests():
        raw = json.dumps(request.call.body, indent=3, ensure_ascii=True).encode()
        turned = reversed_members(json.loads(raw), request.protocol)
        same = request.asking(raw=raw, body=turned)
        assert same.identity == request.identity, request.name
        assert same.key("content") == request.key("content"), request.name


def test_order_of_members_in_a_schema_counts() -> None:
    schemas = 0
    for request in requests():
        body = reversed_members(request.call.body, None)
        inside = reversed_members(body, request.protocol)
        if json.dumps(inside) == json.dumps(request.call.body):
            continue  # no schema with two members
        schemas += 1
        assert request.asking(body=body).key() != request.key(), request.name
    assert schemas


def reversed_members(value: Any, protocol: Protocol | None, place: Place = ()) -> Any:
    """The value with the members of its objects in reverse, schemas of the protocol left alone."""
    if protocol is not None and any(fits(path, place) for path in protocol.schemas):
        return value
    if isinstance(value, list):
        return [reversed_members(item, protocol, (*place, index)) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {name: reversed_members(value[name], protocol, (*place, name)) for name in reversed(value)}
    return value


def fits(path: str, place: Place) -> bool:
    """Whether a pattern leads exactly there."""
    steps = path.split(".")
    return len(steps) == len(place) and all(step in ("*", str(name)) for step, name in zip(steps, place, strict=True))


LINKS: Mapping[str, tuple[str, ...]] = {
    "openai_chat": ("messages.*.tool_calls.*.id", "messages.*.tool_call_id"),
    "openai_responses": ("input.*.call_id",),
    "anthropic_messages": ("messages.*.content.*.id", "messages.*.content.*.tool_use_id"),
    "bedrock_converse": ("messages.*.content.*.toolUse.toolUseId", "messages.*.content.*.toolResult.toolUseId"),
    "cohere_chat": ("messages.*.tool_calls.*.id", "messages.*.tool_call_id"),
    "gemini_generate": (
        "contents.*.parts.*.functionCall.id",
        "contents.*.parts.*.functionResponse.id",
    ),
}


def test_ids_that_are_only_echoed_do_not_count() -> None:
    """Another run of the same conversation has other ids: renamed at both ends they make no miss."""
    renamed = 0
    for request in requests():
        ends = LINKS.get(request.protocol.name, ())
        body = copy.deepcopy(request.call.body)
        sites = [place for place in places(body) if any(fits(end, place) for end in ends)]
        standing = [at(body, place) for place in sites]
        text = json.dumps(body)
        for place, name in zip(sites, standing, strict=True):
            linked = isinstance(name, str) and standing.count(name) > 1 and text.count(name) == standing.count(name)
            if linked:
                at(body, place[:-1])[place[-1]] = f"renamed_{standing.index(name)}_in_another_run"
                renamed += 1
        assert request.asking(body=body).key() == request.key(), request.name
    assert renamed > 2
