"""The questions every wire format answers.

Protocols know bytes and dicts only: no proxy, no database, no settings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

PLAIN = "plain"
"""The form of a reply that comes in one piece."""

Reason = Literal["stop", "length", "refusal", "empty", "error", "cut"]
"""How a reply ended: `stop` as it should (tool calls included), `length` at a token limit, `refusal`
by a filter or the model, `empty` without any content, `error` with an error inside a 2xx reply,
`cut` before its end."""


class BadReply(ValueError):
    """The provider's reply is not what the protocol promises (wrong count, dimension, NaN, shape)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a protocol sees it.

    `path` is as on the wire without the query, `params` are the pieces of it a route names in
    braces (`{model}`), percent-decoded. `headers` have lower-case names. `raw` is the body with any
    content encoding undone; `body` is its JSON value (None when there is no body). `key_headers`
    (lower case) can change the answer at this provider, besides those of the protocol.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    body: Any = None
    key_headers: tuple[str, ...] = ()

    def member(self, name: str) -> Any:
        """`body[name]` if the body is an object that has it, else None."""
        return self.body.get(name) if isinstance(self.body, dict) else None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as the provider reported them; None where it did not say."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Whether a 2xx reply is whole and how it ended. `complete` is False for `cut` and `error` only."""

    reason: Reason

    @property
    def complete(self) -> bool:
        return self.reason not in ("cut", "error")


class Protocol(ABC):
    """One wire format."""

    name: ClassVar[str]
    """As routes in providers.yaml call it."""

    noise: ClassVar[Mapping[str, str]] = {}
    """Body fields that cannot change the answer, with the reason. Dotted paths; `*` is any list
    index or any member: `messages.*.content.*.cache_control`."""

    schemas: ClassVar[tuple[str, ...]] = ()
    """Paths (as in `noise`) of JSON schemas: below them the order of object members is kept in
    the key, since models follow it."""

    key_headers: ClassVar[tuple[str, ...]] = ()
    """Request headers (lower case) that can change the answer. All others stay out of the key."""

    noise_query: ClassVar[Mapping[str, str]] = {}
    """Query parameters that cannot change the answer or that only choose the form, with the reason.
    All others are in the key."""

    def form(self, call: Call) -> str:
        """The form the client asks for: `plain`, or how it wants it streamed."""
        return PLAIN

    def operation(self, call: Call) -> str:
        """What is asked for, as a path: the same for all forms of one request."""
        return call.path

    def model(self, call: Call) -> str:
        """The model asked for, or an empty string."""
        model = call.member("model")
        return model if isinstance(model, str) else ""

    def refuses(self, call: Call) -> str | None:
        """Why this request must not be cached (it leans on server state, say), as a short
        lower-case phrase fit for a header (`previous_response_id`), or None."""
        return None

    def settle(self, body: Any) -> Any:
        """The body with what the client merely echoes back (tool-call ids) replaced by ordinals.

        Returns a new value where something changes and never alters its argument. An id is
        replaced only where it links two places, so a request in which one of the two was
        changed stays different.
        """
        return body

    @abstractmethod
    def content(self, call: Call) -> Any:
        """The conversation's roles and content alone (level `content`), as a JSON value."""

    @abstractmethod
    def ending(self, form: str, body: bytes) -> Ending:
        """Judge a whole 2xx reply body, undecoded JSON or the entire stream. Never raises."""

    def tokens(self, form: str, body: bytes) -> Tokens:
        """What a 2xx reply reports as used. Never raises."""
        return Tokens()

    @abstractmethod
    def error(self, status: int, message: str, code: str) -> bytes:
        """An error body in the provider's own shape, as its SDKs read it."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a reply to an embedding request holds, in the order of the inputs sent."""

    vectors: Sequence[bytes]
    """Packed little-endian float32, all of one dimension."""

    model: str
    """As the provider names it in its reply, or an empty string."""

    tokens: int | None
    """What the provider reported for the whole request."""

    rest: Any = None
    """The reply without its vectors, as the protocol needs it for `join`."""


class Batch(Protocol):
    """A wire format whose requests hold many independent inputs (embeddings)."""

    max_items: ClassVar[int]
    """How many inputs the provider takes in one request."""

    @abstractmethod
    def split(self, call: Call) -> list[Any] | None:
        """The inputs as JSON values, each telling by its type what it is (a string is never equal
        to its look-alike token list); None if this request cannot be taken apart (empty or broken
        input, a result type that is not float)."""

    @abstractmethod
    def space(self, call: Call) -> Any:
        """Everything but the inputs that can change a vector (model, dimensions, unknown fields),
        as a JSON value. How vectors are written (`encoding_format`) is not part of it."""

    @abstractmethod
    def ask(self, call: Call, items: Sequence[Any]) -> bytes:
        """A request body for these inputs alone, otherwise as the client wrote it."""

    @abstractmethod
    def answers(self, body: bytes, count: int) -> Answers:
        """Read a 2xx reply to `count` inputs, put in order by the provider's own index.

        Raises BadReply for a wrong count, a repeated or missing index, unequal dimensions, NaN or
        infinite values, or any other shape than promised.
        """

    @abstractmethod
    def join(self, call: Call, answers: Answers) -> bytes:
        """The reply body for the whole request, as the provider would have written it: floats or
        base64 as `call` asks, usage included."""
