"""Settings: where each may come from, which one wins, and what a mistake is answered with."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import pytest

from config import ConfigError, Loaded, Settings, add_flags, load, settings_table, unknown_flag
from config.leaves import leaves


def start(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, yaml: str | None = None) -> Loaded:
    """Load as a start in `folder` would, with nothing else around."""
    if yaml is not None:
        (folder / "wiretape.yaml").write_text(yaml, encoding="utf-8")
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_flags(parser)
    return load(parser.parse_args(arguments), {"WIRETAPE_HOME": str(folder / "home"), **(environ or {})}, folder)


def refused(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, yaml: str | None = None) -> str:
    """The message of a start that must not happen; always one line."""
    with pytest.raises(ConfigError) as caught:
        start(folder, *arguments, environ=environ, yaml=yaml)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_alone(tmp_path: Path) -> None:
    loaded = start(tmp_path)
    assert loaded.settings == Settings(home=tmp_path / "home")
    assert loaded.file is None
    assert {source for name, source in loaded.sources.items() if name != "home"} == {"default"}
    assert loaded.settings.store_url == f"sqlite:///{tmp_path}/home/wiretape.db"


def test_the_declared_defaults() -> None:
    settings = Settings()
    assert settings.home == Path.home() / ".wiretape"
    assert (settings.host, settings.port, settings.mode, settings.match) == ("127.0.0.1", 8080, "cache", "normalized")
    assert settings.keep.model_dump() == {
        "normalized": ("length", "refusal"),
        "content": (),
        "exact": ("length", "refusal", "empty"),
    }
    assert (settings.max_request_bytes, settings.follow_timeout, settings.drain_timeout) == (64 << 20, 120, 10)


def test_each_source_goes_before_the_next(tmp_path: Path) -> None:
    yaml = "port: 1\nmode: replay\nupstream:\n  connect_timeout: 1\n  idle_timeout: 1m\n"
    environ = {"WIRETAPE_PORT": "2", "WIRETAPE_UPSTREAM__CONNECT_TIMEOUT": "2s", "PORT": "9", "HOST": "elsewhere"}
    loaded = start(tmp_path, "--port", "3", environ=environ, yaml=yaml)
    settings, sources = loaded.settings, loaded.sources
    assert (settings.port, sources["port"]) == (3, "command line")
    assert (settings.upstream.connect_timeout, sources["upstream.connect_timeout"]) == (
        2,
        "environment WIRETAPE_UPSTREAM__CONNECT_TIMEOUT",
    )
    assert (settings.upstream.idle_timeout, sources["upstream.idle_timeout"]) == (60, str(tmp_path / "wiretape.yaml"))
    assert (settings.mode, sources["mode"]) == ("replay", str(tmp_path / "wiretape.yaml"))
    assert (settings.host, sources["host"]) == ("127.0.0.1", "default")


def test_every_setting_has_a_flag_and_a_variable(tmp_path: Path) -> None:
    values = {
        "home": "h", "host": "::1", "port": "1", "mode": "off", "unknown": "refuse", "match": "exact",
        "namespace": "n", "version": "2", "refresh_below": "1", "store": "postgres://u@h/d", "cassette": "none",
        "strict": "true", "on_exhausted": "cycle", "record_errors": "true", "keep.normalized": "empty",
        "keep.content": "length", "keep.exact": "none", "max_age": "30d", "max_entries": "7", "max_bytes": "500MB",
        "prune_every": "1m", "max_request_bytes": "1MiB", "max_reply_bytes": "2MiB", "follow_timeout": "5s",
        "linger_timeout": "0", "drain_timeout": "0", "upstream.ca_file": "ca.pem", "upstream.connect_timeout": "1",
        "upstream.idle_timeout": "2", "exec.proxy_loopback": "true", "log_level": "debug",
    }  # fmt: skip
    assert values.keys() == {name for name, leaf in leaves().items() if not leaf.file_only}
    environ = {leaves()[name].variable: value for name, value in values.items()}
    flags = [
        leaves()[name].flag if value == "true" else f"{leaves()[name].flag}={value}" for name, value in values.items()
    ]
    by_variable, by_flag = start(tmp_path, environ=environ), start(tmp_path, *flags)
    assert by_variable.settings == by_flag.settings
    assert by_flag.settings.store == "postgresql://u@h/d"
    assert by_flag.settings.keep.exact == ()
    assert by_flag.settings.upstream.ca_file == tmp_path / "ca.pem"
    assert by_flag.settings.max_age == 30 * 86400
    changed = {row.name for row in by_flag.rows() if row.value != leaves()[row.name].default}
    assert changed == values.keys() - {"cassette"}


def test_yaml_is_read_as_it_is_typed(tmp_path: Path) -> None:
    yaml = "mode: off\nnamespace: 2024-01-01\nmax_age: null\nstrict: yes\nkeep:\n  exact: [empty]\n  content: length\n"
    settings = start(tmp_path, yaml=yaml).settings
    assert (settings.mode, settings.namespace, settings.max_age, settings.strict) == ("off", "2024-01-01", None, True)
    assert (settings.keep.exact, settings.keep.content) == (("empty",), ("length",))


def test_what_only_the_file_can_say(tmp_path: Path) -> None:
    yaml = "upstream: {connect_to: {'a.example.com:443': 'localhost:8443'}}\nproviders: {x: {hosts: x.example.com}}\n"
    loaded = start(tmp_path, yaml=yaml)
    assert loaded.settings.upstream.connect_to == {"a.example.com:443": "localhost:8443"}
    assert loaded.settings.providers["x"].hosts == ("x.example.com",)
    assert {row.name: row.value for row in loaded.rows()}["providers"] == "x"


def test_a_flag_can_unset_what_the_file_sets(tmp_path: Path) -> None:
    yaml = "max_age: 1d\nstrict: true\nstore: sqlite:///a.db\n"
    settings = start(tmp_path, "--max-age", "none", "--no-strict", "--store=", yaml=yaml).settings
    assert (settings.max_age, settings.strict, settings.store) == (None, False, None)


def test_where_the_file_is_looked_for(tmp_path: Path) -> None:
    home, here, named = tmp_path / "home", tmp_path / "here", tmp_path / "named.yaml"
    home.mkdir()
    here.mkdir()
    (home / "wiretape.yaml").write_text("port: 1", encoding="utf-8")
    named.write_text("port: 3", encoding="utf-8")
    environ = {"WIRETAPE_HOME": str(home)}
    assert start(here, environ=environ).settings.port == 1
    assert start(here, environ=environ, yaml="port: 2").settings.port == 2
    assert start(here, environ={**environ, "WIRETAPE_CONFIG": "../named.yaml"}).settings.port == 3
    assert start(here, "--config", str(named), environ={"WIRETAPE_CONFIG": "missing.yaml"}).file == named
    assert "--config=no.yaml: there is no such file" in refused(here, "--config", "no.yaml")


def test_empty_files_and_sections_set_nothing(tmp_path: Path) -> None:
    for yaml in ("", "# only a comment\n", "upstream:\n", "keep: {}\n"):
        assert start(tmp_path, yaml=yaml).settings == start(tmp_path).settings


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("prot: 1", "line 1: prot is no setting; did you mean port?"),
        ("\nupstream:\n  ca_fil: x", "line 3: upstream.ca_fil is no setting; did you mean upstream.ca_file?"),
        ("qqqq: 1", "line 1: qqqq is no setting; remove it"),
        ("upstream: 5", "line 1: upstream must hold settings of its own"),
        ("port: 99999", "line 1: port: 99999: must be less than or equal to 65535"),
        ("keep:\n  exact:\n    - lenght", "line 2: keep.exact.0: lenght: must be 'length', 'refusal' or 'empty'"),
        ("port: 1\nport: 2", "line 2: port is given twice (first in line 1)"),
        ("upstream.ca_file: x\nupstream: {ca_file: y}", "upstream.ca_file is given twice"),
        ("port: [1", "line 1: not valid YAML"),
        ("a: b: c", "line 1: not valid YAML"),
        ("x: !!python/name:os.system", "line 1: not valid YAML"),
        ("a: &a {<<: *a}", "wiretape.yaml"),
        ("[1, 2]", "must hold `name: value` lines, not a list"),
        ("? [a, b]\n: 1", "line 1: a name must be plain text"),
        ("providers:\n  mine:\n    host: [x.example.com]", "did you mean hosts?"),
        ("providers:\n  mine:\n    max_batch: 1", "line 2: providers.mine.hosts: is missing"),
        ("providers:\n  mine:\n    max_batch: 0", "line 3: providers.mine.max_batch: 0: must be greater"),
        ("upstream:\n  connect_to:\n    a.example.com: b:1", "line 2: upstream.connect_to: a.example.com must be"),
        ("providers: 5", "line 1: providers: 5: must hold `name: value` lines"),
        ("providers:\n  mine: 5", "line 2: providers.mine: 5: must hold `name: value` lines"),
        ("keep: {exact: {a: b}}", "line 1: keep.exact: must be a list"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, yaml: str, message: str) -> None:
    assert message in (said := refused(tmp_path, yaml=yaml))
    assert said.startswith(str(tmp_path / "wiretape.yaml"))


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"WIRETAPE_PORT": "99999"}, "WIRETAPE_PORT=99999: port must be less than or equal to 65535"),
        ({"WIRETAPE_PORT": ""}, "WIRETAPE_PORT=: port must be a whole number"),
        ({"WIRETAPE_PROT": "1"}, "environment: WIRETAPE_PROT is no setting; did you mean WIRETAPE_PORT?"),
        ({"WIRETAPE_UPSTREAM_CA_FILE": "x"}, "did you mean WIRETAPE_UPSTREAM__CA_FILE?"),
        ({"WIRETAPE_PROVIDERS": "{}"}, "write providers into wiretape.yaml"),
        ({"WIRETAPE_MODE": "recrod"}, "mode must be 'cache', 'record', 'replay', 'read' or 'off'"),
        ({"WIRETAPE_STRICT": "perhaps"}, "strict must be true or false"),
        ({"WIRETAPE_MAX_AGE": "0"}, "max_age must be greater than 0"),
        ({"WIRETAPE_MAX_AGE": "soon"}, "WIRETAPE_MAX_AGE=soon: max_age must be a duration such as"),
        ({"WIRETAPE_MAX_BYTES": "2G"}, "max_bytes must be a size such as"),
        ({"WIRETAPE_HOME": ""}, "home must be a path"),
        ({"WIRETAPE_HOST": "http://x"}, "host must be a host name or an IP address"),
        ({"WIRETAPE_CASSETTE": "c", "WIRETAPE_STORE": "sqlite:///x"}, "cassette cannot be combined with store"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, environ: dict[str, str], message: str) -> None:
    assert message in refused(tmp_path, environ=environ)


def test_a_wrong_flag_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, "--port=x") == "--port=x: port must be a whole number"
    assert refused(tmp_path, "--upstream.idle-timeout", "0").startswith("--upstream.idle-timeout=0: upstream.idle_")
    assert "did you mean --max-age?" in str(unknown_flag("--maxage=3"))
    assert "did you mean --json?" in str(unknown_flag("--jsno", ["--json"]))
    assert "--help lists all" in str(unknown_flag("--zzzzzz"))


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:hunter2@host/db", "postgresql://", "postgres://user:hunter2@host:port/db", "sqlite://", "x.db",
        "sqlite:///:memory:", "sqlite:///x.db?key=hunter2", "postgresql+psycopg://user:hunter2@host/db",
    ],
)  # fmt: skip
def test_an_impossible_store_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    message = refused(tmp_path, environ={"WIRETAPE_STORE": url})
    assert "store must be sqlite:///PATH or postgresql://" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("sqlite:///here.db", "sqlite:///{folder}/here.db"),
        ("sqlite:////var/x.db", "sqlite:////var/x.db"),
        ("postgres://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgresql:///d", "postgresql:///d"),
        ("postgresql://a:1,[::1]:2/d?sslmode=require", "postgresql://a:1,[::1]:2/d?sslmode=require"),
    ],
)
def test_store_urls(tmp_path: Path, typed: str, url: str) -> None:
    assert start(tmp_path, "--store", typed).settings.store_url == url.format(folder=tmp_path)


def test_a_cassette_takes_the_place_of_the_database(tmp_path: Path) -> None:
    settings = start(tmp_path, "--cassette", "tapes").settings
    assert (settings.cassette, settings.store_url) == (tmp_path / "tapes", None)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:hunter2@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:hun@ter2@host/db", "postgresql://user:***@host/db"),
        ("postgresql://host/db?user=u&password=hunter2&x=1", "postgresql://host/db?user=u&password=***&x=1"),
        ("postgresql://user@host/db", "postgresql://user@host/db"),
    ],
)
def test_rows_mask_the_password(tmp_path: Path, url: str, shown: str) -> None:
    rows = {row.name: row for row in start(tmp_path, "--store", url).rows()}
    assert (rows["store"].value, rows["store"].source) == (shown, "command line")


def test_what_stands_under_an_unknown_name_is_not_repeated(tmp_path: Path) -> None:
    yaml = "providers:\n  mine:\n    hosts: [x.example.com]\n    api_key: hunter2\n"
    message = refused(tmp_path, yaml=yaml)
    assert "line 4: providers.mine.api_key is not known" in message
    assert "hunter2" not in message
    assert "hunter2" not in refused(tmp_path, yaml="password: 'hunter2")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"namespace: \xe9")
    assert "byte 11 is not UTF-8" in refused(tmp_path, "--config", "latin.yaml")
    (tmp_path / "wiretape.yaml").mkdir()
    assert str(tmp_path / "wiretape.yaml") in refused(tmp_path)


def test_the_table_has_every_setting() -> None:
    lines = settings_table().splitlines()
    assert len(lines) == 2 + len(leaves())
    assert "| `max_reply_bytes` | `64MiB` | Larger replies are passed on but not stored. |" in lines
    assert all(line.count("|") == 4 for line in lines)


def test_help_shows_what_may_be_typed() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    text = parser.format_help()
    assert "--mode {cache,record,replay,read,off}" in text
    assert "--no-exec.proxy-loopback" in text
    assert "--max-bytes SIZE" in text
    assert "--upstream.ca-file PATH" in text
    assert "--keep.exact LIST" in text
