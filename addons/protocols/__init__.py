"""The wire formats, by the names that routes in providers.yaml use."""

from __future__ import annotations

from addons.protocols.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from addons.protocols.base import Protocol
from addons.protocols.bedrock import BedrockConverse, BedrockInvoke
from addons.protocols.cohere import CohereChat, CohereEmbed, CohereRerank
from addons.protocols.gemini import GeminiCountTokens, GeminiGenerate
from addons.protocols.gemini_embed import GeminiBatchEmbed, GeminiEmbed
from addons.protocols.ollama import OllamaChat, OllamaEmbed, OllamaGenerate
from addons.protocols.openai_chat import OpenaiChat
from addons.protocols.openai_completions import OpenaiCompletions
from addons.protocols.openai_embeddings import MistralEmbeddings, OpenaiEmbeddings, VoyageEmbeddings
from addons.protocols.openai_responses import OpenaiResponses
from addons.protocols.other import Other

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        OpenaiChat(),
        OpenaiCompletions(),
        OpenaiResponses(),
        OpenaiEmbeddings(),
        MistralEmbeddings(),
        VoyageEmbeddings(),
        AnthropicMessages(),
        AnthropicCountTokens(),
        GeminiGenerate(),
        GeminiCountTokens(),
        GeminiEmbed(),
        GeminiBatchEmbed(),
        OllamaChat(),
        OllamaGenerate(),
        OllamaEmbed(),
        CohereChat(),
        CohereEmbed(),
        CohereRerank(),
        BedrockConverse(),
        BedrockInvoke(),
        Other(),
    )
}
