"""`explain FILE`: whether a request is recorded, and if not, what differs from the nearest recording."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from addons import how_to_record, identity
from addons.cli import output
from addons.cli.opening import opened_store
from addons.exchange import Exchange
from addons.explain import explain as explain_exchange
from addons.explain import unknown_inputs
from addons.protocols import PROTOCOLS
from addons.protocols.base import Call
from addons.protocols.strict_json import AmbiguousJson, loads
from config import ConfigError, Providers, Settings

NOT_RECORDED = 1


async def explain(settings: Settings, file: Path, *, as_json: bool) -> int:
    """Print why the request in `file` has no recording, or which one it has; 1 if it has none."""
    found = request_in(file, settings)
    store = await opened_store(settings)
    try:
        count = await store.count(found.tenant, found.key, found.form) if found.key else 0
        by_input = not count and await unknown_inputs(store, found, settings.namespace) == {}
        why = None
        if not count and not by_input:
            why = await explain_exchange(store, found, how_to_record(settings), settings.namespace)
    finally:
        await store.close()
    if as_json:
        content = {"recorded": count or int(by_input), "key": found.key, "form": found.form}
        output.as_json(content | ({} if why is None else why.as_json()))
    elif by_input:
        print("recorded input by input")
    elif why is None:
        print(f"recorded {count} time{'s' if count != 1 else ''} as {found.key[:16]} ({found.form})")
    else:
        print(output.plain(str(why)))
    return 0 if why is None else NOT_RECORDED


def request_in(file: Path, settings: Settings) -> Exchange:
    """The request a file describes, with its key.

    The file is JSON: `{"method", "url", "headers", "body"}`, as `show --json` prints a request;
    `method` is POST and `headers` are none unless given. Raises ConfigError for anything else.
    """
    try:
        content = loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except AmbiguousJson as error:
        raise ConfigError(f"{file}: not JSON we can read: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("url"), str):
        raise ConfigError(f'{file}: a request is an object such as {{"url": "https://…", "body": {{…}}}}')
    return _exchange(content, settings, file)


def _exchange(content: Mapping[str, Any], settings: Settings, file: Path) -> Exchange:
    try:
        url = urlsplit(content["url"])
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise ConfigError(f"{file}: url: {error}") from None
    method = str(content.get("method", "POST")).upper()
    provider = Providers.load(settings.providers, PROTOCOLS).find(url.scheme, url.hostname or "", port)
    if provider is None:
        raise ConfigError(f"{file}: {url.hostname} is no known provider")
    name, params = provider.route(method, url.path) or ("other", {})
    protocol = PROTOCOLS[name]
    given = content.get("headers") or {}
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        headers = {str(name).lower(): str(value) for name, value in pairs}
    except (TypeError, ValueError):
        raise ConfigError(f'{file}: headers are an object, or a list of pairs such as ["name", "value"]') from None
    body = content.get("body")
    raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    query = tuple(parse_qsl(url.query, keep_blank_values=True))
    call = Call(method, url.path, params, query, headers, raw, body, provider.key_headers)
    host = identity.authority(url.scheme, url.hostname or "", port)
    level = headers.get(identity.MATCH_HEADER) or provider.match or settings.match
    if level not in identity.LEVELS:
        raise ConfigError(f"{file}: {identity.MATCH_HEADER} must be one of {', '.join(identity.LEVELS)}")
    found = Exchange(provider, protocol, host, "replay", url.scheme, level, call=call, parameters=params)
    found.form = protocol.form(call)
    found.key = identity.key_of(
        call,
        protocol,
        level=level,
        namespace=settings.namespace,
        provider=provider.name,
        host=host,
        credentials=found.secrets,
    )
    return found
