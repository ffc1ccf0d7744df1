"""kvcli run: a WebAssembly component, which imports wasi:keyvalue, on buckets of the store. It prints by itself."""

from __future__ import annotations

import os

from kvcli.commands import Replay
from kvcli.errors import GuestTrapped, InvalidArgument
from kvcli.store import Bucket
from kvcli.units import milliseconds, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from kvcli.commands.context import Context
    from kvcli.wasm.sandbox import Folder

READ_ONLY = ":ro"
STDOUT = 1
FUEL_MAX = (1 << 64) - 1
MEMORY_BYTES_MIN, MEMORY_BYTES_MAX = 1 << 16, 1 << 62  # A page of WebAssembly's; what wasmtime takes.


def run(
    context: Context,
    file: str,
    arguments: list[str] | None = None,
    *,
    bucket: list[str] | None = None,
    deny: list[str] | None = None,
    env: list[str] | None = None,
    dir: list[str] | None = None,  # noqa: A002 - an argument has the name of its option
    timeout: str | None = None,
    memory: str | None = None,
    fuel: int | None = None,
    watch: bool = False,
) -> Replay:
    """Run the component in `file`; its exit code is that of the command."""
    from kvcli import wasm
    from kvcli.location import compiled_folder

    wasm.require()
    seconds, room = limits(timeout, memory)
    if fuel is not None and fuel > FUEL_MAX:
        raise InvalidArgument(f"--fuel is 1 to {FUEL_MAX}, not {fuel}")
    given: dict[str, Any] = {
        "buckets": grants(context, bucket or []),
        "denied": deny or [],
        "cache": lambda: context.cache(beside=True),
        "variables": variables(env or []),
        "folders": [folder(each) for each in dir or []],
        "compiled": compiled_folder(),
    }

    def guest() -> Iterator[tuple[int, bytes]]:
        replay.exit_code = ended(
            lambda: wasm.run(file, arguments or [], timeout=seconds, memory=room, fuel=fuel, watch=watch, **given)
        )
        yield from ()

    replay = Replay(guest())
    return replay


def ended(work: Callable[[], int]) -> int:
    """Run a guest and give its exit code. Raises BrokenPipeError where it failed since nobody reads what it prints."""
    try:
        code = work()
    except GuestTrapped:
        if not is_left():
            raise
        code = GuestTrapped.exit_code
    if code and is_left():
        raise BrokenPipeError
    return code


def is_left() -> bool:
    """Tell whether the reader of stdout went away."""
    from select import POLLERR, poll

    stdout = poll()
    stdout.register(STDOUT, 0)
    return any(event & POLLERR for _, event in stdout.poll(0))


def limits(timeout: str | None, memory: str | None) -> tuple[float | None, int | None]:
    """Read seconds and bytes. Raises InvalidArgument."""
    seconds = None if timeout is None else milliseconds(timeout, "--timeout") / 1000
    room = None if memory is None else size(memory, "--memory")
    if room is not None and not MEMORY_BYTES_MIN <= room <= MEMORY_BYTES_MAX:
        raise InvalidArgument(f"--memory is 64K, the smallest that a component can have, to 4194304T, not {memory}")
    return seconds, room


def grants(context: Context, said: list[str]) -> dict[str, Bucket]:
    """Read NAME=BUCKET[:ro], and open the buckets: NAME is the guest's. Without = it is the home bucket, as elsewhere."""
    from kvcli.wasm.grants import HOME, for_reading

    homes = [each for each in said if "=" not in each]
    if len(homes) > 1:
        raise InvalidArgument("--bucket NAME was said twice: a guest has one home bucket, others are NAME=BUCKET")
    named = dict.fromkeys(HOME, homes[0] if homes else context.bucket_name)
    for each in said:
        name, is_grant, target = each.partition("=")
        named |= {name: target} if is_grant else {}
    store = context.store_to_read() if context.read_only else context.store_to_write()
    granted = {}
    for name, target in named.items():
        if context.create:
            store.create(target.removesuffix(READ_ONLY))
        opened = store.open(target.removesuffix(READ_ONLY))
        granted[name] = for_reading(opened) if target.endswith(READ_ONLY) else opened
    return granted


def variables(said: list[str]) -> dict[str, str]:
    """Read NAME=VALUE; NAME alone passes on a variable of kvcli's own, if that has it."""
    found = {}
    for each in said:
        name, is_said, value = each.partition("=")
        if not name:
            raise InvalidArgument(f"--env is NAME=VALUE, or the NAME of a variable to pass on, not {each!r}")
        if is_said or name in os.environ:
            found[name] = value if is_said else os.environ[name]
    return found


def folder(said: str) -> Folder:
    """Read HOST::GUEST[:ro]; without ::GUEST the guest sees it under the same path."""
    from kvcli.wasm.sandbox import Folder

    path, is_said, guest_path = said.removesuffix(READ_ONLY).partition("::")
    if not path or (is_said and not guest_path):
        raise InvalidArgument(f"--dir is HOST::GUEST, and :ro behind it, not {said!r}")
    return Folder(path, guest_path or path, writable=not said.endswith(READ_ONLY))
