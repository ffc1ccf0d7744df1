"""Link: one connection to one server, in order: what is sent is answered, or the link is lost and closed.

Commands are packed and answers parsed by hiredis, many at a time. Nothing is ever sent twice here.
"""

from __future__ import annotations

from contextlib import suppress
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any
from weakref import finalize

from hiredis import ProtocolError, Reader, ReplyError, pack_command

from kvcli.engine.redis.joining import first_words, joined
from kvcli.engine.redis.kinds import QUEUED, fits, not_plain
from kvcli.engine.redis.translation import Endless, Lost, Refused, naming, not_connected, unwelcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from socket import socket

    from kvcli.engine.redis.address import Address

    Word = bytes | str | int
    Command = Sequence[Word]

RECEIVED_BYTES = 1 << 18
# Of each word that is asked for; what a server takes, unless its proto-max-bulk-len says more.
VALUE_BYTES_MAX = 512 << 20
ASKING = ("ASKING",)
PING = ("PING",)


class Link:
    """A connection that is open."""

    __slots__ = ("__weakref__", "_asks", "_reader", "_socket", "_transacts", "name", "writing")

    def __init__(self, sock: socket, name: str) -> None:
        """Talk on a socket that is connected to what is called `name`."""
        self.name = name
        self._socket = sock
        # For who forgets it. No __del__: in a cycle the socket's own could come first.
        finalize(self, sock.close)
        self.writing = False  # Something that writes was sent, and is not answered.
        self._asks = False
        self._transacts = False  # MULTI was taken before.
        self._reader = Reader()

    @classmethod
    def to(cls, address: Address, host: str, port: int) -> Link:
        """Connect. Raises Lost where nobody answers, and what is ours where somebody does and will not."""
        link = cls(joined(address, host, port), f"{host}:{port}")
        try:
            link._begin(address)
        except BaseException:
            link.close()  # Not by forgetting it: the exception remembers.
            raise
        return link

    def call(self, *words: Word, writes: bool = False) -> Any:
        """Send one command and give its answer. Raises Refused, Lost."""
        (answer,) = self.exchange([words], writes=writes)
        if isinstance(answer, ReplyError):
            raise Refused(answer)  # The attempt that this belongs to makes an error of ours of it.
        return answer

    def exchange(self, commands: Sequence[Command], *, writes: bool = False) -> list[Any]:
        """Send commands in one go and give their answers in order; those that were refused are ReplyErrors."""
        if self._asks:
            return self._exchange_asking(commands, writes=writes)
        self.send(b"".join(map(pack_command, commands)), writes=writes)  # type: ignore[arg-type]
        return self.hear(commands)

    def transact(self, commands: Sequence[Command]) -> list[Any]:
        """Do commands in one transaction, and give all answers, from MULTI's to EXEC's.

        The first time it is known that MULTI is taken before they are sent: behind one that is refused, by rights or by a
        proxy, they would be done at once, one by one, whatever is watched.
        """
        told: list[Command] = [*commands, ("EXEC",)]
        if self._transacts:
            return self.exchange([("MULTI",), *told], writes=True)
        (answer,) = self.exchange([("MULTI",)])
        if isinstance(answer, ReplyError):
            return [answer]
        self._transacts = True
        self.send(b"".join(map(pack_command, told)), writes=True)  # type: ignore[arg-type]
        return [answer, *self.hear(told)]

    def send(self, packed: bytes, *, writes: bool) -> None:
        """Send commands that are packed. Raises Lost."""
        self.writing = self.writing or writes
        try:
            self._socket.sendall(packed)
        except OSError as error:
            raise self._lost(error) from error

    def hear(self, commands: Sequence[Command]) -> list[Any]:
        """Give the answers to commands that were sent. Raises Lost, which holds those that came before."""
        return self._checked(commands, self._receive(commands))

    def _receive(self, commands: Sequence[Command]) -> list[Any]:
        answers: list[Any] = []
        take, count, held = self._reader.gets, len(commands), 0
        while True:
            done = len(answers)
            try:
                while len(answers) < count and (answer := take()) is not False:
                    answers.append(answer)
            except ProtocolError as error:
                raise self._lost(error, answers) from error
            if len(answers) == count:
                return answers
            held = self._feed(answers) + (held if len(answers) == done else 0)
            if held > VALUE_BYTES_MAX * len(commands[len(answers)]):
                raise self._lost(Endless(), answers)

    def ask_once(self) -> None:
        """Say with what is sent next that the server is to answer for a slot that it is about to get."""
        self._asks = True

    def rest(self) -> None:
        """Forget that it was to ask."""
        self._asks = False

    def is_fresh(self) -> bool:
        """Tell whether nothing came, not even an end, while nothing was asked."""
        waiting = poll()
        waiting.register(self._socket, POLLIN)
        return not waiting.poll(0)

    def close(self) -> None:
        """End the connection. Safe to call twice."""
        self._socket.close()

    def _meet(self, address: Address) -> None:
        """See that it takes this client: one of TLS 1.3 tells that it wants a certificate when something is asked."""
        with suppress(OSError):  # Why it has closed is still to be read.
            self._socket.sendall(pack_command(PING))
        try:
            self._receive([PING])
        except Lost as loss:
            cause = loss.__cause__ if isinstance(loss.__cause__, OSError) else loss
            raise not_connected(cause, self.name, address) from loss

    def _begin(self, address: Address) -> None:
        if address.tls is not None:
            self._meet(address)
        words = first_words(address)
        answers = self.exchange(words) if words else []
        for command, answer in zip(words, answers, strict=True):
            if isinstance(answer, ReplyError):
                raise unwelcome(answer, command, self.name, address)

    def _feed(self, answers: list[Any]) -> int:
        try:
            piece = self._socket.recv(RECEIVED_BYTES)
            if piece:
                self._reader.feed(piece)
                return len(piece)
        except OSError as error:
            raise self._lost(error, answers) from error
        raise self._lost(None, answers)

    def _lost(self, error: Exception | None, answers: Iterable[Any] = ()) -> Lost:
        self.close()
        return Lost(self.name, error, list(answers), writing=self.writing)

    def _exchange_asking(self, commands: Sequence[Command], *, writes: bool) -> list[Any]:
        # One in front of each command, and none inside of a transaction, whose first one serves for all.
        said: list[Command] = []
        inside = False
        for command in commands:
            said += [command] if inside else [ASKING, command]
            inside = (inside or command[0] == "MULTI") and command[0] != "EXEC"
        self.send(b"".join(map(pack_command, said)), writes=writes)  # type: ignore[arg-type]
        told = [answer for answer, command in zip(self._receive(said), said, strict=True) if command is not ASKING]
        return self._checked(commands, told)

    def _checked(self, commands: Sequence[Command], answers: list[Any]) -> list[Any]:
        """Give answers back, with the name of a key that was refused. Raises Lost where one is no answer to its command."""
        words = [command[0] for command in commands]
        if words and words[-1] == "EXEC":
            words[:-1] = [word if word == "MULTI" else QUEUED for word in words[:-1]]
        for at in not_plain(words, answers):
            if isinstance(answers[at], ReplyError):
                answers[at] = naming(answers[at], commands[at])
            elif words[at] == QUEUED or not fits(commands[at], answers[at]):  # Nobody knows what comes next then.
                raise self._lost(ProtocolError(f"this is no answer to {words[at]!r}"), answers[:at])
        self.writing = False
        return answers
