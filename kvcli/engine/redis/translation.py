"""What a server or its client says, as ours: the one table. Foreign errors end here."""

from __future__ import annotations

import re
import socket
import ssl

from hiredis import ProtocolError, ReplyError

from kvcli.errors import AccessDenied, Full, InputOutput, InvalidArgument, KvError, NoSuchStore, ReadOnly
from kvcli.remote_errors import OutcomeUnknown, PasswordNeeded, Unavailable, WrongKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from kvcli.engine.redis.address import Address
    from kvcli.engine.redis.link import Command

PASSWORD = "set KVCLI_REDIS_PASSWORD, or name a file in KVCLI_REDIS_PASSWORD_FILE"  # noqa: S105 - how to give one
# What a server calls it: (what we call it, what to do next).
BY_WORD: dict[str, tuple[type[KvError], str]] = {
    "NOAUTH": (PasswordNeeded, f"the server asks for a password: {PASSWORD}"),
    "WRONGPASS": (AccessDenied, f"the server does not know this user and password: {PASSWORD}"),
    "NOPERM": (AccessDenied, "ask for more rights (ACL), or name another user in the URL"),
    "DENIED": (AccessDenied, "the server runs in protected mode: give it a password, or ask from its own machine"),
    "OOM": (Full, "the server has no memory left: delete something, or raise its maxmemory"),
    "READONLY": (ReadOnly, "this server is a replica, which takes no writes: name its master"),
    "MISCONF": (InputOutput, "the server cannot write its disk, and takes no writes: look at its log"),
    "NOREPLICAS": (Unavailable, "too few replicas are there, so the master takes no writes: try again later"),
    "LOADING": (Unavailable, "the server is still loading its data: try again"),
    "MASTERDOWN": (Unavailable, "this replica has lost its master: try again, or name the master"),
    "CLUSTERDOWN": (Unavailable, "the cluster is down, some of its slots are served by nobody: try again"),
    "TRYAGAIN": (Unavailable, "keys are on the move between two servers: try again"),
    "BUSY": (Unavailable, "the server is busy with a script: try again"),
    "CROSSSLOT": (AccessDenied, "the keys are in several slots of the cluster"),
    "WRONGTYPE": (WrongKind, "the key holds another kind of value than a string (a hash, list, set ...)"),
}
PASSING = {"LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY"}  # It changed nothing, and may work soon.
MOVED = ("MOVED", "ASK")
UNWELCOME = re.compile("ALERT_(CERTIFICATE|BAD_CERT|UNSUPPORTED_CERT|UNKNOWN_CA|ACCESS_DENIED)")
FOREIGN = "is not a Redis server: look at the host and the port in the URL"
ENDLESS = "sends more than it was asked for: look at the host and the port in the URL"
CROWDED = "max number of clients"


class Endless(ProtocolError):
    """An answer is longer than any that was asked for."""


class Lost(Exception):
    """A link ended. `answers` came before; where it was `writing`, what was sent may have happened.

    It is `foreign` where what came is no answer of such a server's: to ask again is of no use.
    """

    def __init__(self, name: str, error: Exception | None, answers: list[Any], *, writing: bool) -> None:
        """Say which link it was, and how it ended; None: the server closed it."""
        self.foreign = isinstance(error, ProtocolError)
        told = ENDLESS if isinstance(error, Endless) else FOREIGN if self.foreign else ""
        super().__init__(f"what answers at {name} {told}" if told else f"{name} {_reason(error)}")
        self.answers = answers
        self.writing = writing


def _reason(error: BaseException | None) -> str:
    if error is None:
        return "closed the connection"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return "did not answer in time"
        if isinstance(cause, OSError) and cause.strerror:
            return f"cannot be reached: {cause.strerror.lower()}"
        cause = cause.__cause__ or cause.__context__
    return f"failed: {error}"


class Refused(Exception):
    """A server's answer was an error: its first word says which, as is the protocol's custom."""

    def __init__(self, error: Exception) -> None:
        """Hold the error."""
        self.word = str(error).partition(" ")[0]

    @property
    def is_passing(self) -> bool:
        """Whether another server, or the same one a moment later, may answer otherwise."""
        return self.word in MOVED or self.word in PASSING or self.word == "READONLY"


