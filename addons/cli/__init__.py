"""The command line: verbs, their flags, and what they exit with."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import NoReturn

from config import ConfigError, Loaded, add_flags, load, unknown_flag

BAD_INPUT = 2
"""Exit status for what the user has to put right; 1 means "no" (nothing found, not recorded)."""

_EPILOG = "Every setting can also stand in wiretape.yaml or in the environment as WIRETAPE_NAME."

type Verb = Callable[[argparse.Namespace, Loaded], Coroutine[None, None, int]]


async def _serve(_: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.serve import serve

    return await serve(loaded.settings)


async def _exec(given: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.run_command import run_command

    if not given.command:
        raise ConfigError("exec: no command given; type: run.py exec -- COMMAND")
    chosen = loaded.sources["port"] == "command line"
    return await run_command(loaded.settings, given.command, quiet=given.quiet, chosen_port=chosen)


async def _stats(given: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.stats import stats

    return await stats(loaded.settings, as_json=given.json)


async def _ls(given: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.entries import ls

    return await ls(loaded.settings, given)


async def _show(given: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.show import show

    return await show(loaded.settings, given.key, as_json=given.json, body=given.body)


async def _rm(given: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.entries import rm

    return await rm(loaded.settings, given.keys, as_json=given.json)


async def _prune(given: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.entries import prune

    return await prune(loaded.settings, as_json=given.json)


async def _settings(given: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.about import settings

    return settings(loaded, as_json=given.json)


async def _ca(given: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.about import ca

    return ca(loaded.settings, as_json=given.json)


async def _explain(given: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.explain import explain

    return await explain(loaded.settings, given.file, as_json=given.json)


async def _cassette(given: argparse.Namespace, loaded: Loaded) -> int:
    from addons.cli.transfer import move

    return await move(loaded.settings, given.direction, given.folder, as_json=given.json)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


class _OneLine(argparse.ArgumentParser):
    """Says in one line what is wrong, where argparse would print every flag there is."""

    def error(self, message: str) -> NoReturn:
        message = message.replace("argument VERB: invalid choice", "no such verb")
        self.exit(BAD_INPUT, f"wiretape: {message}; {self.prog} --help lists what there is\n")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = _OneLine(
        prog="run.py",
        usage="run.py [SETTINGS] [VERB] …",
        description="A transparent proxy that caches, records and replays calls to LLM providers. "
        "Without a verb it starts the proxy.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    root.set_defaults(verb=_serve)
    add_flags(root)
    verbs = root.add_subparsers(title="verbs", metavar="VERB", prog="run.py")

    def verb(name: str, run: Verb, text: str, wanted: str = "", *, scripts: bool = True) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text, epilog=_EPILOG, allow_abbrev=False)
        made.usage = f"run.py {name} [SETTINGS]{' [--json]' if scripts else ''}{wanted and ' '}{wanted}"
        made.set_defaults(verb=run)
        if scripts:
            made.add_argument("--json", action="store_true", help="Print JSON, for scripts.")
        add_flags(made)
        return made

    verb("serve", _serve, "Start the proxy (what happens without a verb, too).", scripts=False)
    runs = verb(
        "exec",
        _exec,
        "Run a command behind a proxy of its own: run.py exec -- COMMAND.",
        "[--quiet] -- COMMAND",
        scripts=False,
    )
    runs.add_argument("--quiet", action="store_true", help="No summary at the end.")
    runs.add_argument("command", nargs="*", metavar="COMMAND", help="The command and its arguments, after --.")
    verb("stats", _stats, "What is stored, what happened, and what it saved.")
    listing = verb("ls", _ls, "List stored replies, newest first.", "[FILTERS]")
    listing.add_argument("--provider", default="", dest="only_provider", metavar="NAME", help="Of this provider.")
    listing.add_argument("--model", default="", dest="only_model", metavar="NAME", help="Of this model.")
    listing.add_argument("--to-host", default="", dest="only_host", metavar="HOST", help="Sent to this host.")
    listing.add_argument(
        "--text", default="", dest="only_text", metavar="TEXT", help="With this text in request or answer."
    )
    listing.add_argument(
        "--limit", type=_count, default=50, dest="only_limit", metavar="NUMBER", help="At most so many (50)."
    )
    shows = verb("show", _show, "Show one stored reply: request, answer, timing.", "[--body] KEY")
    shows.add_argument("key", metavar="KEY", help="The beginning of its key, as ls or x-wiretape-key tell it.")
    shows.add_argument("--body", action="store_true", help="Print the answer's body alone, byte for byte.")
    removes = verb("rm", _rm, "Forget stored replies and vectors.", "KEY…")
    removes.add_argument("keys", nargs="+", metavar="KEY", help="The beginning of a key, 6 characters at least.")
    verb("prune", _prune, "Remove what is over max_age, max_entries or max_bytes.")
    verb("settings", _settings, "Every setting, its value, and where it comes from.")
    verb("ca", _ca, "Our certificate authority: where it is, its fingerprint, how to trust it.")
    explains = verb("explain", _explain, "Why a request in a file is, or is not, recorded.", "FILE")
    explains.add_argument("file", type=Path, metavar="FILE", help="A request: JSON with method, url, headers and body.")
    moves = verb(
        "cassette", _cassette, "Move recordings between the store and a folder of text files.", "export|import DIR"
    )
    moves.add_argument("direction", choices=("export", "import"), help="From the store to text files, or back.")
    moves.add_argument("folder", type=Path, metavar="DIR", help="The folder of text files.")
    return root


def _check_flags(root: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Raise ConfigError for a flag that no verb has, before its value is taken for one."""
    known = set(root._option_string_actions)
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                known |= set(verb._option_string_actions)
    for argument in arguments:
        if argument.startswith("--") and argument.partition("=")[0] not in known:
            raise unknown_flag(argument, known)


def main(argv: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    arguments, behind = list(argv), None
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, behind = arguments[:cut], arguments[cut + 1 :]
    root = parser()
    try:
        _check_flags(root, arguments)
        given = root.parse_args(arguments)
        if behind is not None:
            if given.verb is not _exec:
                raise ConfigError("-- goes with exec: run.py exec -- COMMAND")
            given.command = [*given.command, *behind]
        run: Verb = given.verb
        return asyncio.run(run(given, load(given)))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if type(error).__name__ in _PLAIN:
            print(f"wiretape: {error}", file=sys.stderr)
            return BAD_INPUT
        raise


_PLAIN = ("ConfigError", "StoreError", "CertificateError", "BindError")
"""Errors that are one clear line by themselves; named, since importing them all would start slowly."""
