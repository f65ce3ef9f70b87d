"""Settings and providers: what a person decides before the start."""

from __future__ import annotations

from config.errors import ConfigError
from config.leaves import add_flags, settings_table, unknown_flag
from config.provider import Provider, Route
from config.provider_block import ProviderBlock
from config.providers import Providers, providers_table
from config.quantities import format_duration, format_size, parse_duration, parse_size
from config.settings import Settings
from config.sources import Loaded, Row, load

__all__ = [
    "ConfigError",
    "Loaded",
    "Provider",
    "ProviderBlock",
    "Providers",
    "Route",
    "Row",
    "Settings",
    "add_flags",
    "format_duration",
    "format_size",
    "load",
    "parse_duration",
    "parse_size",
    "providers_table",
    "settings_table",
    "unknown_flag",
]
