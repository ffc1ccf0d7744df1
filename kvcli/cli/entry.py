"""The way in and the way out: words to an invocation, an answer to streams, an error to an exit code."""

from __future__ import annotations

import gc
import os
import sys

from kvcli.cli.shield import raise_shield
from kvcli.errors import Full, KvError, NoSuchFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from kvcli.cli.output import Output
    from kvcli.commands import Invocation

COMPLETE = "__complete"  # What the completion scripts say, and nobody else.
INTERRUPTED, PIPE_CLOSED, NOT_WRITTEN = 130, 141, 74
# Classes being made, and a chunk of operations, are many objects and no garbage: to look through them again and again takes
# a twentieth of the time of a get, and a third of that of a batch.
GARBAGE_OBJECTS = 100_000


def main(repl: str | None = None) -> NoReturn:
    """Run the command line of this process, and end the process with its exit code.

    `repl` names the room above that talks with people: it is entered by its name, and only for that.
    """
    gc.set_threshold(GARBAGE_OBJECTS)
    try:
        raise_shield(complain)
        code = flushed(run(words(), repl))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit):  # Typer's own way to say that nobody reads its help.
        code = PIPE_CLOSED
    # Not sys.exit: it would wait for a thread that waits for the writer lock, and flush to a reader that went away.
    os._exit(code)


def complain(error: KvError) -> None:
    """Tell of an error that ends the process at once, wherever it is."""
    from kvcli.cli.output import Output

    Output(json="--json" in sys.argv).complain(error)


def flushed(code: int) -> int:
    """Flush stdout and give the exit code: a failure to write that nobody has told yet is one."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:
        return code or NOT_WRITTEN
    return code


def words() -> list[str]:
    """Give the words of the command line, bytes kept as they were typed whatever the locale; and have three streams."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # It is closed, and LMDB would get its number: a value printed to it would overwrite the store.
            os.open(os.devnull, os.O_WRONLY if number == 0 else os.O_RDONLY)
    if sys.getfilesystemencoding() == "utf-8":
        return sys.argv[1:]
    return [os.fsencode(word).decode("utf-8", "surrogateescape") for word in sys.argv[1:]]


def run(words: list[str], repl: str | None = None) -> int:
    """Run one command line and give its exit code; see main."""
    from kvcli.cli.output import Output

    output = Output(json="--json" in words)  # Until the words are understood, this decides how to complain.
    return guarded(output, lambda: _run(words, output, repl))


def _run(words: list[str], output: Output, repl: str | None) -> int:
    if words[:1] == [COMPLETE] and len(words) > 3:
        from kvcli.cli.completion import complete

        return complete(words[1:])
    if words == ["--version"]:
        from kvcli.cli import version
        from kvcli.cli.output import write_through

        write_through(sys.stdout, f"{version()}\n".encode())
        return 0
    invocation = understand(words)
    if isinstance(invocation, int):
        return invocation
    if invocation.command == "help":
        from kvcli.cli.guide import tell

        return tell(invocation, output)
    if invocation.command == "repl" and repl is not None:
        return __import__(repl, fromlist=["interact"]).interact(invocation)  # type: ignore[no-any-return]
    return execute(invocation, output)


def guarded(output: Output, work: Callable[[], int]) -> int:
    """Do some work and give its exit code; what it raises is told in one line. Ctrl-C and a reader that left are raised."""
    try:
        return work()
    except KvError as error:
        return guarded(output, work) if _was_given(error, output) else output.complain(error)
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        return output.complain(NoSuchFile(f"{error.filename or 'the current folder'}: {error.strerror}"))
    except OSError as error:
        from kvcli.engine.translation import translated

        return output.complain(translated(error, error.filename or "output"))
    except MemoryError:
        return output.complain(Full("out of memory: the value is too large for this machine"))
    except Exception as error:  # noqa: BLE001 - the last place to turn a bug into one line
        return output.complain_of_bug(error)


def _was_given(error: KvError, output: Output) -> bool:
    """Ask a person for the password that a server asks for. A wrong one is another error, so nobody is asked twice."""
    from kvcli.remote_errors import PasswordNeeded

    if not isinstance(error, PasswordNeeded) or output.asker() is None:
        return False
    from getpass import getpass

    try:
        os.environ["KVCLI_REDIS_PASSWORD"] = getpass("password: ")
    except EOFError:
        return False
    return bool(os.environ["KVCLI_REDIS_PASSWORD"])


def understand(words: list[str], name: str = "kvcli") -> Invocation | int:
    """Parse words, by the express lane or by Typer; an exit code where there is nothing to run (help).

    `name` is what the commands stand behind. Raises InvalidArgument.
    """
    from kvcli.cli import lane

    invocation = lane.parse(words)
    if invocation is not None:
        return invocation
    from kvcli.cli.app import understand as understand_fully

    return understand_fully(words, name)


def execute(invocation: Invocation, output: Output) -> int:
    """Run an invocation, print its answer and give its exit code."""
    from kvcli.commands import perform
    from kvcli.commands.context import Context

    settings = dict(invocation.settings)
    output.json = bool(settings.pop("json", False))
    context = Context(**settings, confirm=output.asker(), warn=output.warn)  # type: ignore[arg-type]
    try:
        return output.show(perform(invocation, context))
    finally:
        context.close()
