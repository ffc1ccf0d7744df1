"""The loop: prompt, read, run, print, until somebody leaves."""

from __future__ import annotations

import logging
import os
import sys
import termios
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import fragment_list_to_text

from kvcli.cli.entry import INTERRUPTED, complain
from kvcli.cli.screen import escape_line
from kvcli.cli.shield import raise_shield
from kvcli.errors import KvError
from kvcli.location import setting
from kvcli.repl.completer import KeyCompleter
from kvcli.repl.display import Display, end_line, show, width
from kvcli.repl.greeting import FIRST, greeting
from kvcli.repl.hint import Hint
from kvcli.repl.history import open_history
from kvcli.repl.interrupts import Interrupts
from kvcli.repl.keys import bindings
from kvcli.repl.lexer import WordLexer
from kvcli.repl.line import lines
from kvcli.repl.plain import DUMB, read_line
from kvcli.repl.style import STYLE
from kvcli.repl.toolbar import bar, duration
from kvcli.repl.tree import tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from kvcli.repl.line import Line
    from kvcli.repl.session import Session

YES = ("1", "yes", "true", "on")
MODES = {"vi": EditingMode.VI, "emacs": EditingMode.EMACS}
CONTINUATION = "... "
SHOW_CURSOR = b"\x1b[?25h\x1b[?2004l\n"  # And paste as if typed.
MENU_ROWS, ROWS_FOR_BAR = 6, 8
FAILURES_MAX = 5  # In a row: then it is not the keys.
COLUMNS_FOR_STORE = 60  # In a narrower terminal the prompt is the bucket alone.


def converse(session: Session) -> int:
    """Talk with a person until they leave."""
    session.is_interactive = True
    _keep_terminal()
    interrupts = Interrupts()
    show([("class:note", _greeting(session, interrupts))], sys.stdout)
    read = _reader(session, interrupts)
    while not session.is_over:
        try:
            text = read()
            is_leaving = False
        except KeyboardInterrupt:
            continue  # The line is dropped.
        except EOFError:
            text, is_leaving = "", True
        _run(session, text, interrupts)
        if is_leaving or session.is_over:
            session.is_over = _may_leave(session, interrupts)
    return 0


def _greeting(session: Session, interrupts: Interrupts) -> str:
    try:
        with interrupts.heard():
            return greeting(session)
    except KeyboardInterrupt:  # A server may take long to answer; the prompt needs nothing of it.
        return FIRST


def _keep_terminal() -> None:
    """See to it that a store which is damaged in the midst of a line does not leave the terminal as the prompt has it."""
    before = termios.tcgetattr(sys.stdin)

    def tell(error: KvError) -> None:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
        os.write(sys.stdout.fileno(), SHOW_CURSOR)
        complain(error)

    raise_shield(tell)


def _reader(session: Session, interrupts: Interrupts) -> Callable[[], str]:
    if os.environ.get("TERM", "dumb") in DUMB:

        def read_plainly() -> str:
            with interrupts.heard():
                return read_line(fragment_list_to_text(message(session)), CONTINUATION)

        return read_plainly
    return Prompt(session).read


class Prompt:
    """The prompt of a terminal that can do what terminals can."""

    def __init__(self, session: Session) -> None:
        """Show nothing yet."""
        self._session = session
        self._prompt = _prompt(session)
        self._failures = 0
        self._is_debugged = bool(os.environ.get("KVCLI_DEBUG"))
        logging.getLogger("asyncio").disabled = not self._is_debugged  # It prints tracebacks.

    def read(self) -> str:
        """Ask for a line. Raises EOFError, and KeyboardInterrupt where the line is dropped.

        Keys that come faster than prompt_toolkit expects can make it fail; that costs the line, and not the session.
        """
        try:
            text = self._ask()
        except (EOFError, OSError):
            raise
        except Exception:
            self._failures += 1
            if self._failures == FAILURES_MAX:
                raise
            self._prompt = _prompt(self._session)
            raise KeyboardInterrupt from None
        self._failures = 0
        return text

    def _ask(self) -> str:
        rows, prompt = _rows(), self._prompt
        prompt.bottom_toolbar = (lambda: _bar(self._session)) if rows >= ROWS_FOR_BAR else None
        prompt.reserve_space_for_menu = max(0, min(MENU_ROWS, rows - ROWS_FOR_BAR))
        prompt.layout.focus(prompt.default_buffer)  # The last line may have ended in the midst of a search.
        return prompt.prompt(pre_run=_load_soon, handle_sigint=False, set_exception_handler=self._is_debugged)


