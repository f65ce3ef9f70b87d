"""The environment that makes a program's runtime use the proxy and trust our authority."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from addons.certificates import authority
from addons.trust import ADDING, REPLACING, TRUSTSTORE_PASSWORD, additions, bundle, java_truststore

LOOPBACK = ("localhost", "127.0.0.1", "::1")

NODE_PRELOAD = Path(__file__).with_name("node_proxy.cjs")
"""What teaches Node to use a proxy, as far as the version at hand does not by itself."""

SHELL_VARIABLES = (
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_USE_ENV_PROXY",
    "NODE_OPTIONS",
)
"""The ones worth typing into a shell: enough for Python, Node, Go, Ruby, curl and the SDKs of AWS."""

_LOOPBACK_ENTRY = re.compile(r"(\*?\.)?localhost|127(\.[\d*]+){0,3}(/\d+)?|0\.0\.0\.0|\[?::1\]?(/128)?", re.IGNORECASE)


def environment(proxy_url: str, home: Path, base: Mapping[str, str], proxy_loopback: bool) -> dict[str, str]:
    """The variables to add to `base` (or to override there) for a child process.

    `proxy_url` is `http://host:port`, with user info where the proxy wants it. Hosts that `base`
    exempts from proxies stay exempt; loopback is exempt unless `proxy_loopback`. Roots that `base`
    names stay trusted. `ALL_PROXY` is left alone: it is for protocols that are none of our
    business, and every client prefers the two set here for HTTP. Writes the files the variables
    name; raises CertificateError where that fails.
    """
    ours = authority(home)
    exempt = ",".join(_exempt(base, proxy_loopback))
    variables: dict[str, str] = {}
    for name, value in (("HTTP_PROXY", proxy_url), ("HTTPS_PROXY", proxy_url), ("NO_PROXY", exempt)):
        variables |= {name: value, name.lower(): value}
    variables |= dict.fromkeys(REPLACING, str(bundle(ours, base)))
    variables |= dict.fromkeys(ADDING, str(additions(ours, base)))
    variables["NODE_USE_ENV_PROXY"] = "1"
    variables["NODE_OPTIONS"] = _appended(base.get("NODE_OPTIONS", ""), f"--require {_node_quoted(NODE_PRELOAD)}")
    java = _java_options(proxy_url, exempt, java_truststore(ours, base))
    variables["JAVA_TOOL_OPTIONS"] = _appended(base.get("JAVA_TOOL_OPTIONS", ""), java)
    return variables


def shell_lines(variables: Mapping[str, str], shell: str) -> list[str]:
    """What to type in another terminal: those of `variables` that a shell needs.

    `shell` is a name or path as in `$SHELL` (`/usr/bin/fish`, `pwsh`); everything unknown is taken
    for a Bourne shell.
    """
    kind = Path(shell).stem
    shown = {name: variables[name] for name in SHELL_VARIABLES if name in variables}
    if kind == "fish":
        return [f"set -gx {name} {_fish_quoted(value)}" for name, value in shown.items()]
    if kind in ("pwsh", "powershell"):
        return ["$env:{} = '{}'".format(name, value.replace("'", "''")) for name, value in shown.items()]
    return _exports(shown)


def _exports(variables: Mapping[str, str]) -> list[str]:
    """One line each, or one for both spellings, so that all of them fit on a small terminal."""
    lines: list[str] = []
    last = ""
    for name, value in variables.items():
        if name == last.lower() != last and value == variables[last]:
            lines[-1] += f" {name}={shlex.quote(value)}"
        else:
            lines.append(f"export {name}={shlex.quote(value)}")
        last = name
    return lines


def _exempt(base: Mapping[str, str], proxy_loopback: bool) -> list[str]:
    """Hosts to be reached without the proxy, each once."""
    text = f"{base.get('no_proxy', '')},{base.get('NO_PROXY', '')}"
    own = [entry for entry in re.split(r"[\s,]+", text) if entry]
    if proxy_loopback:
        own = [entry for entry in own if not _LOOPBACK_ENTRY.fullmatch(entry)]
    else:
        own += LOOPBACK
    return list(dict.fromkeys(own))


def _appended(options: str, more: str) -> str:
    """`options` with `more` at the end, once: a program started by one of ours has them already."""
    return options if more in options else f"{options} {more}".lstrip()


def _java_options(proxy_url: str, exempt: str, truststore: Path) -> str:
    """System properties as the Java networking guide names them; the last of equal ones wins."""
    proxy = urlsplit(proxy_url)
    hosts = "|".join(_java_pattern(entry) for entry in exempt.split(",") if entry)
    properties = {
        "http.proxyHost": proxy.hostname,
        "http.proxyPort": proxy.port,
        "https.proxyHost": proxy.hostname,
        "https.proxyPort": proxy.port,
        "http.nonProxyHosts": hosts,
        "javax.net.ssl.trustStore": truststore,
        "javax.net.ssl.trustStoreType": "PKCS12",
        "javax.net.ssl.trustStorePassword": TRUSTSTORE_PASSWORD,
    }
    return " ".join(_java_quoted(f"-D{name}={value}") for name, value in properties.items())


def _java_pattern(entry: str) -> str:
    """One exempt host as Java writes it: `*` for what is below a domain, brackets around IPv6."""
    if entry.count(":") > 1:
        return f"[{entry.strip('[]')}]"
    if entry.startswith((".", "*")):
        return f"*{entry.lstrip('*')}"
    return f"{entry}|*.{entry}"


def _java_quoted(option: str) -> str:
    """The JVM splits at white space and knows quotes of both kinds, but no escapes."""
    quote = "'" if '"' in option else '"'
    return f"{quote}{option}{quote}" if re.search(r"[\s'\"]", option) else option


def _node_quoted(path: Path) -> str:
    """Node splits at spaces and knows double quotes, within which a backslash escapes."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if re.search(r'[\s"\\]', escaped) else escaped


def _fish_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
