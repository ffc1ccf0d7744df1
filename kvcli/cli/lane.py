"""The express lane: a parser for plain forms of the hot commands, which spares them the 40 ms of importing Typer.

It declines, by None, whatever it does not fully know; then Typer parses the same words, and is the author of all help
and all usage errors. tests/test_lane.py shows that what the lane accepts, Typer understands as the same invocation.
"""

from __future__ import annotations

from kvcli.cli import is_interactive
from kvcli.commands import Invocation

TTL = {"--ttl": "ttl", "--max-size": "max_size"}
# command: (names of the words it takes, how many it needs, options with a value, flags)
HOT: dict[str, tuple[tuple[str, ...], int, dict[str, str], dict[str, str]]] = {
    "get": (("key",), 1, {}, {"--raw": "raw"}),
    "set": (("key", "value"), 2, {}, {}),
    "exists": (("key",), 1, {}, {}),
    "delete": (("keys",), 1, {}, {}),
    "incr": (("key", "delta"), 1, {}, {}),
    "batch": (("file",), 0, {"--results": "results"}, {"--atomic": "atomic", "--keep-going": "keep_going"}),
    "list": (
        (),
        0,
        {"--prefix": "prefix", "--start": "start", "--end": "end", "--cursor": "cursor", "--limit": "limit"},
        {"--reverse": "reverse", "--values": "values", "-0": "null", "--null": "null"},
    ),
    "repl": (("file",), 0, {}, {}),
    "shell-init": (("shell",), 1, {}, {}),
    "run": (("file",), 1, {}, {}),
    "cache get": (("key",), 1, {}, {"--raw": "raw"}),
    "cache set": (("key", "value"), 2, TTL, {}),
    "cache exists": (("key",), 1, {}, {}),
    "cache get-or-set": (("key",), 1, {**TTL, "--timeout": "timeout"}, {}),
    "cache run": (
        (),
        0,
        {**TTL, "--timeout": "timeout", "--stale": "stale", "--env": "env", "--modtime": "modtime", "--scope": "scope"},
        {"--cwd": "cwd", "--discard-failures": "discard_failures", "--force": "force", "--refresh": "refresh"},
    ),
}
GROUPS = ("cache",)
RUNNING = ("cache get-or-set", "cache run")  # Commands that take a command, after --.
MANY = ("env", "modtime")  # Options that may be said again and again.
NUMBERS = ("set", "incr", "cache set")  # Commands to which -5 is a number, not an option.
DIGITS_MAX = 19
DEFAULTS = {"delta": "1", "file": "-", "results": "all"}
SHARED = {"--store": "store", "-s": "store", "--bucket": "bucket", "-b": "bucket"}
SHARED_FLAGS = {"--json": "json", "--read-only": "read_only"}


def parse(words: list[str]) -> Invocation | None:
    """Understand the words of a command line, or decline."""
    if not words and is_interactive():
        return Invocation("repl", {}, {})
    for at, word in enumerate(words):
        is_value = at and words[at - 1] in SHARED
        if not is_value and not word.startswith("-"):
            length = 2 if word in GROUPS else 1
            if any(" " in part for part in words[at : at + length]):
                return None  # Joined by blanks, as below, one word could look like two.
            command = " ".join(words[at : at + length])
            return _parse_command(command, words[:at], words[at + length :]) if command in HOT else None
    return None


def _parse_command(command: str, before: list[str], after: list[str]) -> Invocation | None:
    names, needed, options, flags = HOT[command]
    settings: dict[str, object] = {}
    arguments: dict[str, object] = {}
    if command in RUNNING:
        if "--" not in after[:-1]:
            return None
        end = after.index("--")
        arguments["words"], after = after[end + 1 :], after[:end]
    if _split(before, settings, {}, {}, arguments, numbers=False) != []:
        return None
    if command == "run":
        return _parse_run(after, settings)
    plain = _split(after, settings, options, flags, arguments, numbers=command in NUMBERS)
    if plain is None or len(plain) < needed or (len(plain) > len(names) and names != ("keys",)):
        return None
    if names == ("keys",):
        arguments["keys"] = plain
    else:
        arguments.update(zip(names, plain, strict=False))
    name = command.replace(" ", "_").replace("-", "_")
    return Invocation(name, arguments, settings) if _settle(arguments) else None


def _parse_run(words: list[str], settings: dict[str, object]) -> Invocation | None:
    """Take a component without options of kvcli's; what stands behind it is its own, whatever it looks like."""
    if not words or words[0].startswith("-"):
        return None
    file, *rest = words
    return Invocation("run", {"file": file, "arguments": rest} if rest else {"file": file}, settings)


def _split(
    words: list[str],
    settings: dict[str, object],
    options: dict[str, str],
    flags: dict[str, str],
    arguments: dict[str, object],
    *,
    numbers: bool,
) -> list[str] | None:
    """Take options and flags out of words and give the rest, None for a word that the lane does not know."""
    plain: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in flags:
            arguments[flags[word]] = True
        elif word in SHARED_FLAGS:
            settings[SHARED_FLAGS[word]] = True
        elif name in SHARED or name in options:
            if equals and not name.startswith("--"):
                return None
            value = value if equals else next(rest, "-")
            if not equals and value.startswith("-"):
                return None
            if options.get(name) in MANY:
                arguments.setdefault(options[name], []).append(value)  # type: ignore[attr-defined]
            else:
                (settings if name in SHARED else arguments)[SHARED.get(name) or options[name]] = value
        elif not word.startswith("-") or word == "-" or (numbers and word[1:2].isdigit()):
            plain.append(word)
        else:
            return None
    return plain


def _settle(arguments: dict[str, object]) -> bool:
    """Turn what is text so far into what the command takes, and drop what is the default anyway."""
    limit = arguments.get("limit")
    if limit is not None:
        if not (isinstance(limit, str) and limit.isascii() and limit.isdigit() and len(limit) < DIGITS_MAX):
            return False
        arguments["limit"] = int(limit)
    for name, default in DEFAULTS.items():
        if arguments.get(name) == default:
            del arguments[name]
    return True
