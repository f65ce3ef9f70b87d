"""Gemini's generate and count methods: forms, state, links, endings, tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from addons.protocols.base import Call, Tokens
from addons.protocols.gemini import GeminiCountTokens, GeminiGenerate

SAMPLES = Path(__file__).parents[1] / "samples"
STREAM = (SAMPLES / "gemini_generate.sse").read_bytes()
ARRAY = (SAMPLES / "gemini_generate.array.json").read_bytes()
GENERATE = GeminiGenerate()
COUNT = GeminiCountTokens()
MODEL = "/v1beta/models/gemini-2.5-flash"


def call(verb: str = "generateContent", query: tuple[tuple[str, str], ...] = (), **body: Any) -> Call:
    return Call("POST", f"{MODEL}:{verb}", query=query, body=body)


def reply(*finishes: str | None, text: str = "Hi", **members: Any) -> bytes:
    candidates = [
        {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish, "index": place}
        for place, finish in enumerate(finishes)
    ]
    return orjson.dumps({"candidates": candidates, **members})


def test_form_and_operation() -> None:
    streamed, sse = call("streamGenerateContent"), call("streamGenerateContent", (("alt", "sse"),))
    assert [GENERATE.form(each) for each in (call(), streamed, sse)] == ["plain", "json-array", "sse"]
    assert {GENERATE.operation(each) for each in (call(), streamed, sse)} == {f"{MODEL}:generateContent"}
    assert GENERATE.operation(call("countTokens")) == f"{MODEL}:countTokens"
    vertex = "/v1/projects/p/locations/l/publishers/google/models/m"
    assert GENERATE.operation(Call("POST", f"{vertex}:streamGenerateContent")) == f"{vertex}:generateContent"


def test_another_framing_is_another_form() -> None:
    unary = [call(query=(("alt", alt),)) for alt in ("json", "sse", "proto", "json;enum-encoding=int")]
    streamed = [call("streamGenerateContent", (("alt", alt),)) for alt in ("json", "sse", "proto")]
    assert len({GENERATE.form(each) for each in unary + streamed}) == 7
    odd = GENERATE.form(unary[-1])
    assert GENERATE.ending(odd, reply("STOP")) == GENERATE.ending("plain", reply("STOP"))
    assert GENERATE.ending(odd, b"data: {}\n\n").reason == "cut"


def test_model_is_in_the_path() -> None:
    assert GENERATE.model(call()) == "gemini-2.5-flash"
    assert GENERATE.model(Call("POST", "/x", {"model": "m"})) == "m"


FILE = "https://generativelanguage.googleapis.com/v1beta/files/abc"


def part(**members: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [members]}]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
        ({"cached_content": "cachedContents/1"}, "cachedContent"),
        ({"cachedContent": None}, None),
        (part(fileData={"fileUri": FILE}), "fileData"),
        (part(file_data={"file_uri": "files/abc"}), "fileData"),
        (part(functionResponse={"parts": [{"file_data": {"file_uri": FILE}}]}), "fileData"),
        (part(functionResponse={"response": {"fileData": {"fileUri": FILE}}}), None),
        (part(fileData={"fileUri": "https://www.youtube.com/watch?v=1"}), None),
        (part(fileData={"fileUri": "gs://bucket/a.pdf"}), None),
        ({"systemInstruction": {"parts": [{"fileData": {"fileUri": FILE}}]}}, "fileData"),
        ({"tools": [{"fileSearch": {"fileSearchStoreNames": ["s"]}}]}, "fileSearch"),
        ({"tools": [{"retrieval": {"vertexAiSearch": {"datastore": "d"}}}]}, "retrieval"),
        ({"tools": {"mcp_servers": [{"url": "u"}]}}, "mcpServers"),
        ({"tools": [{"googleSearch": {}}]}, None),
    ],
)
def test_what_leans_on_state_is_refused(body: dict[str, Any], reason: str | None) -> None:
    assert GENERATE.refuses(call(**body)) == reason
    assert COUNT.refuses(call("countTokens", generateContentRequest=body)) == reason


def test_a_representation_other_than_json_is_refused() -> None:
    assert GENERATE.refuses(call(query=(("alt", "proto"),))) == "alt"
    assert GENERATE.refuses(call(query=(("alt", "json"),))) is None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("functionCall", "functionResponse"),
        ("function_call", "function_response"),
        ("toolCall", "toolResponse"),
        ("executableCode", "codeExecutionResult"),
    ],
)
def test_echoed_ids_do_not_count_but_their_links_do(asked: str, told: str) -> None:
    def body(called: str, answered: str) -> dict[str, Any]:
        parts = [{asked: {"id": called, "args": {"id": "kept"}}}, {told: {"id": answered}}]
        return {"contents": [{"parts": [part]} for part in parts]}

    settled = GENERATE.settle(body("a", "a"))
    assert settled == GENERATE.settle(body("b", "b"))
    assert settled["contents"][0]["parts"][0][asked]["args"] == {"id": "kept"}
    assert settled != GENERATE.settle(body("a", "b")) != GENERATE.settle(body("b", "a"))


def test_content_is_the_conversation_alone() -> None:
    said = part(text="Hi")
    system = {"parts": [{"text": "Be brief."}]}
    one = call(**said, systemInstruction=system, generationConfig={"temperature": 0})
    assert GENERATE.content(one) == GENERATE.content(call(**said, system_instruction=system))
    assert GENERATE.content(one) != GENERATE.content(call(**said))
    nested = call("countTokens", generateContentRequest={**said, "systemInstruction": system})
    assert COUNT.content(nested) == GENERATE.content(one)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (reply("STOP"), "stop"),
        (reply("MAX_TOKENS"), "length"),
        (reply("SAFETY"), "refusal"),
        (reply("STOP", "RECITATION"), "refusal"),
        (reply("STOP", text=""), "empty"),
        (reply("MALFORMED_FUNCTION_CALL", text=""), "empty"),
        (reply(None), "stop"),
        (b'{"candidates":[{"finishReason":"STOP","content":{"parts":[{"functionCall":{"name":"f"}}]}}]}', "stop"),
        (b'{"promptFeedback":{"blockReason":"SAFETY"}}', "refusal"),
        (b'{"usageMetadata":{"promptTokenCount":3}}', "empty"),
        (b"{}", "error"),
        (b"[]", "error"),
        (b'{"error":{"code":500}}', "error"),
        (reply("STOP")[:-1], "cut"),
        (b"", "cut"),
    ],
)
def test_how_a_plain_reply_ended(body: bytes, reason: str) -> None:
    assert GENERATE.ending("plain", body).reason == reason


def test_a_stream_is_whole_only_with_its_last_event() -> None:
    assert GENERATE.ending("sse", STREAM).reason == "stop"
    for place in range(len(STREAM.rstrip())):
        assert GENERATE.ending("sse", STREAM[:place]).reason == "cut"


def test_an_array_is_whole_only_with_its_bracket() -> None:
    assert GENERATE.ending("json-array", ARRAY).reason == "stop"
    for place in range(len(ARRAY.rstrip())):
        assert GENERATE.ending("json-array", ARRAY[:place]).reason == "cut"
    assert GENERATE.ending("json-array", b'[{"error":{"code":503}}]').reason == "error"
    assert GENERATE.ending("json-array", b"[]").reason == "cut"


def sse(*chunks: bytes) -> bytes:
    return b"".join(b"data: " + chunk + b"\r\n\r\n" for chunk in chunks)


def test_a_stream_waits_for_every_candidate() -> None:
    first, second = reply("STOP", None), b'{"candidates":[{"index":1,"finishReason":"MAX_TOKENS"}]}'
    assert GENERATE.ending("sse", sse(first)).reason == "cut"
    assert GENERATE.ending("sse", sse(first, second)).reason == "length"


def test_chunks_may_follow_the_reason() -> None:
    late = b'{"candidates":[{"groundingMetadata":{}}],"usageMetadata":{"promptTokenCount":2}}'
    assert GENERATE.ending("sse", sse(reply("STOP"), late)).reason == "stop"
    assert GENERATE.ending("sse", sse(reply("STOP"), b'{"error":{"code":500}}')).reason == "error"


def test_tokens() -> None:
    assert GENERATE.tokens("sse", STREAM) == Tokens(input=9, output=22, cached=4, reasoning=20)
    assert GENERATE.tokens("json-array", ARRAY) == Tokens(input=5, output=6)
    usage = {"promptTokenCount": 4, "toolUsePromptTokenCount": 6, "candidatesTokenCount": 2}
    assert GENERATE.tokens("plain", reply("STOP", usageMetadata=usage)) == Tokens(input=10, output=2)
    assert GENERATE.tokens("plain", b"{") == Tokens()


def test_counting() -> None:
    assert COUNT.ending("plain", b'{"totalTokens":7}').reason == "stop"
    assert COUNT.ending("plain", b'{"error":{}}').reason == "error"
    assert COUNT.ending("plain", b'{"totalTokens"').reason == "cut"
    assert COUNT.tokens("plain", b'{"totalTokens":7}') == Tokens()


def test_error_has_the_providers_shape() -> None:
    error = orjson.loads(GENERATE.error(424, "nothing recorded", "not_recorded"))["error"]
    assert (error["code"], error["status"], error["message"]) == (424, "FAILED_PRECONDITION", "nothing recorded")
    assert error["details"][0]["reason"] == "NOT_RECORDED"
