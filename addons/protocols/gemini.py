"""Google's Gemini API: generating content and counting tokens, also as served by Vertex AI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

from addons.protocols import tool_ids
from addons.protocols.base import PLAIN, Call, Ending, Protocol, Reason, Tokens
from addons.protocols.json_values import at, count, dump, named, objects, parse, sse_values, total
from addons.protocols.openai import tag

_DECLARATIONS = tuple(
    f"tools{tool}.{declarations}.*.{schema}"
    for tool in (".*", "")  # a lone tool need not stand in a list
    for declarations in ("functionDeclarations", "function_declarations")
    for schema in (
        *("parameters", "parametersJsonSchema", "parameters_json_schema"),
        *("response", "responseJsonSchema", "response_json_schema"),
    )
)
_FORMATS = tuple(
    f"{config}.{schema}"
    for config in ("generationConfig", "generation_config")
    for schema in (
        *("responseSchema", "response_schema", "responseJsonSchema", "response_json_schema"),
        *("_responseJsonSchema", "responseFormat.text.schema", "response_format.text.schema"),
    )
)

_PARTS = ("contents.*.parts.*", "contents.parts.*")
_CALLS = ("functionCall", "function_call", "toolCall", "tool_call", "executableCode", "executable_code")
_RESULTS = (
    *("functionResponse", "function_response", "toolResponse", "tool_response"),
    *("codeExecutionResult", "code_execution_result"),
)

_REASONS: Mapping[str, Reason] = {
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        ),
        "refusal",
    ),
}

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    424: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Gemini(Protocol):
    """What all Gemini methods share: the model in the path, the error shape, `alt` in the query."""

    noise_query: ClassVar[Mapping[str, str]] = {
        "alt": "chooses how the reply is framed",
        "$alt": "chooses how the reply is framed",
    }

    def model(self, call: Call) -> str:
        named_by_route = call.params.get("model", "").partition(":")[0]
        return named_by_route or unquote(call.path.rpartition("/")[2]).partition(":")[0]

    def form(self, call: Call) -> str:
        other = alternative(call)
        return PLAIN if other == "json" else f"{PLAIN}+{tag(other)}"

    def refuses(self, call: Call) -> str | None:
        return None if alternative(call) in ("json", "sse") else "alt"

    def error(self, status: int, message: str, code: str) -> bytes:
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code.upper(), "domain": "wiretape"}
        name = _STATUSES.get(status, "UNKNOWN")
        return dump({"error": {"code": status, "message": message, "status": name, "details": [reason]}})


def alternative(call: Call) -> str:
    """The representation asked for in the query: `json` unless it says otherwise."""
    return next((value.lower() for name, value in call.query if name in ("alt", "$alt") and value), "json")


class GeminiGenerate(Gemini):
    """`…/models/{model}:generateContent` and `:streamGenerateContent`.

    Reference: https://ai.google.dev/api/generate-content and the same method of Vertex AI.
    """

    name: ClassVar[str] = "gemini_generate"
    # `serviceTier` is not noise: the reply names the tier it was billed by.
    noise: ClassVar[Mapping[str, str]] = {
        "labels": "tags the bill",
        "store": "says whether the request is logged for the project",
    }
    schemas: ClassVar[tuple[str, ...]] = _DECLARATIONS + _FORMATS

    def form(self, call: Call) -> str:
        if not unquote(call.path).endswith(":streamGenerateContent"):
            return super().form(call)
        other = alternative(call)
        return {"sse": "sse", "json": "json-array"}.get(other) or f"json-array+{tag(other)}"

    def operation(self, call: Call) -> str:
        before, verb, after = call.path.rpartition("streamGenerateContent")
        return f"{before}generateContent" if verb and not after else call.path

    def refuses(self, call: Call) -> str | None:
        for name in ("cachedContent", "cached_content"):
            if call.member(name):
                return "cachedContent"
        contents = [call.member(name) for name in ("contents", "systemInstruction", "system_instruction")]
        if any(map(_names_uploaded_file, contents)):
            return "fileData"
        return _stateful_tool(call.member("tools")) or super().refuses(call)

    def settle(self, body: Any) -> Any:
        calls = [f"{part}.{member}.id" for part in _PARTS for member in _CALLS]
        return tool_ids.settle(body, calls, [f"{part}.{member}.id" for part in _PARTS for member in _RESULTS])

    def content(self, call: Call) -> Any:
        body = self.settle(call.body)
        if not isinstance(body, dict):
            return body
        system = body.get("systemInstruction", body.get("system_instruction"))
        return {"system": system, "contents": body.get("contents")}

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            chunks = list(_chunks(form, body))
        except ValueError:
            return Ending("cut")
        return Ending(_reason(chunks, streamed=not form.startswith(PLAIN)))

    def tokens(self, form: str, body: bytes) -> Tokens:
        usage: dict[str, Any] = {}
        try:
            for chunk in _chunks(form, body):
                reported = at(chunk, "usageMetadata")
                usage.update(reported if isinstance(reported, dict) else {})
        except ValueError:
            return Tokens()
        thoughts = count(usage.get("thoughtsTokenCount"))
        return Tokens(
            input=total(count(usage.get("promptTokenCount")), count(usage.get("toolUsePromptTokenCount"))),
            output=total(count(usage.get("candidatesTokenCount")), thoughts),
            cached=count(usage.get("cachedContentTokenCount")),
            reasoning=thoughts,
        )


class GeminiCountTokens(GeminiGenerate):
    """`…/models/{model}:countTokens`; the request may hold a whole generate request."""

    name: ClassVar[str] = "gemini_count_tokens"
    schemas: ClassVar[tuple[str, ...]] = tuple(
        f"{prefix}{path}"
        for path in GeminiGenerate.schemas
        for prefix in ("", "generateContentRequest.", "generate_content_request.")
    )

    def refuses(self, call: Call) -> str | None:
        nested = call.member("generateContentRequest") or call.member("generate_content_request")
        inner = Call(call.method, call.path, call.params, call.query, call.headers, call.raw, nested)
        return super().refuses(call) or super().refuses(inner)

    def content(self, call: Call) -> Any:
        nested = call.member("generateContentRequest") or call.member("generate_content_request")
        if nested is None:
            return super().content(call)
        return super().content(Call(call.method, call.path, body=nested))

    def ending(self, form: str, body: bytes) -> Ending:
        try:
            reply = parse(body)
        except ValueError:
            return Ending("cut")
        return Ending("error" if count(at(reply, "totalTokens")) is None else "stop")

    def tokens(self, form: str, body: bytes) -> Tokens:
        return Tokens()  # counting is free: the number in the reply was not used up


def _chunks(form: str, body: bytes) -> Iterator[Any]:
    """The reply's pieces, each a GenerateContentResponse. Raises ValueError where one is not whole."""
    if form == "sse":
        yield from sse_values(body)
    elif form.startswith("json-array"):
        pieces = parse(body)
        yield from pieces if isinstance(pieces, list) else [pieces]
    else:
        yield parse(body)