def _bar(session: Session) -> StyleAndTextTuples:
    return bar(session, get_app().current_buffer.text, width())


def _rows() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).lines or 24
    except (OSError, ValueError):
        return 24


def _prompt(session: Session) -> PromptSession[str]:
    return PromptSession(
        message=lambda: message(session),
        prompt_continuation=CONTINUATION,
        lexer=WordLexer(),
        completer=KeyCompleter(session),
        complete_in_thread=True,
        complete_while_typing=True,
        auto_suggest=AutoSuggestFromHistory(),
        history=open_history(with_values=_setting(session, "history_values") in YES),
        input_processors=[Hint()],
        multiline=True,  # Not a condition: a search that begins under one and ends under the other fails.
        key_bindings=bindings(),
        editing_mode=MODES.get(_setting(session, "editing_mode"), EditingMode.EMACS),
        enable_suspend=True,
        style=STYLE,
        include_default_pygments_style=False,
    )


def _load_soon() -> None:
    """Load the grammar once the prompt stands, before the first key is typed, most likely."""
    if not tree.cache_info().currsize:
        get_app().create_background_task(_load())


async def _load() -> None:
    import asyncio

    await asyncio.get_running_loop().run_in_executor(None, tree)


def message(session: Session) -> StyleAndTextTuples:
    """Give the prompt: store and bucket, and whether writing is off or a transaction is open."""
    store = session.location.name if width() >= COLUMNS_FOR_STORE else ""
    parts: StyleAndTextTuples = [("class:store", escape_line(store) + ":")] if store else []
    parts.append(("class:bucket", escape_line(session.bucket)))
    if session.settings.get("read_only"):
        parts.append(("class:badge", " [read-only]"))
    if session.draft is not None:
        parts.append(("class:badge", f" [txn {session.draft.size}]"))
    return [*parts, ("", "> ")]


def _run(session: Session, text: str, interrupts: Interrupts) -> None:
    for line in lines(text):
        if not line.words and line.tail_at is None:
            continue
        display = Display(session)
        code = _run_line(session, line, display, interrupts)
        end_line()  # Programs in pipes, editors and components print there too.
        if code and line.tail is not None and not display.has_told:
            display.note(f"exit code {code}")  # Of the shell, which may have said nothing.
        if session.timing and session.elapsed is not None:
            display.note(duration(session.elapsed))
        if code or session.is_over:
            return  # Of several lines that were pasted, those after a failure are not run.


def _run_line(session: Session, line: Line, display: Display, interrupts: Interrupts) -> int:
    try:
        with interrupts.heard():
            return session.run(line, display)
    except KeyboardInterrupt as error:
        display.note(": ".join(["interrupted", *map(str, error.args)]))
        display.has_told = True
        return INTERRUPTED
    except BrokenPipeError:
        return 0


def _may_leave(session: Session, interrupts: Interrupts) -> bool:
    if session.draft is None or not session.draft.size:
        return True
    changes = f"{session.draft.size} change{'s' if session.draft.size > 1 else ''}"
    ask = Display(session).asker()
    try:
        with interrupts.heard():
            return ask is None or ask(f"A transaction with {changes} is open. Leave, and forget it?")
    except KeyboardInterrupt:
        return False


def _setting(session: Session, name: str) -> str:
    try:
        found = setting(name, str(session.settings["profile"]) if "profile" in session.settings else None)
    except KvError:
        found = None  # Every command says what is wrong with the config file.
    return found[0].lower() if found is not None else ""
