"""Providers: every address and path of an LLM API finds who serves it and what is spoken there."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from config import ConfigError, Provider, Providers, providers_table
from tests import traffic

KNOWN = frozenset(
    {
        "openai_chat", "openai_completions", "openai_responses", "openai_embeddings", "anthropic_messages",
        "anthropic_count_tokens", "gemini_generate", "gemini_embed", "gemini_batch_embed", "gemini_count_tokens",
        "ollama_chat", "ollama_generate", "ollama_embed", "cohere_chat", "cohere_embed", "cohere_rerank",
        "bedrock_converse", "bedrock_invoke", "mistral_embeddings", "voyage_embeddings", "other",
    }
)  # fmt: skip
BUILT_IN = Providers.load({}, KNOWN)
PORTS = {"https": 443, "http": 80}


def find(url: str, providers: Providers = BUILT_IN) -> Provider | None:
    parts = urlsplit(url)
    return providers.find(parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme])


def routed(method: str, url: str, providers: Providers = BUILT_IN) -> tuple[str, str, dict[str, str]] | None:
    """Provider, protocol and path pieces of a request, or None."""
    provider = find(url, providers)
    route = provider.route(method, urlsplit(url).path) if provider else None
    return (provider.name, *route) if provider and route else None


REQUESTS = """
openai       openai_chat            https://api.openai.com/v1/chat/completions
openai       openai_responses       https://eu.api.openai.com/v1/responses
openai       openai_completions     https://us.api.openai.com/v1/completions
openai       openai_embeddings      https://api.openai.com/v1/embeddings
openai       other                  https://api.openai.com/v1/responses/input_tokens
azure        openai_chat            https://x.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=1
azure        openai_embeddings      https://x.openai.azure.com/openai/deployments/ada/embeddings?api-version=1
azure        openai_completions     https://x.cognitiveservices.azure.com/openai/deployments/d/completions
azure        openai_responses       https://x.openai.azure.com/openai/v1/responses
azure        openai_responses       https://x.openai.azure.com/openai/responses?api-version=preview
azure        openai_chat            https://x.services.ai.azure.com/models/chat/completions?api-version=1
azure        openai_embeddings      https://x.services.ai.azure.com/models/embeddings
azure        openai_responses       https://x.services.ai.azure.com/api/projects/p/openai/v1/responses
azure        anthropic_messages     https://x.services.ai.azure.com/anthropic/v1/messages
azure        cohere_rerank          https://x.services.ai.azure.com/providers/cohere/v2/rerank
azure        openai_chat            https://m.eastus2.models.ai.azure.com/chat/completions
anthropic    anthropic_messages     https://api.anthropic.com/v1/messages?beta=true
anthropic    anthropic_count_tokens https://api.anthropic.com/v1/messages/count_tokens?beta=true
anthropic    openai_chat            https://api.anthropic.com/v1/chat/completions
gemini       gemini_generate        https://generativelanguage.googleapis.com/v1beta/models/g-3:generateContent
gemini       gemini_generate        https://generativelanguage.googleapis.com/v1/models/g-3:streamGenerateContent?alt=sse
gemini       gemini_count_tokens    https://generativelanguage.googleapis.com/v1alpha/models/g-3:countTokens
gemini       gemini_embed           https://generativelanguage.googleapis.com/v1beta/models/e-1:embedContent
gemini       gemini_batch_embed     https://generativelanguage.googleapis.com/v1beta/models/e-1:batchEmbedContents
gemini       gemini_generate        https://generativelanguage.googleapis.com/v1beta/tunedModels/t-1:generateContent
gemini       openai_chat            https://generativelanguage.googleapis.com/v1beta/openai/chat/completions
gemini       openai_embeddings      https://generativelanguage.googleapis.com/v1beta/openai/embeddings
vertex       gemini_generate        https://aiplatform.googleapis.com/v1/publishers/google/models/g:generateContent
vertex       gemini_generate        https://aiplatform.googleapis.com/v1beta1/projects/p/locations/global/publishers/google/models/g:streamGenerateContent
vertex       gemini_count_tokens    https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/g:countTokens
vertex       gemini_generate        https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/123:generateContent
vertex       anthropic_messages     https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:rawPredict
vertex       anthropic_messages     https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/publishers/anthropic/models/c:streamRawPredict
vertex       anthropic_count_tokens https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict
vertex       openai_chat            https://us-central1-aiplatform.googleapis.com/v1beta1/projects/p/locations/l/endpoints/openapi/chat/completions
vertex       openai_chat            https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/mistralai/models/m:streamRawPredict
vertex       other                  https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/e:predict
bedrock      bedrock_converse       https://bedrock-runtime.us-east-1.amazonaws.com/model/us.a.c-v1%3A0/converse
bedrock      bedrock_converse       https://bedrock-runtime.eu-west-1.amazonaws.com/model/us.a.c-v1:0/converse-stream
bedrock      bedrock_invoke         https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/model/m/invoke
bedrock      bedrock_invoke         https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/m/invoke-with-response-stream
bedrock      other                  https://bedrock-runtime.us-east-1.amazonaws.com/model/m/count-tokens
bedrock      openai_chat            https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1/chat/completions
bedrock      openai_responses       https://bedrock-mantle.us-east-1.api.aws/openai/v1/responses
bedrock      openai_responses       https://bedrock-mantle.us-east-1.api.aws/v1/responses
bedrock      anthropic_messages     https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages
bedrock      bedrock_converse       https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com/model/m/converse
mistral      openai_chat            https://api.mistral.ai/v1/chat/completions#stream
mistral      openai_chat            https://codestral.mistral.ai/v1/fim/completions
mistral      mistral_embeddings     https://api.mistral.ai/v1/embeddings
cohere       cohere_chat            https://api.cohere.com/v2/chat
cohere       cohere_embed           https://api.cohere.ai/v2/embed
cohere       cohere_rerank          https://api.cohere.com/v2/rerank
cohere       other                  https://api.cohere.com/v1/chat
cohere       other                  https://api.cohere.com/v1/tokenize
cohere       openai_chat            https://api.cohere.ai/compatibility/v1/chat/completions
groq         openai_responses       https://api.groq.com/openai/v1/responses
deepseek     openai_chat            https://api.deepseek.com/chat/completions
deepseek     openai_chat            https://api.deepseek.com/v1/chat/completions
deepseek     openai_completions     https://api.deepseek.com/beta/completions
deepseek     openai_responses       https://api.deepseek.com/responses
deepseek     anthropic_messages     https://api.deepseek.com/anthropic/v1/messages
openrouter   openai_chat            https://openrouter.ai/api/v1/chat/completions
openrouter   openai_responses       https://openrouter.ai/api/v1/responses
openrouter   openai_embeddings      https://openrouter.ai/api/v1/embeddings
openrouter   anthropic_messages     https://openrouter.ai/api/v1/messages
together     openai_chat            https://api.together.xyz/v1/chat/completions
together     other                  https://api.together.ai/v1/rerank
fireworks    openai_chat            https://api.fireworks.ai/inference/v1/chat/completions
xai          openai_chat            https://api.x.ai/v1/chat/completions
xai          openai_responses       https://us-east-1.api.x.ai/v1/responses
cerebras     openai_chat            https://api.cerebras.ai/v1/chat/completions
perplexity   openai_chat            https://api.perplexity.ai/chat/completions
perplexity   openai_responses       https://api.perplexity.ai/v1/responses
nvidia       openai_embeddings      https://integrate.api.nvidia.com/v1/embeddings
nvidia       other                  https://ai.api.nvidia.com/v1/retrieval/nvidia/rerank-qa/reranking
huggingface  openai_chat            https://router.huggingface.co/v1/chat/completions
huggingface  openai_responses       https://router.huggingface.co/v1/responses
huggingface  openai_chat            https://router.huggingface.co/nebius/v1/chat/completions
huggingface  openai_chat            https://router.huggingface.co/fireworks-ai/inference/v1/chat/completions
huggingface  openai_chat            https://router.huggingface.co/hf-inference/models/Qwen/Q3/v1/chat/completions
huggingface  other                  https://router.huggingface.co/hf-inference/models/BAAI/bge/pipeline/feature-extraction
zai          openai_chat            https://api.z.ai/api/coding/paas/v4/chat/completions
zai          anthropic_messages     https://api.z.ai/api/anthropic/v1/messages
bigmodel     openai_embeddings      https://open.bigmodel.cn/api/paas/v4/embeddings
moonshot     openai_chat            https://api.moonshot.ai/v1/chat/completions
moonshot_cn  openai_chat            https://api.moonshot.cn/v1/chat/completions
dashscope    openai_chat            https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions
dashscope    openai_embeddings      https://dashscope-intl.aliyuncs.com/compatible-mode/v1/embeddings
dashscope    openai_chat            https://coding-intl.dashscope.aliyuncs.com/v1/chat/completions
github       openai_chat            https://models.github.ai/inference/chat/completions
github       openai_embeddings      https://models.github.ai/orgs/o/inference/embeddings
github_azure openai_chat            https://models.inference.ai.azure.com/chat/completions
voyage       voyage_embeddings      https://api.voyageai.com/v1/embeddings
voyage       other                  https://api.voyageai.com/v1/rerank
jina         openai_embeddings      https://api.jina.ai/v1/embeddings
nomic        other                  https://api-atlas.nomic.ai/v1/embedding/text
snowflake    openai_chat            https://org-acc.snowflakecomputing.com/api/v2/cortex/v1/chat/completions
snowflake    anthropic_messages     https://acc.eu-1.privatelink.snowflakecomputing.com/api/v2/cortex/v1/messages
snowflake    other                  https://org-acc.snowflakecomputing.com/api/v2/cortex/inference:complete
ollama       ollama_chat            http://localhost:11434/api/chat
ollama       ollama_generate        http://127.0.0.1:11434/api/generate
ollama       ollama_embed           http://[::1]:11434/api/embed
ollama       openai_chat            http://localhost:11434/v1/chat/completions
ollama       anthropic_messages     http://localhost:11434/v1/messages
lmstudio     openai_responses       http://localhost:1234/v1/responses
vllm         openai_chat            http://127.0.0.1:8000/v1/chat/completions
vllm         other                  http://127.0.0.1:8000/tokenize
llamacpp     openai_embeddings      http://localhost:8080/v1/embeddings
"""


@pytest.mark.parametrize("line", REQUESTS.strip().splitlines())
def test_requests_find_their_provider_and_protocol(line: str) -> None:
    name, protocol, url = line.split()
    assert (found := routed("POST", url)) is not None
    assert found[:2] == (name, protocol)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.cerebras.ai/v1/models",
        "https://api.openai.com/v1/models/gpt-5",
        "https://openrouter.ai/api/v1/models/anthropic/claude/endpoints",
        "https://api.anthropic.com/v1/models",
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3",
        "https://api.deepseek.com/models",
        "http://localhost:11434/api/tags",
        "https://models.github.ai/catalog/models",
    ],
)
def test_reads_are_routed(url: str) -> None:
    assert (found := routed("GET", url)) is not None
    assert found[1] == "other"


@pytest.mark.skipif(not traffic.present(), reason=traffic.MISSING)
def test_all_recorded_traffic_is_routed() -> None:
    known = [row for row in traffic.load() if not row.url.startswith("https://demo-endpoints.pydantic.")]
    assert len(known) > 400
    assert [row.url for row in known if routed(row.method, row.url) is None] == []


def test_path_pieces_are_decoded() -> None:
    arn = "https://bedrock-runtime.us-east-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Ax%2Fabc/converse"
    assert routed("POST", arn) == ("bedrock", "bedrock_converse", {"model": "arn:aws:bedrock:x/abc"})
    deployment = "https://x.openai.azure.com/openai/deployments/my%20gpt/chat/completions"
    assert routed("POST", deployment) == ("azure", "openai_chat", {"deployment": "my gpt"})
    gemini = "https://generativelanguage.googleapis.com/v1beta/models/gemini-3:generateContent"
    assert routed("POST", gemini) == ("gemini", "gemini_generate", {"model": "gemini-3"})


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", "https://api.openai.com/v1/files"),
        ("POST", "https://api.openai.com/v1/chat/completions/"),
        ("POST", "https://api.openai.com/v1/Chat/completions"),
        ("GET", "https://api.openai.com/v1/chat/completions"),
        ("GET", "https://api.openai.com/v1/responses/resp_1"),
        ("POST", "https://generativelanguage.googleapis.com/v1beta/models/a/b:generateContent"),
        ("POST", "https://generativelanguage.googleapis.com/v1beta/models/:generateContent"),
        ("POST", "https://api.anthropic.com/v1/messages/batches"),
    ],
)
def test_other_paths_have_no_route(method: str, url: str) -> None:
    assert find(url) is not None
    assert routed(method, url) is None


STRANGERS = [
    "https://example.com", "http://api.openai.com", "https://api.openai.com:8443", "https://openai.com",
    "https://api.openai.com.evil.example", "https://evilapi.openai.com", "https://openai.azure.com",
    "https://x.openai.azure.com.evil.example", "https://aiplatform.googleapis.com.evil.example",
    "https://-aiplatform.googleapis.com", "https://a.b-aiplatform.googleapis.com", "https://api2openai.com",
    "https://bedrock-runtime.a.b.amazonaws.com", "https://bedrock-runtime.amazonaws.com",
    "https://s3.us-east-1.amazonaws.com", "http://localhost:11435", "https://localhost:11434",
]  # fmt: skip


@pytest.mark.parametrize("url", STRANGERS)
def test_strangers_are_nobodys(url: str) -> None:
    assert find(url) is None


def test_hosts_are_found_in_any_spelling() -> None:
    assert find("https://API.OpenAI.com") is find("https://api.openai.com.") is BUILT_IN.by_name["openai"]
    assert BUILT_IN.find("http", "[::1]", 11434) is BUILT_IN.find("http", "::1", 11434) is BUILT_IN.by_name["ollama"]


def test_the_allow_list_opens_what_is_found_and_nothing_else() -> None:
    def opened(url: str) -> bool:
        parts = urlsplit(url)
        return BUILT_IN.opens(parts.hostname or "", parts.port or PORTS[parts.scheme])

    assert all(opened(line.split()[2]) for line in REQUESTS.strip().splitlines())
    # The scheme is not known when a tunnel is opened, so what differs in it alone is left out here.
    assert [url for url in STRANGERS if url != "https://localhost:11434" and opened(url)] == []
    assert BUILT_IN.opens("API.OPENAI.COM.", 443)
    assert not BUILT_IN.opens("api.openai.com", 80)
    assert not Providers([]).opens("", 443)


@pytest.mark.parametrize(
    ("path", "name", "there"),
    [
        ("/groq/openai/v1/chat/completions", "groq", "/openai/v1/chat/completions"),
        ("/openai/v1/files", "openai", "/v1/files"),
        ("/ollama/", "ollama", "/"),
        ("/v1/chat/completions", "openai", "/v1/chat/completions"),
        ("/v1/conversations/c/items", "openai", "/v1/conversations/c/items"),
        ("/v1/messages", "anthropic", "/v1/messages"),
        ("/v1/messages/count_tokens", "anthropic", "/v1/messages/count_tokens"),
        ("/v1beta/models/g:generateContent", "gemini", "/v1beta/models/g:generateContent"),
        ("/api/chat", "ollama", "/api/chat"),
        ("/v2/rerank", "cohere", "/v2/rerank"),
    ],
)
def test_doors(path: str, name: str, there: str) -> None:
    assert BUILT_IN.at_door(path) == (BUILT_IN.by_name[name], there)


@pytest.mark.parametrize("path", ["/", "/groq", "/azure/openai/v1/responses", "/nobody/v1/models", "/v1", "/stats"])
def test_other_paths_at_our_address_are_nobodys(path: str) -> None:
    assert BUILT_IN.at_door(path) is None


def test_every_base_url_is_its_providers_own() -> None:
    without = {name for name, provider in BUILT_IN.by_name.items() if provider.base_url is None}
    assert without == {"azure", "bedrock", "snowflake"}
    for provider in BUILT_IN.by_name.values():
        assert provider.base_url is None or find(provider.base_url) is provider


MINE: dict[str, Any] = {
    "mine": {
        "hosts": ["*.llm.example.com", "http://gpu:9000", "api.openai.com"],
        "routes": {"POST /tenants/{tenant}/generate": "ollama_generate"},
        "speaks": {"openai": ["/v1/", "/gateway/v1"]},
        "door": "/v1/embeddings",
        "match": "content",
        "max_batch": "16",
        "key_headers": ["X-Model-Variant"],
    },
    "groq": {"hosts": "groq.example.com", "speaks": {"openai": ""}},
}


def test_own_blocks_go_first_and_replace() -> None:
    providers = Providers.load(MINE, KNOWN)
    mine = providers.by_name["mine"]
    assert routed("POST", "https://a.b.llm.example.com/tenants/t/generate", providers) == (
        "mine",
        "ollama_generate",
        {"tenant": "t"},
    )
    assert routed("POST", "http://gpu:9000/gateway/v1/embeddings", providers) == ("mine", "openai_embeddings", {})
    assert routed("POST", "https://api.openai.com/v1/responses", providers) == ("mine", "openai_responses", {})
    assert (mine.base_url, mine.match, mine.max_batch, mine.key_headers) == (
        "http://gpu:9000",
        "content",
        16,
        ("x-model-variant",),
    )
    assert find("https://api.groq.com", providers) is None
    assert find("https://groq.example.com", providers) is providers.by_name["groq"]
    assert providers.at_door("/v1/embeddings") == (mine, "/v1/embeddings")
    assert providers.at_door("/v1/responses") == (providers.by_name["openai"], "/v1/responses")


def test_a_route_of_its_own_goes_before_a_familys() -> None:
    block = {"hosts": "x.example.com", "speaks": {"openai": "/v1"}, "routes": {"POST /v1/embeddings": "other"}}
    provider = Providers.load({"x": block}, KNOWN).by_name["x"]
    assert provider.route("POST", "/v1/embeddings") == ("other", {})
    assert provider.route("POST", "/v1/responses") == ("openai_responses", {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"routes": {"POST /x": "openai_chatt"}}, "POST /x: openai_chatt is no protocol; did you mean openai_chat?"),
        ({"routes": {"POST /x": "nothing"}}, "known: anthropic_count_tokens, anthropic_messages, bedrock_converse"),
        ({"routes": {"FETCH /x": "other"}}, "FETCH /x must be a method and a path"),
        ({"routes": {"POST x": "other"}}, "x must be a path that starts with /"),
        ({"routes": {"POST /{a}/{a}": "other"}}, "each name once"),
        ({"routes": {"POST /{a/b": "other"}}, "may hold {name} for one segment"),
        ({"routes": {"POST /*": "other"}}, "may hold {name} for one segment"),
        ({"speaks": {"opnai": "/v1"}}, "opnai is no family; did you mean openai?"),
        ({"speaks": {}}, "needs routes, or a family"),
        ({"door": "v1"}, "x.door: v1 must be a path"),
        ({"hosts": ["*.com"]}, "x.hosts: *.com must have two labels without a wildcard"),
        ({"hosts": ["ftp://x"]}, "must be a host name, host:port or http://host:port"),
        ({"hosts": ["x:99999"]}, "must be a host name, host:port or http://host:port"),
        ({"hosts": ["https://x.example.com/v1"]}, "must be a host name, host:port or http://host:port"),
        ({"hosts": ["*"]}, "must be a host name, host:port or http://host:port"),
        ({"hosts": []}, "x.hosts"),
        ({"base_url": "https://other.example.com"}, "x.base_url: https://other.example.com must be one of"),
        ({"base_url": "https://x.example.com/v1"}, "x.base_url: must be a URL without a path"),
        ({"match": "fuzzy"}, "x.match"),
    ],
)  # fmt: skip
def test_a_wrong_block_is_named(changes: dict[str, Any], message: str) -> None:
    block = {"hosts": ["x.example.com"], "speaks": {"openai": "/v1"}, **changes}
    with pytest.raises(ConfigError) as caught:
        Providers.load({"x": block}, KNOWN, "my.yaml")
    assert str(caught.value).startswith("my.yaml: providers.x")
    assert message in str(caught.value)


def test_a_password_in_a_host_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        Providers.load({"x": {"hosts": ["https://me:hunter2@x.example.com"], "speaks": {"openai": "/v1"}}}, KNOWN)
    assert "hunter2" not in str(caught.value)


def test_names_fit_into_a_path() -> None:
    with pytest.raises(ConfigError, match="name is made of"):
        Providers.load({"My LLM": MINE["mine"]}, KNOWN)


def test_the_table_names_everyone() -> None:
    lines = providers_table(BUILT_IN).splitlines()
    assert len(lines) == 2 + len(BUILT_IN.by_name)
    assert any(line.startswith("| ollama | `http://localhost:11434`, ") and "ollama_chat" in line for line in lines)
