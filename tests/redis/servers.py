"""Servers for tests: started on free ports of loopback, with their files in a folder that goes away."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from importlib.util import find_spec

SERVER = shutil.which("redis-server")
CLI = shutil.which("redis-cli")
MISSING = (
    "no redis-server"
    if SERVER is None
    else "no client: pip install 'kvcli[redis]'"
    if find_spec("hiredis") is None
    else ""
)
PATIENCE_SECONDS = 30
TRIES = 5


def free_port() -> int:
    """Give a port that nobody has, and whose neighbour for the cluster's bus a server may have as well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port if port < 55_000 else port - 20_000


class Server:
    """One redis-server."""

    def __init__(self, folder: str, *settings: str) -> None:
        """Start it, and wait until it answers; the port may be somebody else's, and then on another one."""
        self.folder = folder
        self._settings = settings
        for _ in range(TRIES):
            self.port = free_port()
            self.process = self._started()
            if self._answers():
                return
            self.stop()
        raise AssertionError("no redis-server would start")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Remove everything."""
        self.cli("FLUSHALL")

    def restart(self) -> None:
        """Start it anew, on the same port."""
        self.stop()
        self.process = self._started()
        assert self._answers()

    def cli(self, *words: str) -> str:
        """Ask it by its own client."""
        assert CLI is not None
        return subprocess.run(
            [CLI, "-p", str(self.port), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        assert SERVER is not None
        words = [SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder]
        return subprocess.Popen([*words, *self._settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _answers(self) -> bool:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.sendall(b"PING\r\n")
                if probe.recv(100):  # An error too, such as that it asks for a password.
                    return True
            time.sleep(0.01)
        return False
