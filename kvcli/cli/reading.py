"""Reading: what each word of a line is to the command it belongs to. Colours, hints, completion and history rest on it."""

from __future__ import annotations

from kvcli.cli.syntax import HELP, Argument, Commands, Option, Syntax

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

# What takes one of a few words.
CHOICES = {
    "how": ("table", "json", "raw"),
    "state": ("on", "off"),
    "durability": ("full", "fast"),
    "results": ("all", "errors", "none"),
    "format": ("ndjson", "csv", "dump"),
    "shell": ("bash", "zsh", "fish"),
}
NAMES = ("kvcli", "kv")  # A line that was copied from a script starts with one.


def is_choice(name: str, text: str) -> bool:
    """Tell whether a word may stand for what has this name; the beginning of one may become it."""
    return name not in CHOICES or any(choice.startswith(text) for choice in CHOICES[name])


class Word:
    """One word: its text, where it stands, and what is wrong with it."""

    __slots__ = ("end", "fault", "is_quoted", "parts", "start")

    def __init__(self, start: int) -> None:
        """Begin a word."""
        self.start = self.end = start
        self.parts = bytearray()
        self.is_quoted = False
        self.fault: str | None = None

    @classmethod
    def of(cls, text: str) -> Self:
        """Make a word that stands in no line."""
        word = cls(0)
        word.parts += text.encode("utf-8", "surrogateescape")
        return word

    @property
    def text(self) -> str:
        """The word, as text; bytes that are no UTF-8 as everywhere in kvcli."""
        return self.parts.decode("utf-8", "surrogateescape")


class Role:
    """What a word is: a `kind`, and the option or argument that says more."""

    __slots__ = ("argument", "kind", "option")

    def __init__(self, kind: str, *, option: Option | None = None, argument: Argument | None = None) -> None:
        """Kinds are command, group, option, value (of an option), argument, separator, wrong, and unknown (behind what is wrong)."""
        self.kind = kind
        self.option = option
        self.argument = argument


class Reading:
    """A line, read as a command with its options and arguments, as far as it goes."""

    def __init__(self, commands: Commands, words: list[Word]) -> None:
        """Read all words."""
        self.known = commands
        self.words = words
        self.syntax: Syntax | None = None
        self.group: str | None = None
        self.roles: list[Role] = []
        self.said: set[str] = set()
        self._arguments: list[Argument] = []
        self._awaits: Option | None = None
        self.is_closed = False  # After --, nothing is an option.
        self._is_lost = False  # After a command that is none, nothing is known.
        for word in words:
            self.roles.append(self.role(word))

    def role(self, word: Word) -> Role:
        """Say what a word is that comes next, and take note of it."""
        text = word.text
        if self._awaits is not None:
            awaited, self._awaits = self._awaits, None
            return Role("value" if is_choice(awaited.name, text) else "wrong", option=awaited)
        if self._is_option(text) and not word.is_quoted:
            return self._option(text)
        if self.syntax is not None:
            return self._argument(self.syntax, text)
        return Role("unknown") if self._is_lost else self._command(text)

    def awaits_command(self) -> bool:
        """Tell whether the next word is that of a command, or the second one of a group."""
        return self.syntax is None and not self._is_lost and self._awaits is None

    def next_role(self) -> Role:
        """Say what a word would be that nobody has begun yet."""
        empty = Word(0)
        if self.awaits_command():
            return Role("command")
        arguments, awaits, closed = list(self._arguments), self._awaits, self.is_closed
        role = self.role(empty)
        self._arguments, self._awaits, self.is_closed = arguments, awaits, closed
        return role

    def value_of(self, name: str) -> str | None:
        """Give what the line says for an option, None where it says nothing."""
        for word, role in zip(self.words, self.roles, strict=False):
            if role.option is not None and role.option.name == name:
                if role.kind == "value":
                    return word.text
                if "=" in word.text:
                    return word.text.partition("=")[2]
        return None

    def missing(self) -> list[str]:
        """Give what the command still needs."""
        if self._awaits is not None:
            return [self._awaits.metavar or ""]
        if self.syntax is None:
            return ["COMMAND"] if self.group is not None else []
        return [each.metavar for each in self.syntax.arguments[len(self._arguments) :] if each.is_required]

    def open_arguments(self) -> list[Argument]:
        """Give the arguments that may still come."""
        if self.syntax is None or self._awaits is not None:
            return []
        given = len(self._arguments)
        rest = self.syntax.arguments[given:]
        last = self.syntax.arguments[-1:] if given and not rest else []
        return rest or [each for each in last if each.is_many]

    def _is_option(self, text: str) -> bool:
        if self.is_closed or len(text) < 2 or not text.startswith("-"):
            return False
        return not (self.syntax is not None and self.syntax.takes_numbers and text[1].isdigit())

    def _option(self, text: str) -> Role:
        if text == "--":
            self.is_closed = True
            if self.syntax is not None and self.syntax.takes_dashes:
                self._arguments = self.syntax.arguments[:-1]  # What comes now is the command.
            return Role("separator")
        option = (self.syntax or self.known.root).option(text)
        if option is None:
            return Role("option" if text in HELP else "wrong")
        self.said.add(option.name)
        if option.metavar is not None and "=" not in text:
            self._awaits = option
        return Role("option", option=option)

    def _command(self, text: str) -> Role:
        if self.group is None and text in NAMES and not self.roles:
            return Role("separator")
        if self.group is None and text in self.known.groups:
            self.group = text
            return Role("group")
        self.syntax = self.known.commands.get(text if self.group is None else f"{self.group} {text}")
        self._is_lost = self.syntax is None
        return Role("wrong" if self._is_lost else "command")

    def _argument(self, syntax: Syntax, text: str) -> Role:
        open_ones = self.open_arguments()
        if not open_ones:
            return Role("wrong")
        self._arguments.append(open_ones[0])
        if not is_choice(open_ones[0].name, text):
            return Role("wrong", argument=open_ones[0])
        self.is_closed = self.is_closed or syntax.takes_command
        return Role("argument", argument=open_ones[0])
