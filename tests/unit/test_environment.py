"""What a child process is told, and how people are told to type it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from addons.cli.environment import NODE_PRELOAD, SHELL_VARIABLES, environment, shell_lines

PROXY = "http://127.0.0.1:8080"


def _environment(home: Path, base: dict[str, str] | None = None, proxy_loopback: bool = False) -> dict[str, str]:
    return environment(PROXY, home, base or {}, proxy_loopback)


def test_the_proxy_in_both_cases(tmp_path: Path) -> None:
    found = _environment(tmp_path, {"https_proxy": "http://elsewhere.example:3128"})
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    assert {name: found[name] for name in names} == dict.fromkeys(names, PROXY)


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "OPENAI_BASE_URL", "SSL_CERT_DIR", "PATH"])
def test_what_is_left_alone(tmp_path: Path, name: str) -> None:
    assert name not in _environment(tmp_path, {name: "/mine"})


def test_replacing_variables_name_the_bundle_and_adding_ones_our_certificate(tmp_path: Path) -> None:
    found = _environment(tmp_path)
    bundle, certificate = str(tmp_path / "wiretape-bundle.pem"), str(tmp_path / "wiretape-ca-cert.pem")
    for name in (
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "AWS_CA_BUNDLE",
        "PIP_CERT",
    ):
        assert found[name] == bundle
    for name in ("NODE_EXTRA_CA_CERTS", "DENO_CERT"):
        assert found[name] == certificate


@pytest.mark.parametrize(
    ("base", "proxy_loopback", "expected"),
    [
        ({}, False, "localhost,127.0.0.1,::1"),
        ({}, True, ""),
        ({"NO_PROXY": "db.example, .corp.example"}, False, "db.example,.corp.example,localhost,127.0.0.1,::1"),
        ({"no_proxy": "a.example", "NO_PROXY": "b.example,a.example"}, True, "a.example,b.example"),
        ({"NO_PROXY": "localhost 127.0.0.1"}, False, "localhost,127.0.0.1,::1"),
        (
            {"NO_PROXY": "localhost,.localhost,127.0.0.0/8,127.*,127.0.0.1,0.0.0.0,::1,[::1],x.example"},
            True,
            "x.example",
        ),
        ({"NO_PROXY": "localhost.example,1127.0.0.1,*"}, True, "localhost.example,1127.0.0.1,*"),
    ],
)
def test_exempt_hosts(tmp_path: Path, base: dict[str, str], proxy_loopback: bool, expected: str) -> None:
    found = _environment(tmp_path, base, proxy_loopback)
    assert (found["NO_PROXY"], found["no_proxy"]) == (expected, expected)


def test_options_of_the_user_come_first_and_ours_once(tmp_path: Path) -> None:
    base = {"NODE_OPTIONS": "--max-old-space-size=99", "JAVA_TOOL_OPTIONS": "-Xmx99m"}
    once = _environment(tmp_path, base)
    assert once["NODE_OPTIONS"] == f"--max-old-space-size=99 --require {NODE_PRELOAD}"
    assert once["JAVA_TOOL_OPTIONS"].startswith("-Xmx99m -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=8080 ")
    assert _environment(tmp_path, once) == once


@pytest.mark.parametrize(
    ("entry", "pattern"),
    [
        ("a.example", "a.example|*.a.example"),
        (".a.example", "*.a.example"),
        ("*.a.example", "*.a.example"),
        ("fd00::1", "[fd00::1]"),
        ("[fd00::1]", "[fd00::1]"),
        ("*", "*"),
    ],
)
def test_exempt_hosts_for_java(tmp_path: Path, entry: str, pattern: str) -> None:
    found = _environment(tmp_path, {"NO_PROXY": entry}, proxy_loopback=True)
    assert f" -Dhttp.nonProxyHosts={pattern} " in found["JAVA_TOOL_OPTIONS"]


@pytest.mark.parametrize(("name", "quoted"), [("a home", '"{}"'), ("o'clock", '"{}"'), ('19" rack', "'{}'")])
def test_java_options_with_odd_paths(tmp_path: Path, name: str, quoted: str) -> None:
    path = tmp_path / name / "wiretape-truststore.p12"
    option = quoted.format(f"-Djavax.net.ssl.trustStore={path}")
    assert f" {option} " in _environment(tmp_path / name)["JAVA_TOOL_OPTIONS"]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.parametrize("name", ["plain", "with space", 'with "quotes" and \\'])
def test_node_finds_the_preload_wherever_it_lies(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / name).mkdir()
    preload = folder / "preload.cjs"
    preload.write_text("console.log('preloaded')")
    monkeypatch.setattr("addons.cli.environment.NODE_PRELOAD", preload)
    env = {"PATH": os.environ["PATH"], "NODE_OPTIONS": _environment(tmp_path)["NODE_OPTIONS"]}
    assert subprocess.run(["node", "-e", "0"], env=env, capture_output=True, text=True).stdout == "preloaded\n"


def test_lines_for_a_shell_are_few(tmp_path: Path) -> None:
    lines = shell_lines(_environment(tmp_path), "/bin/bash")
    assert [word.split("=")[0] for line in lines for word in shlex.split(line)[1:]] == list(SHELL_VARIABLES)
    assert lines[0] == f"export HTTPS_PROXY={PROXY} https_proxy={PROXY}"
    assert len(lines) == len(SHELL_VARIABLES) - 3


ODD = "a 'quoted' $HOME \\ `b` \"c\" !d"


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish", "pwsh"])
def test_a_shell_reads_back_what_was_meant(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    printing = "[Console]::Write($env:NO_PROXY)" if shell == "pwsh" else 'printf %s "$NO_PROXY"'
    script = "\n".join([*shell_lines({"NO_PROXY": ODD}, f"/usr/bin/{shell}"), printing])
    assert subprocess.run([shell, "-c", script], capture_output=True, text=True).stdout == ODD


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("/bin/zsh", f"export NO_PROXY={shlex.quote(ODD)}"),
        ("", f"export NO_PROXY={shlex.quote(ODD)}"),
        ("/usr/bin/fish", "set -gx NO_PROXY 'a \\'quoted\\' $HOME \\\\ `b` \"c\" !d'"),
        ("pwsh.exe", "$env:NO_PROXY = 'a ''quoted'' $HOME \\ `b` \"c\" !d'"),
    ],
)
def test_lines_in_each_shells_words(shell: str, line: str) -> None:
    assert shell_lines({"NO_PROXY": ODD}, shell) == [line]
