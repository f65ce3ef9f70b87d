"""What programs ask through the real SDKs: one function per way of asking, each giving a comparable answer."""

from __future__ import annotations

import pytest

from tests.wire.sdks.anthropic_ways import ANTHROPIC
from tests.wire.sdks.cohere_ways import COHERE
from tests.wire.sdks.gemini_ways import GEMINI
from tests.wire.sdks.mistral_ways import MISTRAL
from tests.wire.sdks.ollama_ways import OLLAMA
from tests.wire.sdks.openai_ways import MODELS, OPENAI
from tests.wire.sdks.way import KEY, Way

__all__ = ["KEY", "MODELS", "QUIET", "WAYS", "Way"]

WAYS = [*OPENAI, *ANTHROPIC, *GEMINI, *COHERE, *MISTRAL, *OLLAMA]
"""Every way of asking. All of them are the same for the same text, and different for another."""

QUIET = [
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]
"""Warnings of the SDKs' own making."""
