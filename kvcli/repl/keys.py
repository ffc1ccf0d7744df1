"""Keys: what prompt_toolkit does not do by itself, or not as a person at a shell expects."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import Condition, emacs_mode, has_focus, vi_navigation_mode
from prompt_toolkit.key_binding import KeyBindings

from kvcli.prefixes import CANDIDATES_MAX
from kvcli.repl.compose import edited
from kvcli.repl.line import last

if TYPE_CHECKING:
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding import KeyPressEvent


def bindings() -> KeyBindings:
    """Give the keys of the prompt."""
    keys = KeyBindings()
    keys.add("enter", filter=has_focus(DEFAULT_BUFFER) & Condition(_is_complete))(
        lambda event: event.current_buffer.validate_and_handle()
    )
    keys.add("f4")(_change_mode)
    keys.add("tab")(lambda event: _complete(event.current_buffer))
    keys.add("c-x", "c-e", filter=emacs_mode)(_compose)
    keys.add("v", filter=vi_navigation_mode)(_compose)
    return keys


def _is_complete() -> bool:
    """Tell whether Enter ends the line; else it goes on in the next one."""
    return last(get_app().current_buffer.text).is_complete


def _change_mode(event: KeyPressEvent) -> None:
    is_vi = event.app.editing_mode == EditingMode.VI
    event.app.editing_mode = EditingMode.EMACS if is_vi else EditingMode.VI


def _complete(buffer: Buffer) -> None:
    """Complete as far as there is no choice; then go through what there is to choose from."""
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


def _compose(event: KeyPressEvent) -> None:
    """Go on with the line in an editor."""
    buffer = event.current_buffer

    async def edit() -> None:
        buffer.text = await run_in_terminal(lambda: edited(buffer.text))
        buffer.cursor_position = len(buffer.text)

    event.app.create_background_task(edit())
