"""Which answers are kept: whole ones, of a kind the settings want, without a credential in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from addons import answers
from addons.exchange import Exchange
from addons.protocols.base import Ending
from addons.secrets import holds
from addons.tape import Tape
from cache import Reply


@dataclass(frozen=True, slots=True)
class Admission:
    """`keep` names, per level, the endings kept besides a plain stop; `record_errors` keeps non-2xx in record mode."""

    keep: Mapping[str, Sequence[str]]
    record_errors: bool

    def refuses(self, exchange: Exchange, tape: Tape, body: bytes) -> tuple[str, Ending]:
        """Why an answer is not kept (empty if it is), and how it ended."""
        cut = Ending("cut")
        if tape.failure is not None:
            return "cut", cut
        if tape.overflowed:
            return "too large", cut
        if not 200 <= tape.status < 300:
            if exchange.mode == "record" and self.record_errors:
                return ("credential in reply", cut) if _tells(exchange, tape, body) else ("", Ending("error"))
            return f"status {tape.status}", Ending("error")
        if exchange.directives.no_store and exchange.mode != "record":
            return "no-store", cut
        ending = exchange.protocol.ending(exchange.form, body)
        if not tape.delimited and exchange.mode != "record" and exchange.protocol.name == "other" and _opaque(body):
            return "cut", cut  # it may be, and nothing in it would tell
        if not ending.complete and not self._recordable(exchange, tape, ending):
            return ending.reason, ending
        if exchange.mode != "record" and ending.reason != "stop" and ending.reason not in self.keep[exchange.level]:
            return ending.reason, ending
        if _tells(exchange, tape, body):
            return "credential in reply", ending
        return "", ending

    def _recordable(self, exchange: Exchange, tape: Tape, ending: Ending) -> bool:
        """Whether record mode keeps an answer that the protocol does not call whole.

        An error inside a 2xx reply, if errors are recorded; and a stream in a format we do not
        know, which has no last event to look for, if HTTP itself said where it ends.
        """
        if exchange.mode != "record":
            return False
        if ending.reason == "error":
            return self.record_errors
        return exchange.protocol.name == "other" and tape.delimited

    def serves(self, reply: Reply, level: str) -> bool:
        """Whether a stored reply may be given to someone who did not ask for a recording."""
        return 200 <= reply.status < 300 and (reply.ending == "stop" or reply.ending in self.keep[level])


def _opaque(body: bytes) -> bool:
    """Whether nothing in a body of any kind tells where it ends: it is text, audio, an image, but no JSON."""
    return body.lstrip()[:1] not in (b"{", b"[")


def _tells(exchange: Exchange, tape: Tape, body: bytes) -> bool:
    """Whether an answer repeats a credential of its request, in its body or in a header that would be kept."""
    secrets = exchange.unkeepable
    fields = "\n".join(value for _, value in answers.kept(tape.headers))
    return holds(body, secrets) or holds(fields.encode("utf-8", "surrogatepass"), secrets)
