"""Commands: one module per subcommand. Each is a function of a context and arguments; it never prints and never exits."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvcli.commands.context import Context
    from kvcli.errors import KvError


class Invocation:
    """What somebody typed: a command, its arguments, and the settings it runs under; defaults are left out."""

    __slots__ = ("arguments", "command", "settings")

    def __init__(self, command: str, arguments: dict[str, object], settings: dict[str, object]) -> None:
        """Hold the parts."""
        self.command = command
        self.arguments = arguments
        self.settings = settings

    def __eq__(self, other: object) -> bool:
        """Compare by content."""
        return isinstance(other, Invocation) and all(
            getattr(self, part) == getattr(other, part) for part in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show the parts."""
        return f"Invocation({self.command!r}, {self.arguments!r}, {self.settings!r})"


class Record:
    """One answer. `plain` is what plain output prints, `fields` what JSON prints; bytes in them are stored bytes."""

    __slots__ = ("error", "exit_code", "fields", "note", "output", "plain", "raw", "verbatim")

    def __init__(self, fields: dict[str, object], plain: bytes | None = None, *, verbatim: bool = False) -> None:
        """Hold an answer; `verbatim` bytes get no newline, except on a terminal."""
        self.fields = fields
        self.plain = plain
        self.verbatim = verbatim
        self.raw = False  # Unescaped even on a terminal.
        self.output: str | None = None  # A file to write `plain` to, instead of stdout.
        self.note: str | None = None  # A line for stderr that is data: a token.
        self.error: KvError | None = None  # Why the answer is not the one that was hoped for.
        self.exit_code = 0


class Listing:
    """Keys, or pairs, as they are read; `cursor` says after the last one where the next page starts."""

    __slots__ = ("cursor", "limited", "null", "pages", "values")

    def __init__(self, pages: Iterator[list[tuple[bytes, bytes | None]]], *, values: bool, null: bool) -> None:
        """`null` ends every key, and every value, with NUL instead of newline."""
        self.pages = pages
        self.values = values
        self.null = null
        self.limited = False
        self.cursor: str | None = None


class Table:
    """Rows of named cells. `error` says after the last one what they come to, where that is bad."""

    __slots__ = ("error", "rows", "tall")

    def __init__(self, rows: list[dict[str, object]], *, tall: bool = False) -> None:
        """All rows have the names of the first; a `tall` table has one, shown as a line for each cell."""
        self.rows = rows
        self.tall = tall
        self.error: KvError | None = None


class Stream:
    """Text that comes in pages of whole lines: JSON, or another format. `error` says after the last one what failed."""

    __slots__ = ("done", "error", "json", "pages", "total")

    def __init__(self, pages: Iterator[bytes], *, json: bool = True) -> None:
        """Hold what makes the pages."""
        self.pages = pages
        self.json = json
        self.error: KvError | None = None
        self.total: int | None = None  # How much there is, and how much of it was made, in whatever unit.
        self.done = 0


class Progress:
    """Work that takes long: `steps` does it, and gives how much of `total` is done; then `answer` is it."""

    __slots__ = ("answer", "steps", "total", "unit")

    def __init__(self, steps: Iterator[int], answer: Record | Table, unit: str = "bytes") -> None:
        """Hold what does the work."""
        self.steps = steps
        self.answer = answer
        self.unit = unit
        self.total: int | None = None


class Replay:
    """What a command prints: pieces for stdout (1) and stderr (2); then its exit code.

    They pass as they are, as if nobody were between; with `fields` they are a value, to be escaped or made JSON of.
    """

    __slots__ = ("exit_code", "fields", "is_awaited", "pieces")

    def __init__(self, pieces: Iterator[tuple[int, bytes]], exit_code: int = 0) -> None:
        """Hold what gives the pieces; it may run the command meanwhile, and set the exit code at the end."""
        self.pieces = pieces
        self.exit_code = exit_code
        self.fields: dict[str, object] | None = None
        self.is_awaited = False  # By others, so that it is to run to its end though nobody reads here.


Answer = Record | Listing | Table | Stream | Progress | Replay


def load(name: str) -> Callable[..., Answer]:
    """Import one command, and no other."""
    module = __import__(f"kvcli.commands.{name}", fromlist=["run"])
    run: Callable[..., Answer] = module.run
    return run


def perform(invocation: Invocation, context: Context) -> Answer:
    """Run what was typed. Not called `run`, as the command of that name is a module here."""
    return load(invocation.command)(context, **invocation.arguments)
