"""Which hosts and paths speak which protocol, as read from providers.yaml and the user's own blocks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from config.hosts import normal_host
from config.paths import PathPattern
from config.provider import Provider
from config.provider_block import Families, ProviderBlock, compile_provider
from config.yaml_file import read_yaml

_BUILT_IN = Path(__file__).with_name("providers.yaml")


class _Directory:
    """Providers by host; the first of two that claim one host has it."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._fixed: dict[tuple[str, str, int], Provider] = {}
        self._wild: list[tuple[str, int, re.Pattern[str], Provider]] = []
        for provider in providers:
            for host in provider.hosts:
                if host.fixed:
                    self._fixed.setdefault(host.key, provider)
                else:
                    self._wild.append((host.scheme, host.port, re.compile(host.name_regex), provider))

    def find(self, scheme: str, host: str, port: int) -> Provider | None:
        if (provider := self._fixed.get((scheme, host, port))) is not None:
            return provider
        for its_scheme, its_port, regex, provider in self._wild:
            if its_port == port and its_scheme == scheme and regex.fullmatch(host):
                return provider
        return None


class Providers:
    """All providers: the user's own first, then the built-in ones whose names are not taken by those."""

    def __init__(self, own: Iterable[Provider], built_in: Iterable[Provider] = ()) -> None:
        mine = {provider.name: provider for provider in own}
        others = {provider.name: provider for provider in built_in if provider.name not in mine}
        self.by_name: Mapping[str, Provider] = MappingProxyType(mine | others)
        self._directories = (_Directory(mine.values()), _Directory(others.values()))
        self._doors = [*_doors(mine.values()), *_doors(others.values())]

    @classmethod
    def load(
        cls,
        user_blocks: Mapping[str, ProviderBlock | Mapping[str, Any]],
        known: Collection[str],
        source: str = "wiretape.yaml",
    ) -> Providers:
        """The user's blocks and providers.yaml; `known` are the names of the protocols there are.

        Raises ConfigError naming the file (`source` for the user's blocks), the provider and the
        part of its block that is wrong.
        """
        content = read_yaml(_BUILT_IN).content
        families: Families = content["families"]

        def compiled(blocks: Mapping[str, ProviderBlock | Mapping[str, Any]], file: str) -> list[Provider]:
            return [
                compile_provider(f"{file}: providers.{name}", name, one, families, known)
                for name, one in blocks.items()
            ]

        return cls(compiled(user_blocks, source), compiled(content["providers"], str(_BUILT_IN)))

    def find(self, scheme: str, host: str, port: int) -> Provider | None:
        """The provider that answers at this address, if any."""
        host = normal_host(host)
        own, built_in = self._directories
        return own.find(scheme, host, port) or built_in.find(scheme, host, port)

    def at_door(self, path: str) -> tuple[Provider, str] | None:
        """Who a request to our own address is for, and its path there; None if it is for nobody.

        `path` is as on the wire, without the query: `/groq/openai/v1/models` is
        `/openai/v1/models` at groq, `/v1/responses` is openai's own.
        """
        name, slash, rest = path.removeprefix("/").partition("/")
        provider = self.by_name.get(name)
        if slash and provider is not None and provider.base_url is not None:
            return provider, "/" + rest
        for pattern, provider in self._doors:
            if pattern.match(path) is not None:
                return provider, path
        return None

    def opens(self, host: str, port: int) -> bool:
        """Whether a connection to this address may be decrypted: a provider is there, over TLS or without."""
        return any(self.find(scheme, host, port) is not None for scheme in ("https", "http"))


def providers_table(providers: Providers) -> str:
    """All providers as a Markdown table: name, hosts, protocols."""
    rows = ["| provider | hosts | protocols |", "|---|---|---|"]
    for provider in providers.by_name.values():
        hosts = ", ".join(f"`{host.url.removeprefix('https://')}`" for host in provider.hosts)
        rows.append(f"| {provider.name} | {hosts} | {', '.join(provider.protocols)} |")
    return "\n".join(rows) + "\n"


def _doors(providers: Iterable[Provider]) -> list[tuple[PathPattern, Provider]]:
    """The doors of providers, those that say most about the path first."""
    doors = [(pattern, provider) for provider in providers for pattern in provider.door]
    return sorted(doors, key=lambda door: -len(door[0].text.partition("{")[0]))
