"""A server that answers nothing, and a person at the prompt: keys are heard at once."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.redis.servers import MISSING, Server
from tests.terminal import CTRL_C, TAB, Terminal, repl

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

AT_ONCE_SECONDS = 3.0  # On a machine that is busy; what is waited for in vain are five, and ten.


@contextmanager
def stopped(server: Server) -> Iterator[float]:
    """Have a server that takes connections, and answers none."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield time.monotonic()
    finally:
        server.process.send_signal(signal.SIGCONT)


@pytest.fixture
def terminal(server: Server) -> Iterator[Terminal]:
    """A REPL on a server that holds `user:1`."""
    server.flush()
    server.cli("SET", "default:user:1", "ann")
    with repl(server.url) as started:
        started.enter("get user:1")
        started.until("ann")
        started.ready()
        yield started


def interrupted_at_once(terminal: Terminal, told: str) -> None:
    """Press Ctrl-C, and see what that is told by, at once."""
    begun = time.monotonic()
    terminal.press(CTRL_C)
    terminal.until(told)
    assert time.monotonic() - begun < AT_ONCE_SECONDS


def test_enter_does_not_wait_for_what_completes(terminal: Terminal, server: Server) -> None:
    """Ctrl-C ends a command also where the completion of its last word was waited for when Enter was pressed."""
    terminal.type("get user:")
    with stopped(server):
        terminal.press("9\r")
        terminal.rest(1.5)
        interrupted_at_once(terminal, "interrupted")


def test_tab_does_not_wait_long(terminal: Terminal, server: Server) -> None:
    """Tab finds nothing where the server does not answer, and the next key is heard."""
    terminal.ready()
    with stopped(server) as begun:
        terminal.press("get user:" + TAB + "77")
        terminal.until("user:77")
        assert time.monotonic() - begun < AT_ONCE_SECONDS


def test_interrupt_ends_the_greeting(server: Server) -> None:
    """Ctrl-C at the start gives the prompt, though the server has not told what is there."""
    with stopped(server):
        terminal = Terminal(sys.executable, "-m", "kvcli", env={"KVCLI_STORE": server.url})
        try:
            terminal.rest(1.5)
            interrupted_at_once(terminal, "default>")
        finally:
            terminal.close()


def test_interrupted_commit(terminal: Terminal, server: Server) -> None:
    """Ctrl-C ends a commit at once, and tells that it may be written: the server alone knows."""
    terminal.enter("begin")
    terminal.enter("set user:1 bob")
    terminal.until("[txn 1]")
    with stopped(server):
        terminal.enter("commit")
        terminal.rest(1.0)
        interrupted_at_once(terminal, "interrupted: the server may have written it")
