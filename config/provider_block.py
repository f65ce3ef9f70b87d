"""A provider as it is written down, in providers.yaml or under `providers` in wiretape.yaml."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from config.errors import ConfigError, did_you_mean
from config.hosts import HostPattern
from config.paths import PathPattern
from config.provider import Provider, Route

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

Families = Mapping[str, Mapping[str, str]]
"""Routes of an API that many providers copy, by family: `METHOD /path` below a prefix, to protocol."""


class ProviderBlock(BaseModel):
    """Hosts and what is spoken there.

    `hosts` are `api.example.com` (https, port 443), `host:port`, or `http://host:port`. A leading
    `*.` stands for one or more labels, any other `*` for a part of one label. `speaks` adds the
    routes of a family below each of the given path prefixes; `routes` adds single ones as
    `METHOD /path: protocol` and goes first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hosts: tuple[str, ...] = Field(min_length=1)
    base_url: str | None = None
    speaks: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    routes: Mapping[str, str] = Field(default_factory=dict)
    door: tuple[str, ...] = ()
    match: Literal["normalized", "content", "exact"] | None = None
    max_batch: int | None = Field(default=None, ge=1)
    key_headers: tuple[str, ...] = ()

    @field_validator("hosts", "door", "key_headers", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("speaks", mode="before")
    @classmethod
    def _prefixes(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {family: (paths,) if isinstance(paths, str) else paths for family, paths in value.items()}

    @field_validator("key_headers")
    @classmethod
    def _lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.lower() for name in value)


def compile_provider(
    where: str, name: str, block: ProviderBlock | Mapping[str, Any], families: Families, known: Collection[str]
) -> Provider:
    """The provider a block describes; `where` (file and name of the block) opens every ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: a provider's name is made of a-z, 0-9, - and _")
    try:
        block = block if isinstance(block, ProviderBlock) else ProviderBlock.model_validate(block)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        raise ConfigError(f"{'.'.join([where, *map(str, detail['loc'])])}: {detail['msg']}") from None
    hosts = tuple(_host(where, text) for text in block.hosts)
    routes = tuple(_routes(where, block, families, known))
    if not routes:
        raise ConfigError(f"{where}: needs routes, or a family under speaks: {', '.join(families)}")
    return Provider(
        name=name,
        hosts=hosts,
        base_url=_base_url(where, block.base_url, hosts),
        routes=routes,
        door=tuple(_path(f"{where}.door", text) for text in block.door),
        match=block.match,
        max_batch=block.max_batch,
        key_headers=block.key_headers,
    )


def _host(where: str, text: str) -> HostPattern:
    try:
        return HostPattern.parse(text)
    except ValueError as error:
        shown = text.rpartition("@")[2]  # what stands before an @ may be a password
        raise ConfigError(f"{where}.hosts: {shown} {error}") from None


def _base_url(where: str, text: str | None, hosts: tuple[HostPattern, ...]) -> str | None:
    """The URL our own address sends on to: the one given, else the first host that is not a wildcard."""
    if text is None:
        return next((host.url for host in hosts if host.fixed), None)
    try:
        host = HostPattern.parse(text)
    except ValueError:
        raise ConfigError(f"{where}.base_url: must be a URL without a path, such as https://api.example.com") from None
    if not host.fixed or not any(_covers(pattern, host) for pattern in hosts):
        raise ConfigError(f"{where}.base_url: {host.url} must be one of this provider's hosts; add it there")
    return host.url


def _covers(pattern: HostPattern, host: HostPattern) -> bool:
    same_place = (pattern.scheme, pattern.port) == (host.scheme, host.port)
    return same_place and re.fullmatch(pattern.name_regex, host.name) is not None


def _routes(where: str, block: ProviderBlock, families: Families, known: Collection[str]) -> Iterable[Route]:
    for text, protocol in block.routes.items():
        yield _route(f"{where}.routes", text, "", protocol, known)
    for family, prefixes in block.speaks.items():
        if family not in families:
            advice = did_you_mean(family, families)
            raise ConfigError(f"{where}.speaks: {family} is no family{advice}; there are {', '.join(families)}")
        for prefix in prefixes:
            for text, protocol in families[family].items():
                yield _route(f"{where}.speaks", text, prefix.rstrip("/"), protocol, known)


def _route(where: str, text: str, prefix: str, protocol: str, known: Collection[str]) -> Route:
    method, _, path = text.partition(" ")
    if method not in _METHODS:
        raise ConfigError(f"{where}: {text} must be a method and a path, such as POST /v1/chat/completions")
    if protocol not in known:
        names = ", ".join(sorted(known))
        raise ConfigError(f"{where}: {text}: {protocol} is no protocol{did_you_mean(protocol, known)}; known: {names}")
    return Route(method, _path(where, prefix + path.strip()), protocol)


def _path(where: str, text: str) -> PathPattern:
    try:
        return PathPattern(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {text} {error}") from None
