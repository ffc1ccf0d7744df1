"""The loop: prompt, read, run, print, until somebody leaves."""

from __future__ import annotations

import os
import signal
import sys
from itertools import islice
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import fragment_list_to_text
from prompt_toolkit.key_binding import KeyBindings

from kvcli.cli.screen import escape_line
from kvcli.errors import KvError
from kvcli.location import setting
from kvcli.prefixes import CANDIDATES_MAX
from kvcli.repl.completer import KeyCompleter
from kvcli.repl.display import Display, show, width
from kvcli.repl.greeting import greeting
from kvcli.repl.hint import Hint
from kvcli.repl.history import open_history
from kvcli.repl.lexer import WordLexer
from kvcli.repl.line import last, lines
from kvcli.repl.plain import DUMB, read_line
from kvcli.repl.style import STYLE
from kvcli.repl.toolbar import bar, duration
from kvcli.repl.tree import tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyPressEvent

    from kvcli.repl.session import Session

YES = ("1", "yes", "true", "on")
MODES = {"vi": EditingMode.VI, "emacs": EditingMode.EMACS}
CONTINUATION = "... "
COLUMNS_FOR_STORE = 60  # In a narrower terminal the prompt is the bucket alone.


def converse(session: Session) -> int:
    """Talk with a person until they leave."""
    session.is_interactive = True
    interrupts = Interrupts()
    show([("class:note", greeting(session))], sys.stdout)
    read = _reader(session)
    while not session.is_over:
        try:
            _turn(session, read, interrupts)
        except KeyboardInterrupt:
            interrupts.are_heard = False
    return 0


class Interrupts:
    """Ctrl-C while a command runs stops that; between two commands there is nothing to stop, and it would end the loop."""

    def __init__(self) -> None:
        """Hear none from now on."""
        self.are_heard = False
        signal.signal(signal.SIGINT, self._hear)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self.are_heard:
            raise KeyboardInterrupt


def _turn(session: Session, read: Callable[[], str], interrupts: Interrupts) -> None:
    interrupts.are_heard = True
    try:
        text = read()
        _run(session, text)
        is_leaving = session.is_over
    except EOFError:
        is_leaving = True
    if is_leaving:
        session.is_over = False  # Until the question is answered.
        session.is_over = _may_leave(session)
    interrupts.are_heard = False


def _reader(session: Session) -> Callable[[], str]:
    if os.environ.get("TERM", "dumb") in DUMB:
        return lambda: read_line(lambda: fragment_list_to_text(message(session)), CONTINUATION)
    prompt = _prompt(session)
    return lambda: prompt.prompt(pre_run=_load_soon)


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
        bottom_toolbar=lambda: bar(session, get_app().current_buffer.text, width()),
        multiline=Condition(lambda: not last(get_app().current_buffer.text).is_complete),
        key_bindings=_bindings(),
        editing_mode=MODES.get(_setting(session, "editing_mode"), EditingMode.EMACS),
        enable_open_in_editor=True,
        style=STYLE,
        include_default_pygments_style=False,
        reserve_space_for_menu=6,
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
    store = os.path.basename(os.path.abspath(session.path)) if width() >= COLUMNS_FOR_STORE else ""
    parts: StyleAndTextTuples = [("class:store", escape_line(store) + ":")] if store else []
    parts.append(("class:bucket", escape_line(session.bucket)))
    if session.settings.get("read_only"):
        parts.append(("class:badge", " [read-only]"))
    if session.draft is not None:
        parts.append(("class:badge", f" [txn {session.draft.size}]"))
    return [*parts, ("", "> ")]


def _run(session: Session, text: str) -> None:
    for line in lines(text):
        if not line.words and line.tail_at is None:
            continue
        display = Display(session)
        try:
            code = session.run(line, display)
        except KeyboardInterrupt:
            code = 130
            display.note("interrupted")
        except BrokenPipeError:
            code = 0
        if session.timing and session.elapsed is not None:
            display.note(duration(session.elapsed))
        if code or session.is_over:
            return  # Of several lines that were pasted, those after a failure are not run.


def _may_leave(session: Session) -> bool:
    if session.draft is None or not session.draft.size:
        return True
    changes = f"{session.draft.size} change{'s' if session.draft.size > 1 else ''}"
    ask = Display(session).asker()
    try:
        return ask is None or ask(f"A transaction with {changes} is open. Leave, and forget it?")
    except KeyboardInterrupt:
        return False


def _setting(session: Session, name: str) -> str:
    try:
        found = setting(name, str(session.settings["profile"]) if "profile" in session.settings else None)
    except KvError:
        found = None  # Every command says what is wrong with the config file.
    return found[0].lower() if found is not None else ""


def _bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("f4")
    def _(event: KeyPressEvent) -> None:
        """Change between vi and emacs keys."""
        is_vi = event.app.editing_mode == EditingMode.VI
        event.app.editing_mode = EditingMode.EMACS if is_vi else EditingMode.VI

    @keys.add("tab")
    def _(event: KeyPressEvent) -> None:
        """Complete as far as there is no choice; then go through what there is to choose from."""
        buffer = event.current_buffer
        state = buffer.complete_state
        if state is not None and state.complete_index is not None:
            buffer.complete_next()
            return
        # Not what the menu shows: it comes from another thread, and may be about what stood here a moment ago.
        document = buffer.document
        asked = CompleteEvent(completion_requested=True)
        found = [*islice(buffer.completer.get_completions(document, asked), CANDIDATES_MAX)]
        common = get_common_complete_suffix(document, found) if len(found) > 1 else ""
        if len(found) == 1:
            buffer.apply_completion(found[0])
        elif common:
            buffer.insert_text(common)
        elif state is not None:
            buffer.complete_next()
        elif found:
            buffer.start_completion()

    return keys
