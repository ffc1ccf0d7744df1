"""The REPL: one file per organ. Its commands, their grammar and their options are those of the command line."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands import Invocation


def interact(invocation: Invocation) -> int:
    """Run `kvcli repl`, with a person or with a script, and give the exit code."""
    from kvcli.cli import is_interactive
    from kvcli.repl.session import Session

    session = Session(invocation.settings)
    try:
        if invocation.arguments or not is_interactive():
            from kvcli.repl.script import run

            return run(session, invocation.arguments.get("file"))  # type: ignore[arg-type]
        from kvcli.repl.loop import converse

        return converse(session)
    finally:
        session.close()
