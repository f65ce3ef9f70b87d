"""Where a provider listens: `https://api.example.com:443` written short, with wildcards."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._*-]+)(?::(?P<port>[0-9]{1,5}))?/?", re.IGNORECASE
)
_LABEL = "[a-z0-9_-]+"


def normal_host(host: str) -> str:
    """A host name or address in the one spelling we compare: lower case, no root dot, no brackets."""
    return host.lower().removesuffix(".").strip("[]")


@dataclass(frozen=True, slots=True)
class HostPattern:
    """Scheme, host name (with `*` for parts that vary) and port."""

    scheme: str
    name: str
    port: int

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Read `api.example.com`, `host:port` (both https) or `http://host[:port]`; ValueError for anything else."""
        match = _HOST.fullmatch(text)
        scheme = (match["scheme"] or "https").lower() if match else ""
        port = int(match["port"] or _PORTS[scheme]) if match else 0
        name = normal_host(match["name"]) if match else ""
        if not 0 < port <= 65535 or ".." in name or not name.replace("*", "").strip(".-"):
            raise ValueError("must be a host name, host:port or http://host:port")
        if "*" in name and sum("*" not in label for label in name.split(".")) < 2:
            raise ValueError("must have two labels without a wildcard, as in *.example.com")
        return cls(scheme, name, port)

    @property
    def fixed(self) -> bool:
        """Whether it is one single host."""
        return "*" not in self.name

    @property
    def url(self) -> str:
        """`scheme://host`, with the port where it is not the usual one."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{self.scheme}://{name}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def key(self) -> tuple[str, str, int]:
        """What a fixed pattern is looked up by."""
        return self.scheme, self.name, self.port

    @property
    def name_regex(self) -> str:
        """A regular expression for the host name, to be matched in full and without regard to case.

        A leading `*.` is one or more labels, any other `*` one or more characters of one label.
        """
        several, rest = ("*.", self.name[2:]) if self.name.startswith("*.") else ("", self.name)
        return (f"(?:{_LABEL}\\.)+" if several else "") + re.escape(rest).replace(r"\*", _LABEL)
