"""OpenAI's legacy text completions, as vLLM, llama.cpp, Together, Fireworks and others still serve them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from addons.protocols.base import Call, Reason
from addons.protocols.openai import LABELS, PROMPT_CACHE, STREAMING, Openai, Parts
from addons.protocols.openai_chat import choices_reason


class OpenaiCompletions(Openai):
    """`POST /v1/completions`. Reference: https://platform.openai.com/docs/api-reference/completions."""

    name: ClassVar[str] = "openai_completions"
    noise: ClassVar[Mapping[str, str]] = {**STREAMING, **LABELS, **PROMPT_CACHE}
    schemas: ClassVar[tuple[str, ...]] = (
        "response_format.json_schema.schema",
        "response_format.schema",
        "json_schema",
        "guided_json",
        "structured_outputs.json",
    )

    def content(self, call: Call) -> Any:
        if not isinstance(call.body, dict) or "prompt" not in call.body:
            return call.body
        return {name: call.body[name] for name in ("prompt", "suffix") if call.body.get(name) is not None}

    def reason(self, parts: Parts) -> Reason:
        return choices_reason(parts)
