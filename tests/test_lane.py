"""The express lane: what it accepts, Typer understands as the same invocation; what it does not fully know, it declines."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvcli.cli import lane
from kvcli.cli.app import understand
from kvcli.commands import Invocation
from kvcli.errors import InvalidArgument

COMMANDS = ("get", "set", "exists", "delete", "incr", "list", "cas", "bucket", "stat", "cache", "run")
OPTIONS = (
    *("-s", "--store", "-b", "--bucket", "--json", "--read-only", "--raw", "--prefix", "--start", "--end", "--cursor"),
    *("--limit", "--reverse", "--values", "-0", "--null", "--token", "--output", "-o", "--if-absent", "--chomp", "--"),
    *("--ttl", "--timeout", "--stale", "--env", "--modtime", "--cwd", "--scope", "--force", "--warm", "--max-size"),
    *("--lock-timeout", "-p", "--help", "-h", "--version", "--yes", "-y", "--nope", "-x", "-sx", "-b=x", "--raw=1"),
)
VALUES = (
    "",
    "k",
    "v",
    "-",
    "-5",
    "-5x",
    "--5",
    "1",
    "01",
    "+1",
    "@f",
    "@@",
    "é",
    "a b",
    "a=b",
    "=",
    "list",
    "get",
    "run",
    "get-or-set",
    "\udcff",
)


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """Make command lines that are mostly plausible: options, a command, words and options."""
    word = st.sampled_from(VALUES) | st.sampled_from(OPTIONS) | st.text(max_size=4)
    valued = st.sampled_from([option + "=" + value for option in OPTIONS for value in VALUES])
    before = draw(st.lists(st.sampled_from(OPTIONS) | st.sampled_from(VALUES) | valued, max_size=2))
    plain = draw(st.lists(st.sampled_from(VALUES), max_size=3))
    after = draw(st.lists(word | valued, max_size=3))
    line = [*before, draw(st.sampled_from(COMMANDS)), *plain, *after]
    return [part.replace("\0", "") for part in line]


@st.composite
def plausible(draw: st.DrawFn) -> list[str]:
    """Make lines of a hot command with its own options, in any order and place: most of them the lane accepts."""
    command = draw(st.sampled_from(sorted(lane.HOT)))
    names, needed, options, flags = lane.HOT[command]
    words = draw(st.lists(st.sampled_from(VALUES), min_size=needed, max_size=max(len(names), needed)))
    own = draw(parts(options, flags)) + draw(parts(lane.SHARED, lane.SHARED_FLAGS)) + [[word] for word in words]
    before = draw(parts(lane.SHARED, lane.SHARED_FLAGS))
    after = draw(st.permutations(own))
    running = [["--", *draw(st.lists(st.sampled_from((*VALUES, *OPTIONS)), min_size=1, max_size=3))]]
    line = [*before, command.split(), *after, *(running if command in lane.RUNNING else [])]
    return [word for part in line for word in part]


def parts(options: dict[str, str], flags: dict[str, str]) -> st.SearchStrategy[list[list[str]]]:
    """Make options with their values, in both spellings, and flags; each part is what must stay together."""
    kinds = [st.sampled_from([[flag] for flag in sorted(flags)])]
    if options:
        option, value = st.sampled_from(sorted(options)), st.sampled_from(("v", "10", "", "é", "a=b", "-x"))
        kinds += [st.tuples(option, value).map(list), st.tuples(option, value).map(lambda pair: ["=".join(pair)])]
    return st.lists(st.one_of(kinds), max_size=3) if flags else st.just([])


@settings(max_examples=1000)
@given(lines() | plausible())
@example(["get", "-5"])
@example(["-s", "get", "list"])
@example(["list", "--limit", "0"])
@example(["incr", "k", "1"])
def test_typer_understands_the_same(line: list[str]) -> None:
    """A line that the lane accepts is, to Typer, the same command with the same arguments and settings."""
    accepted = lane.parse(line)
    if accepted is not None:
        assert understand(line) == accepted


ACCEPTED = {
    "get k": Invocation("get", {"key": "k"}, {}),
    "get k --raw": Invocation("get", {"key": "k", "raw": True}, {}),
    "-s p get k -b b": Invocation("get", {"key": "k"}, {"store": "p", "bucket": "b"}),
    "--store=p --json get k": Invocation("get", {"key": "k"}, {"store": "p", "json": True}),
    "set k v": Invocation("set", {"key": "k", "value": "v"}, {}),
    "set k -": Invocation("set", {"key": "k", "value": "-"}, {}),
    "set k -5": Invocation("set", {"key": "k", "value": "-5"}, {}),
    "exists k --json": Invocation("exists", {"key": "k"}, {"json": True}),
    "delete a b c": Invocation("delete", {"keys": ["a", "b", "c"]}, {}),
    "incr k": Invocation("incr", {"key": "k"}, {}),
    "incr k 1": Invocation("incr", {"key": "k"}, {}),
    "incr k -5": Invocation("incr", {"key": "k", "delta": "-5"}, {}),
    "list": Invocation("list", {}, {}),
    "list --prefix u: --limit 10 -0": Invocation("list", {"prefix": "u:", "limit": 10, "null": True}, {}),
    "cache get k": Invocation("cache_get", {"key": "k"}, {}),
    "cache set k -5 --ttl 10s": Invocation("cache_set", {"key": "k", "value": "-5", "ttl": "10s"}, {}),
    "cache get-or-set k --ttl=1m -- date -u": Invocation(
        "cache_get_or_set", {"key": "k", "words": ["date", "-u"], "ttl": "1m"}, {}
    ),
    "-s p cache run --env A --env B --cwd -- ls --": Invocation(
        "cache_run", {"words": ["ls", "--"], "env": ["A", "B"], "cwd": True}, {"store": "p"}
    ),
    "run app.wasm": Invocation("run", {"file": "app.wasm"}, {}),
    "-s p -b b run app.wasm -x -- --json": Invocation(
        "run", {"file": "app.wasm", "arguments": ["-x", "--", "--json"]}, {"store": "p", "bucket": "b"}
    ),
    "shell-init bash": Invocation("shell_init", {"shell": "bash"}, {}),
    "list --cursor=kX --reverse --values": Invocation("list", {"cursor": "kX", "reverse": True, "values": True}, {}),
}


@pytest.mark.parametrize("line", ACCEPTED)
def test_plain_forms_are_accepted(line: str) -> None:
    """The forms that scripts use take the lane, and mean the same to Typer."""
    assert lane.parse(line.split()) == ACCEPTED[line] == understand(line.split())


@pytest.mark.parametrize(
    "line",
    [
        *("", "get", "get a b", "set k", "set k v w", "exists", "delete", "incr", "incr k 1 2", "list x", "cas k v"),
        *(
            "get --help",
            "--version",
            "get -- k",
            "get -5",
            "get k --token",
            "get k --jsno",
            "set k v --if-absent",
            "gte k",
        ),
        *(
            "get k -s",
            "-s",
            "-s get",
            "list --limit x",
            "list --limit -1",
            "list --prefix -x",
            "get k --raw=1",
            "-sx get k",
        ),
        *("cache", "cache stats", "cache get_or_set k -- x", "cache run ls", "cache run --", "cache run --ttl -5 -- x"),
        *("run", "run --timeout 1s app.wasm", "run -- app.wasm", "run -s p app.wasm"),
        *("bucket list", "--lock-timeout 1 get k", "-p work get k", "list --prefix", "get k -b=x"),
    ],
)
def test_everything_else_is_declined(line: str) -> None:
    """What is not fully known is left to Typer, who is the author of help and usage errors."""
    assert lane.parse(line.split()) is None


@pytest.mark.parametrize("words", [["cache get", "k"], ["cache run", "--", "ls"], ["cache", "get k", "v"]])
def test_command_in_one_word_is_none(words: list[str]) -> None:
    """The name of a group and that of its command are two words; in one, they are no command."""
    assert lane.parse(words) is None
    with pytest.raises(InvalidArgument):
        understand(words)
