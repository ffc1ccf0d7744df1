"""Interrupts: Ctrl-C between any two steps of a read or a write leaves the store as usable as before."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

import pytest

import kvcli
from kvcli.atomics import increment
from kvcli.cache import Cache, Vacant
from kvcli.store import Bucket, Store
from tests.processes import hold_lock, release, start
from tests.test_threads import environment

ENGINE = os.path.join(os.path.dirname(kvcli.__file__), "engine")
STEPS_MAX = 2000


# Sets SIGINT pending, as the signal's own handler in C does. To be called as a trace function, whose arguments C ignores:
# one in Python would be interrupted itself, and at places where the interpreter never looks for signals.
set_pending = ctypes.pythonapi.PyErr_SetInterrupt
set_pending.argtypes = [ctypes.py_object] * 3
set_pending.restype = None


class Interrupter:
    """Has Ctrl-C come before one step, of bytecode, of this thread inside the engine."""

    def __init__(self, at: int) -> None:
        """Count down from `at`."""
        self.left = at

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Callable[..., object] | None:
        """Be a trace function: see every step of the frames of the engine."""
        if not frame.f_code.co_filename.startswith(ENGINE):
            return None
        frame.f_trace_opcodes = True
        self.left -= event == "opcode"
        return self if self.left > 0 else set_pending

    def interrupts(self, work: Callable[[], object]) -> bool:
        """Run work and tell whether it was interrupted."""
        before, tracer = signal.signal(signal.SIGINT, interrupt), sys.gettrace()
        try:
            sys.settrace(self)  # type: ignore[arg-type]
            work()
            sys.settrace(None)
            signal.getsignal(signal.SIGINT)  # What came at the last step is heard here.
        except KeyboardInterrupt:
            return True
        finally:
            signal.signal(signal.SIGINT, before)
            sys.settrace(tracer)  # That of coverage, which would see nothing of all later tests.
        return False


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Be the handler of SIGINT: once is enough."""
    sys.settrace(None)
    raise KeyboardInterrupt


def write(bucket: Bucket) -> None:
    """Write something."""
    increment(bucket, "n", 1)


def read(bucket: Bucket) -> None:
    """Read something, the map having been resized by another."""
    environment(bucket.store)._gate.alone(lambda: None)
    bucket.get("n")


@pytest.mark.parametrize("work", [write, read])
def test_interrupt_at_any_step_leaves_the_store_usable(path: str, work: Callable[[Bucket], None]) -> None:
    """After each of them the next read and the next write work at once, and nobody seems to be inside."""
    with Store(path, lock_timeout=5) as store:
        bucket = store.open("default")
        Interrupter(sys.maxsize).interrupts(
            lambda: work(bucket)
        )  # Python 3.12 sees steps only from the second time on.
        for step in range(1, STEPS_MAX):
            before = increment(bucket, "n", 1)
            if not Interrupter(step).interrupts(lambda: work(bucket)):
                break
            assert increment(bucket, "n", 1) - before in {1, 2}
            assert environment(store)._gate.alone(lambda: True)
            end = time.monotonic() + 20
            while environment(
                store
            )._gate.is_busy():  # By a thread that was to be alone, and of which nobody waits any more.
                assert time.monotonic() < end
        assert 20 < step < STEPS_MAX - 1


@pytest.mark.parametrize("removal", ["__del__ = press", "pass"], ids=["destructor", "weak reference"])
def test_interrupt_where_an_object_is_removed(removal: str) -> None:
    """In the REPL, Ctrl-C that comes where Python forgets what is raised is heard a moment later, and nothing is printed."""
    program = f"""
import os, signal, time, weakref
from kvcli.repl.interrupts import Interrupts
def press(_):
    os.kill(os.getpid(), signal.SIGINT)
class Thing:
    {removal}
interrupts = Interrupts()
try:
    with interrupts.heard():
        thing = Thing()
        reference = weakref.ref(thing, press if Thing.__dict__.get("__del__") is None else None)
        del thing
        time.sleep(10)
        print("forgotten")
except KeyboardInterrupt:
    print("heard")
"""
    child = start(program)
    assert child.communicate(timeout=60) == (b"heard\n", b"")


DEAF = """
import ctypes, sys, threading, kvcli
store = kvcli.Store(sys.argv[1], lock_timeout=50)
threading.Timer(0.5, ctypes.pythonapi.PyErr_SetInterrupt).start()
if sys.argv[2] == "claim":
    kvcli.Cache(store).get_or_set("k", 50)
store.open("default").set("k", b"v")
"""


@pytest.mark.parametrize("wait", ["claim", "lock"])
def test_interrupt_that_wakes_nobody_is_heard(path: str, wait: str) -> None:
    """Ctrl-C in the moment in which a thread goes to sleep is as if it came without waking it; it ends the wait before long."""
    with Store(path) as store, Cache(store) as cache:
        vacancy = cache.get_or_set("k")
        holder = hold_lock(path)
        child = start(DEAF, path, wait)
        assert child.communicate(timeout=30)[1].strip().endswith(b"KeyboardInterrupt")
        release(holder)
        assert isinstance(vacancy, Vacant)
