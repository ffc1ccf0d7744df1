"""A proxy in front of a server, which fails where it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """Passes on what clients and the server say, until a client says `word`: then it ends as it was told to.

    `swallow`: the server is told, and its answer is not passed on. `cut`: it is not even told.
    """

    def __init__(self, port: int, word: bytes, how: str, times: int = 1) -> None:
        """Stand in front of a port, and fail so many times."""
        self._port = port
        self._word = word
        self._how = how
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
                    if self._how == "swallow":
                        client.shutdown(socket.SHUT_WR)
                        server.sendall(said)
                        server.recv(1 << 16)
                    client.close()
                    return
                server.sendall(said)

    def _downward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while told := server.recv(1 << 16):
                client.sendall(told)