def _reason(chunks: list[Any], streamed: bool) -> Reason:
    """How the candidates ended; the first that did not simply stop speaks for all.

    A stream has ended when every candidate that was begun has a reason to finish. Chunks may follow
    that one (usage, citations); a plain reply is whole by being whole JSON.
    """
    finished: dict[Any, Reason | None] = {}
    says = False
    for chunk in chunks:
        if not isinstance(chunk, dict) or chunk.get("error"):
            return "error"
        if at(chunk, "promptFeedback", "blockReason"):
            return "refusal"
        for candidate in objects(chunk.get("candidates")):
            index, finish = count(candidate.get("index")) or 0, candidate.get("finishReason")
            finished[index] = named(_REASONS, finish, "stop") if finish else finished.get(index)
            says = says or any(map(_says_something, objects(at(candidate, "content", "parts"))))
    if streamed and (not finished or None in finished.values()):
        return "cut"
    if not streamed and not finished and not any("usageMetadata" in chunk for chunk in chunks):
        return "error"
    odd = [reason for reason in finished.values() if reason not in (None, "stop")]
    return odd[0] if odd and odd[0] else "stop" if says else "empty"


def _says_something(part: dict[str, Any]) -> bool:
    return bool(part.get("text")) or any(name not in ("text", "thought", "thoughtSignature") for name in part)


def _names_uploaded_file(value: Any) -> bool:
    """Whether content leans on the Files API. Arguments and results of calls are only data."""
    if isinstance(value, list):
        return any(_names_uploaded_file(item) for item in value)
    if not isinstance(value, dict):
        return False
    for name in ("fileData", "file_data"):
        uri = at(value, name, "fileUri") or at(value, name, "file_uri")
        if isinstance(uri, str) and (uri.startswith("files/") or "generativelanguage.googleapis.com/" in uri):
            return True
    inner = ("parts", "functionResponse", "function_response")
    return any(_names_uploaded_file(value.get(name)) for name in inner)


def _stateful_tool(tools: Any) -> str | None:
    """A tool that reads what the customer stored with the provider, or calls servers of their choice."""
    for tool in objects(tools if isinstance(tools, list) else [tools]):
        for name, word in (
            *(("fileSearch", "fileSearch"), ("file_search", "fileSearch")),
            *(("retrieval", "retrieval"), ("mcpServers", "mcpServers"), ("mcp_servers", "mcpServers")),
        ):
            if tool.get(name):
                return word
    return None
