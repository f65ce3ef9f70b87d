"""What a provider would answer: realistic bodies for every protocol, stamped with the request's serial number."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.wire.answers import anthropic, bedrock, cohere, gemini, ollama, openai
from tests.wire.answers.answer import Answer, json_answer
from tests.wire.requests import Request

ROUTES: list[tuple[str, Callable[[Request], Answer]]] = [
    (r"POST /api/chat$", ollama.chat),
    (r"POST /api/generate$", ollama.generate),
    (r"POST /api/embed$", ollama.embed),
    (r"GET /api/tags$", ollama.tags),
    (r"POST /v2/chat$", cohere.chat),
    (r"POST /v2/embed$", cohere.embed),
    (r"POST /v2/rerank$", cohere.rerank),
    (r"POST /v1/messages/count_tokens$", anthropic.count_tokens),
    (r"POST (/.*)?/messages$", anthropic.messages),
    (r"POST .*:generateContent$", gemini.generate),
    (r"POST .*:streamGenerateContent$", gemini.stream),
    (r"POST .*:embedContent$", gemini.embed),
    (r"POST .*:batchEmbedContents$", gemini.batch_embed),
    (r"POST .*:countTokens$", gemini.count_tokens),
    (r"POST /model/.+/converse$", bedrock.converse),
    (r"POST /model/.+/converse-stream$", bedrock.converse_stream),
    (r"POST /model/.+/invoke$", bedrock.invoke),
    (r"POST /model/.+/invoke-with-response-stream$", bedrock.invoke_stream),
    (r"POST .*/chat/completions$", openai.chat),
    (r"POST .*/completions$", openai.completions),
    (r"POST .*/responses$", openai.responses),
    (r"POST .*/embeddings$", openai.embeddings),
    (r"GET .*/models$", openai.models),
]


def answer(request: Request) -> Answer:
    """What the provider would answer, by method and path alone.

    Errors are in OpenAI's shape: 404 for any other path, 400 for a body that is none of the protocol's.
    """
    line = f"{request.method} {request.path}"
    for pattern, make in ROUTES:
        if re.match(pattern, line):
            try:
                return make(request)
            except (AttributeError, KeyError, IndexError, TypeError, RecursionError) as error:
                invalid = {"message": f"cannot be read: {error}", "type": "invalid_request_error", "code": None}
                return json_answer(request, {"error": invalid}, status=400)
    unknown = {"message": f"unknown route {line}", "type": "invalid_request_error", "code": "unknown_url"}
    return json_answer(request, {"error": unknown}, status=404)
