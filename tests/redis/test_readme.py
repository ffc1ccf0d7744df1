"""The README's section on servers is true."""

from __future__ import annotations

import pytest

from tests.console import played, transcript
from tests.redis.servers import MISSING, Server
from tests.test_docs import block

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def test_session_on_a_server_is_what_happens(server: Server, shell_environment: dict[str, str]) -> None:
    """Every command, run in order in one shell, prints what the README shows."""
    server.flush()
    blocks = transcript(block("server"))
    assert played(blocks, {**shell_environment, "PORT": str(server.port)}) == blocks
