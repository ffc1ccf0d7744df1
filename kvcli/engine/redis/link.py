"""Link: one connection to one server, in order: what is sent is answered, or the link is lost and closed.

The client library connects (TLS, password, database); from then on commands are packed and answers parsed by its C half,
many at a time. Nothing is ever sent twice here.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any

from hiredis import ProtocolError, Reader, ReplyError, pack_command
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.exceptions import RedisError
from redis.retry import Retry

from kvcli.engine.redis.certificates import check
from kvcli.engine.redis.translation import Lost, Refused, not_connected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kvcli.engine.redis.address import Address

    Word = bytes | str | int
    Command = Sequence[Word]

RECEIVED_BYTES = 1 << 18
ASKING = pack_command(("ASKING",))
PING = pack_command(("PING",))


class Link:
    """A connection that is open."""

    __slots__ = ("_asks", "_connection", "_reader", "_socket", "_transacts", "name", "writing")

    def __init__(self, address: Address, host: str, port: int) -> None:
        """Connect. Raises Lost where nobody answers, Refused where somebody does and will not."""
        self.name = f"{host}:{port}"
        self.writing = False  # Something that writes was sent, and is not answered.
        self._asks = False
        self._transacts = False  # MULTI was taken before.
        self._connection = _connected(address, host, port)
        sock: socket.socket | None = self._connection._sock  # noqa: SLF001 - the library cannot read many answers at once
        assert sock is not None  # noqa: S101 - it has just connected
        self._socket = sock
        self._reader = Reader()
        if address.tls is not None:
            self._meet(address)

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
        return self.receive(len(commands))

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
        return [answer, *self.receive(len(told))]

    def send(self, packed: bytes, *, writes: bool) -> None:
        """Send commands that are packed. Raises Lost."""
        self.writing = self.writing or writes
        try:
            self._socket.sendall(packed)
        except OSError as error:
            raise self._lost(error) from error

    def receive(self, count: int) -> list[Any]:
        """Give the next answers. Raises Lost, which holds those that came before."""
        answers: list[Any] = []
        take = self._reader.gets
        while True:
            try:
                while len(answers) < count and (answer := take()) is not False:
                    answers.append(answer)
            except ProtocolError as error:
                raise self._lost(error, answers) from error
            if len(answers) == count:
                self.writing = False
                return answers
            self._feed(answers)

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
        self._connection.disconnect()  # type: ignore[no-untyped-call]

    def _meet(self, address: Address) -> None:
        """See that it takes this client: one of TLS 1.3 tells that it wants a certificate when something is asked."""
        with suppress(OSError):  # Why it has closed is still to be read.
            self._socket.sendall(PING)
        try:
            self.receive(1)
        except Lost as loss:
            raise not_connected(loss, self.name, address) from loss

    def _feed(self, answers: list[Any]) -> None:
        try:
            piece = self._socket.recv(RECEIVED_BYTES)
            if piece:
                self._reader.feed(piece)
                return
        except OSError as error:
            raise self._lost(error, answers) from error
        raise self._lost(None, answers)

    def _lost(self, error: Exception | None, answers: Iterable[Any] = ()) -> Lost:
        self.close()
        return Lost(self.name, error, list(answers), writing=self.writing)

    def _exchange_asking(self, commands: Sequence[Command], *, writes: bool) -> list[Any]:
        # One in front of each command, and none inside of a transaction, whose first one serves for all.
        packed, kept, inside = [], [], False
        for command in commands:
            if not inside:
                packed.append(ASKING)
                kept.append(False)
            packed.append(pack_command(command))  # type: ignore[arg-type]
            kept.append(True)
            inside = (inside or command[0] == "MULTI") and command[0] != "EXEC"
        self.send(b"".join(packed), writes=writes)
        return [answer for answer, is_kept in zip(self.receive(len(kept)), kept, strict=True) if is_kept]


def _connected(address: Address, host: str, port: int) -> Connection:
    settings: dict[str, Any] = {
        "host": host,
        "port": port,
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "socket_timeout": address.seconds,
        "socket_connect_timeout": address.seconds,
        "protocol": 2,
        "driver_info": None,  # Two more round trips, to tell who calls.
        "retry": Retry(NoBackoff(), 0),
    }
    if address.tls is not None:
        check(address.tls)
        settings |= address.tls
    kind: Any = Connection if address.tls is None else SSLConnection
    connection: Connection = kind(**settings)
    try:
        connection.connect()  # type: ignore[no-untyped-call]
    except (RedisError, OSError, UnicodeError) as error:  # The last one for the name of a host that can be none.
        raise not_connected(error, f"{host}:{port}", address) from error
    return connection
