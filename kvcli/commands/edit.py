"""kvcli edit: a value in the editor of its user, written back if nobody else changed it meanwhile."""

from __future__ import annotations

import os
import shutil
import tempfile

from kvcli.atomics import Cas, swap
from kvcli.commands import Record
from kvcli.errors import CommandFailed, KvError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context

NAME_CHARS_MAX = 40


def run(context: Context, key: str) -> Record:
    """Let $VISUAL or $EDITOR change the value of `key`, or make one, and swap it in (atomics.wit, `swap`).

    Editors end a file with a newline: one that the value did not end with before is left out again.
    Raises CasFailed, CommandFailed; what was written in the editor is kept in a file then.
    """
    cas, before = Cas.new_with_read(context.bucket_to_write(key, make=context.create), key)
    folder = tempfile.mkdtemp(prefix="kvcli-")
    path = os.path.join(folder, _file_name(key, before or b""))
    try:
        with open(path, "wb", opener=_private) as file:
            file.write(before or b"")
        run_editor(path)
        after = _read(path, before or b"")
        record = Record({"key": cas.bucket.raw(key), "changed": after != (before or b"")})
        if record.fields["changed"]:
            cas.bucket = context.bucket_to_write(key)
            swap(cas, after)
        else:
            record.note = f"{key!r} is as it was"
    except BaseException as error:
        _give_up(error, path, before or b"")
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return record


def run_editor(path: str) -> None:
    """Let the user's editor change a file. Raises CommandFailed."""
    from kvcli.commands.child import outlast, start

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    code = outlast(start(["/bin/sh", "-c", f'{editor} "$@"', editor, path]))  # As git does: $EDITOR may have options.
    if code:
        raise CommandFailed(f"{editor!r} ended with {code}; nothing was changed", code)


def _read(path: str, before: bytes) -> bytes:
    with open(path, "rb") as file:
        after = file.read()
    return after if before.endswith(b"\n") else after.removesuffix(b"\n")


def _give_up(error: BaseException, path: str, before: bytes) -> None:
    """Keep what was written in the editor, and say where; nothing is kept where nothing was written."""
    try:
        is_worth_it = _read(path, before) not in {before, b""}
    except OSError:
        is_worth_it = False
    if not is_worth_it:
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    elif isinstance(error, KvError):
        error.args = (f"{error}; what you wrote is in {path}", *error.args[1:])


def _file_name(key: str, value: bytes) -> str:
    """Name the file so that an editor knows what is in it."""
    name = "".join([char if char.isalnum() or char in "-_." else "_" for char in key])[:NAME_CHARS_MAX].strip(".")
    if "." in name:
        return name
    return f"{name or 'value'}{'.json' if value.lstrip()[:1] in {b'{', b'['} else '.txt'}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