def failure(error: Exception, shown: str) -> Exception:
    """Give what an answer means inside of an attempt: Refused where another attempt may go otherwise, else our error."""
    refusal = Refused(error)
    return refusal if refusal.is_passing else refused(error, shown)


def refuse_errors(answers: Iterable[Any], shown: str) -> None:
    """Raise what the first error among answers means; see failure."""
    for answer in answers:
        if isinstance(answer, ReplyError):
            raise failure(answer, shown)


def refused(error: Exception, shown: str) -> KvError:
    """Give our error for a server's answer."""
    text = str(error)
    word = text.partition(" ")[0]
    if word == "EXECABORT":
        return InputOutput(f"{shown}: the server refused a part of the transaction, and so all of it: {text}")
    kind, advice = BY_WORD.get(word, (None, ""))
    if word == "NOPERM":  # The rest says which command, or which key.
        advice = f"{text.removeprefix('NOPERM ')}: {advice}"
    if kind is not None:
        return kind(f"{shown}: {advice}")
    if "cluster support disabled" in text:
        return InvalidArgument(f"{shown}: the server is none of a cluster: write redis:// instead")
    if CROWDED in text:
        return Unavailable(f"{shown}: the server has too many clients: try again")
    return InputOutput(f"{shown}: the server refused: {text}")


def naming(error: ReplyError, command: Command) -> ReplyError:
    """Give the refusal of a right with the name of the key, where the server does not say which."""
    text = str(error)
    if not text.startswith("NOPERM") or "key" not in text or "'" in text:
        return error
    return ReplyError(f"{text}, {shown_name(command[1])}")  # type: ignore[arg-type]


def shown_name(name: bytes) -> str:
    """Give the name of a key as messages have it."""
    return repr(name.decode("utf-8", "backslashreplace"))


def lost(error: Lost, shown: str) -> KvError:
    """Give our error for a link that ended, and that nobody tries again."""
    if error.writing:
        return OutcomeUnknown(f"{shown}: {error}; what it was to write may have happened: look before you repeat it")
    if error.foreign:
        return InputOutput(f"{shown}: {error}")
    return Unavailable(f"{shown}: {error}; see that the server runs, and try again")


def not_connected(error: Exception, name: str, address: Address) -> Exception:
    """Give what a failed attempt to connect means: Lost where another attempt could go otherwise, else our error."""
    if isinstance(error, ssl.SSLError) and error.reason is not None:
        return _of_tls(error, name, address.shown)
    if isinstance(error, (socket.gaierror, ValueError)):
        return NoSuchStore(f"{address.shown}: there is no host {name.rpartition(':')[0]!r}: look at the URL")
    return Lost(name, error, [], writing=False)


def _of_tls(error: ssl.SSLError, name: str, shown: str) -> KvError:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message or "it cannot be verified"
        return AccessDenied(
            f"{shown}: the certificate of {name} is not accepted ({reason}): name the authority that signed it, ?ca=FILE"
        )
    if UNWELCOME.search(error.reason):
        return AccessDenied(
            f"{shown}: {name} does not accept this side ({error.reason}): name a certificate that it knows, ?cert=FILE&key=FILE"
        )
    return InputOutput(f"{shown}: no TLS with {name} ({error.reason}): redis:// is the scheme without TLS")


def unwelcome(error: ReplyError, command: Command, name: str, address: Address) -> Exception:
    """Give what it means that AUTH or SELECT was refused."""
    text = str(error)
    if command[0] == "AUTH" and address.password is None:  # Of a user who needs none it would have been taken.
        return refused(Exception("NOAUTH"), address.shown)
    if text.startswith("ERR") and CROWDED not in text:
        if command[0] == "AUTH":
            return AccessDenied(f"{address.shown}: {BY_WORD['WRONGPASS'][1]}")
        return NoSuchStore(f"{address.shown}: the server has no such database: look at the number in the URL")
    told = failure(error, address.shown)
    return Lost(name, error, [], writing=False) if isinstance(told, Refused) else told
