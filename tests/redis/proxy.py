"""A proxy in front of a server, which fails where it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Proxy:
    """Passes on what clients and the server say, until a client says `word`: then it ends as it was told to.

    `swallow`: the server is told, and its answer is not passed on. `cut`: it is not even told. Or what is to be done, and
    then it ends nothing, and passes that on as well.
    """

    def __init__(
        self, port: int, word: bytes, how: str | Callable[[], object], times: int = 1, hidden: bytes = b""
    ) -> None:
        """Stand in front of a port, and fail so many times. What is `hidden` the server does not seem to say."""
        self._port = port
        self._word = word
        self._how = how
        self._hidden = hidden
        self.left = times
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more clients."""
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._upward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._downward, args=(client, server), daemon=True).start()

    def _upward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), client, server:
            while said := client.recv(1 << 16):
                if self._word in said and self.left:
                    self.left -= 1
                    if isinstance(self._how, str):
                        self._end(client, server, said)
                        return
                    self._how()
                server.sendall(said)

    def _end(self, client: socket.socket, server: socket.socket, said: bytes) -> None:
        if self._how == "swallow":
            client.shutdown(socket.SHUT_WR)
            server.sendall(said)
            server.recv(1 << 16)
        client.close()

    def _downward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while told := server.recv(1 << 16):
                client.sendall(told.replace(self._hidden, b"?" * len(self._hidden)) if self._hidden else told)
