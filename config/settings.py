"""Every setting, declared once: its type, its default and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from config.provider_block import ProviderBlock
from config.quantities import parse_duration, parse_size
from config.store_url import parse_store_url, sqlite_url

Mode = Literal["cache", "record", "replay", "read", "off"]
Level = Literal["normalized", "content", "exact"]
Keepable = Literal["length", "refusal", "empty"]


def _folder(info: ValidationInfo) -> Path:
    """The working directory that relative paths start at."""
    return Path((info.context or {}).get("folder", Path()))


def _given(value: Any) -> Any:
    if value == "":
        raise ValueError("must be a path")  # an empty one would silently be the working directory
    return value


def _absolute(path: Path, info: ValidationInfo) -> Path:
    return _folder(info) / path.expanduser()


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: Any) -> Any:
    return parse_size(value) if isinstance(value, str) else value


def _words(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return () if value.strip() in ("", "none") else tuple(word.strip() for word in value.split(","))


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", value, re.ASCII):
        raise ValueError("must be a host name or an IP address, without port or scheme")
    return value


FilePath = Annotated[Path, BeforeValidator(_given), AfterValidator(_absolute)]
Duration = Annotated[float, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size)]
Kept = Annotated[tuple[Keepable, ...], BeforeValidator(_words)]


class Section(BaseModel):
    """A group of settings; a name it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Keep(Section):
    """Which answers that ended otherwise than they should are kept, per level of matching."""

    normalized: Kept = Field(
        default=("length", "refusal"), description="Answers kept although they ended by length, refusal or empty."
    )
    content: Kept = Field(default=(), description="The same where only the content has to match.")
    exact: Kept = Field(
        default=("length", "refusal", "empty"), description="The same where the exact request has to match."
    )


class Upstream(Section):
    """How providers are reached."""

    ca_file: FilePath | None = Field(default=None, description="PEM file of roots trusted besides the public ones.")
    connect_to: Mapping[str, str] = Field(
        default_factory=dict,
        description="Addresses to connect to instead, HOST:PORT by HOST:PORT; certificates must still be those of the "
        "name (in wiretape.yaml only).",
    )
    connect_timeout: Duration = Field(default=10.0, gt=0, description="How long connecting to a provider may take.")
    idle_timeout: Duration = Field(
        default=600.0, gt=0, description="How long a provider may stay silent within an answer."
    )

    @field_validator("connect_to")
    @classmethod
    def _addresses(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for text in (*value, *value.values()):
            if not re.fullmatch(r".+:\d{1,5}", text):
                raise ValueError(f"{text} must be HOST:PORT")
        return value


class Exec(Section):
    """How `exec` runs a command."""

    proxy_loopback: bool = Field(
        default=False, description="Send calls to loopback addresses through the proxy too (else they are in NO_PROXY)."
    )


class Settings(Section):
    """All settings. `load` makes relative paths absolute, starting at the working directory."""

    home: FilePath = Field(default=Path("~/.wiretape"), description="Folder of the database, the CA and wiretape.yaml.")
    host: Annotated[str, AfterValidator(_host)] = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    mode: Mode = Field(
        default="cache",
        description="On a miss: cache asks and keeps, record always asks and overwrites, replay refuses, "
        "read asks without keeping, off passes everything.",
    )
    unknown: Literal["pass", "refuse"] = Field(
        default="pass", description="Hosts of no provider: pass them through unread, or refuse them."
    )
    match: Level = Field(
        default="normalized",
        description="What makes two requests the same: all that can change the answer, the content alone, "
        "or the exact bytes and credential.",
    )
    namespace: str = Field(default="", description="Entries of another namespace are never found.")
    version: int = Field(default=0, ge=0, description="Version that new entries are stored under.")
    refresh_below: int = Field(
        default=0, ge=0, description="Entries of a lower version are asked again and overwritten."
    )
    store: str | None = Field(
        default=None,
        description="Database URL, sqlite:///PATH or postgresql://…; none is wiretape.db in the home folder.",
    )
    cassette: FilePath | None = Field(default=None, description="Folder of text files used as the store.")
    strict: bool = Field(default=False, description="A broken cassette file stops the start.")
    on_exhausted: Literal["last", "cycle", "refuse"] = Field(
        default="last", description="After the last recorded repeat of a request: give it again, start over, or refuse."
    )
    record_errors: bool = Field(default=False, description="In record mode, keep answers that are not 2xx too.")
    keep: Keep = Keep()
    max_age: Duration | None = Field(default=None, gt=0, description="Entries older than this are removed.")
    max_entries: int | None = Field(
        default=None, gt=0, description="Above this many entries the least recently used go."
    )
    max_bytes: Size | None = Field(default=None, gt=0, description="Above this much stored the least recently used go.")
    prune_every: Duration = Field(
        default=600.0, gt=0, description="Time between two removals of what is over the limits."
    )
    max_request_bytes: Size = Field(default=64 << 20, gt=0, description="Larger requests pass uncached.")
    max_reply_bytes: Size = Field(default=64 << 20, gt=0, description="Larger replies are passed on but not stored.")
    follow_timeout: Duration = Field(
        default=120.0, gt=0, description="How long an equal request waits for the first sign of the one under way."
    )
    linger_timeout: Duration = Field(
        default=600.0, ge=0, description="How long an answer is still read after its client has left."
    )
    drain_timeout: Duration = Field(default=10.0, ge=0, description="How long a stop waits for what is in flight.")
    upstream: Upstream = Upstream()
    exec: Exec = Exec()
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe message shown."
    )
    providers: Mapping[str, ProviderBlock] = Field(
        default_factory=dict, description="More providers, looked at before the built-in ones (in wiretape.yaml only)."
    )

    @field_validator("store")
    @classmethod
    def _store(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else parse_store_url(value, _folder(info))

    @field_validator("cassette")
    @classmethod
    def _one_store(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("store") is not None:
            raise ValueError("cannot be combined with store: leave one out, or set it to none")
        return value

    @property
    def store_url(self) -> str | None:
        """The database to open: `store`, or SQLite in the home folder; None when a cassette is the store."""
        if self.cassette is not None:
            return None
        return self.store or sqlite_url(self.home / "wiretape.db")
