"""Completing: what a word that is being typed may become. The REPL and the shells ask this alike, and look up the rest."""

from __future__ import annotations

from kvcli.cli.reading import CHOICES, Reading, Role, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = ("key", "keys", "prefix", "start", "end")  # Arguments and options whose word is a key, or the start of one.
BUCKETS = ("bucket",)
FILES = ("file", "output", "modtime", "store", "dir", "arguments", "source", "target")
ELSEWHERE = ("cache ", "export", "import")  # Commands whose keys are those of no bucket, or names of fields.


class Wanted:
    """What a word may become: a `kind` of things that start with `start`, behind `head`, which is the same word's.

    Kinds are keys, buckets, files, run (a command that kvcli will run, or its words), and words, which are `known`: what to
    write, what to show, what to tell.
    """

    __slots__ = ("head", "kind", "known", "needs_dashes", "start")

    def __init__(self, kind: str, start: str, head: str = "", known: list[tuple[str, str, str]] | None = None) -> None:
        """Hold the parts; of known words, those stay that go on from the start."""
        self.kind = kind
        self.start = start
        self.head = head
        self.known = [each for each in known or () if each[0].startswith(start)]
        self.needs_dashes = False  # What starts with a dash would be taken for an option.


def wanted(reading: Reading, word: Word) -> Iterator[Wanted]:
    """Say what a word may become, the last of a line that was read up to it."""
    if reading.awaits_command() and not word.text.startswith("-"):
        words = reading.known.inner_words(reading.group) if reading.group is not None else reading.known.first_words()
        yield Wanted("words", word.text, known=[(name, name, about) for name, about in words.items()])
        return
    role = reading.role(word) if word.text or word.is_quoted else reading.next_role()
    name, equals, start = word.text.partition("=")
    if role.kind == "option" and role.option is not None and equals:
        yield _value(reading, role, start, f"{name}=")
    elif role.kind in {"argument", "value"} or role.argument is not None:
        yield _value(reading, role, word.text, "")
    is_begun = word.text == "-" and role.kind == "argument" and not reading.is_closed
    is_option = word.text.startswith("-") and role.kind in {"option", "wrong", "separator"}
    if (is_option or is_begun) and not (word.is_quoted or equals):
        yield Wanted("words", word.text, known=[*_options(reading, word.text)])


def _value(reading: Reading, role: Role, start: str, head: str) -> Wanted:
    name = role.option.name if role.option is not None else role.argument.name if role.argument is not None else ""
    command = reading.syntax.name if reading.syntax is not None else ""
    if name in BUCKETS or (name == "name" and command.startswith("bucket ") and command != "bucket create"):
        return Wanted("buckets", start, head)
    if name in KEYS and not command.startswith(ELSEWHERE):
        keys = Wanted("keys", start, head)
        keys.needs_dashes = role.kind == "argument" and not reading.is_closed
        return keys
    if name in FILES:
        return Wanted("files", start, head)
    if start.startswith("@") and not start.startswith("@@"):
        return Wanted("files", start[1:], head + "@")
    if name == "words" and reading.is_closed:
        return Wanted("run", start)
    is_help = name == "words" and command == "help"
    choices = _helped(reading) if is_help else [(each, each, "") for each in CHOICES.get(name, ())]
    return Wanted("words", start, head, choices)


def _helped(reading: Reading) -> list[tuple[str, str, str]]:
    """Give what there is help about; behind the name of a group its commands."""
    named = [word.text for word, role in zip(reading.words, reading.roles, strict=False) if role.kind == "argument"]
    known = reading.known
    words = known.inner_words(named[0]) if named else {**known.first_words(), **known.topics}
    return [(name, name, about) for name, about in words.items()]


def _options(reading: Reading, start: str) -> Iterator[tuple[str, str, str]]:
    syntax = reading.syntax or reading.known.root
    for option in sorted(syntax.options, key=lambda option: option.is_shared):
        if option.name not in reading.said or start == option.longest:
            shown = f"{option.longest} {option.metavar}" if option.metavar else option.longest
            yield option.longest, shown, option.help
