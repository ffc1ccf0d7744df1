"""The server: one thread that waits for all channels at once, and for the end of the processes behind them."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from select import EPOLLIN, EPOLLOUT, epoll
from time import perf_counter

from kvcli.shell.answering import Desk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kvcli.shell.channel import Channel
    from kvcli.shell.folder import Folder

PROCESSORS = len(os.sched_getaffinity(0))
SPIN_SECONDS = 0.0003
IDLE_SECONDS = 600.0  # After so long a shell can do without; the next call starts another server.
REST_SECONDS = 1.0  # After so long without a request nothing is open any more.


class Server:
    """Answers the processes of one shell until all of them are gone."""

    def __init__(self, folder: Folder, shell: int) -> None:
        """Listen to all channels, and watch the shell."""
        self._folder = folder
        self._desk = Desk()
        self._events = epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._spins = False
        self._is_alone = False  # The shell is gone; subshells of it may be there.
        for channel in folder.channels:
            self._listen(channel)
        self._watch(shell, self._leave)

    def serve(self) -> None:
        """Answer; returns when nobody is left who could ask."""
        while True:
            is_restless = self._desk.is_open or self._is_alone
            happened = self._spin() or self._events.poll(REST_SECONDS if is_restless else IDLE_SECONDS)
            for handle, _ in happened:
                if handle in self._handlers:  # One that came before may have closed it.
                    self._handlers[handle]()
            if not happened and not is_restless:
                return
            if not happened:
                self._desk.rest()
                self._tidy()
                if self._is_alone and not any(channel.owner for channel in self._folder.channels):
                    return

    def _spin(self) -> list[tuple[int, int]]:
        """Look for the next call of a loop before going to sleep: to be woken on another processor takes as long as to answer."""
        if not self._spins:
            return []
        self._spins, until = False, perf_counter() + SPIN_SECONDS
        while not (happened := self._events.poll(0)) and perf_counter() < until:
            pass
        return happened

    def _on(self, handle: int, event: int, handler: Callable[[], None]) -> None:
        self._events.register(handle, event)
        self._handlers[handle] = handler

    def _off(self, handle: int) -> None:
        if self._handlers.pop(handle, None) is not None:
            self._events.unregister(handle)

    # Channels

    def _listen(self, channel: Channel) -> None:
        self._on(channel.requests, EPOLLIN, partial(self._hear, channel))

    def _hear(self, channel: Channel) -> None:
        try:
            request = channel.receive()
        except ValueError:
            self._renew(channel)
            return
        if request is None or (channel.owner is None and not self._adopt(channel)):
            return
        channel.send(self._desk.answer(request, channel.owner or 0))
        self._spins = PROCESSORS > 1
        if channel.unsent:
            self._on(channel.answers, EPOLLOUT, partial(self._send, channel))

    def _send(self, channel: Channel) -> None:
        channel.send()
        if not channel.unsent:
            self._off(channel.answers)

    def _adopt(self, channel: Channel) -> bool:
        """Learn who has a channel; false where that is nobody who lives."""
        claimant = channel.claimant()
        if claimant is None or claimant < 0:
            return False
        channel.owner = claimant
        if claimant == 0 or not self._watch(claimant, partial(self._lose, channel, claimant)):
            self._renew(channel)
            return False
        return True

    def _lose(self, channel: Channel, process: int) -> None:
        if channel.owner == process:  # It may have given this channel up, and taken another.
            self._renew(channel)

    def _renew(self, channel: Channel) -> None:
        self._off(channel.requests)
        self._off(channel.answers)
        channel.renew()
        self._listen(channel)

    def _tidy(self) -> None:
        """See to the channels that were claimed and never used, or given up."""
        for channel in self._folder.channels:
            if channel.owner is None:
                self._adopt(channel)
            elif channel.claimant() != channel.owner:
                self._renew(channel)

    # Processes

    def _watch(self, process: int, gone: Callable[[], None]) -> bool:
        """Call a function when a process ends; false where it did already."""
        try:
            handle = os.pidfd_open(process)
        except ProcessLookupError:
            gone()
            return False
        self._on(handle, EPOLLIN, partial(self._bury, handle, gone))
        return True

    def _bury(self, handle: int, gone: Callable[[], None]) -> None:
        self._off(handle)
        os.close(handle)
        with suppress(OSError):  # Somebody removed the folder: the end is near anyway.
            gone()

    def _leave(self) -> None:
        self._is_alone = True
