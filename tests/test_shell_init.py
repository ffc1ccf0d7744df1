"""kvcli shell-init: what `kv` prints and how it ends is what kvcli prints and how it ends, to the byte."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from kvcli.commands.shell_init import VARIABLES
from kvcli.shell import CHANNELS
from tests.conftest import Run
from tests.shells import SHELLS, left, run, until_over

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "kvcli", "shell")

# Words in the shell's own spelling, run one after the other on a store that is not there yet.
TABLE = r"""
get nothing
exists nothing
list
set k v
get k
set k ''
get k
set k 'two
lines

'
get k
get k --json
set k $'a\tb\\c\\0d\\n%s%d$HOME`id`"\'!*?[x]~'
get k
set -- k v
set k -5
get k
get -k
set 'a b' ' sp  ace '
get 'a b'
set é 'ü € 😀'
get é
get é --json
set $'\xff' $'\xfe\xff'
get $'\xff'
list
list --values
list --values -0
list --json
list --prefix a
list --limit 1
list --limit 1 --json
list --limit 0
list --cursor x
incr n
incr n 41
incr n -5
incr n x
incr n 9223372036854775807
incr k x
incr é
incr é --json
exists n
exists n --json
delete n nothing
exists n
delete n --must-exist
get ''
set '' v
set k
get
get k k
gte k
get k --nope
get k --read-only
set k w --read-only
get k -b users
get -b default k
get k -b @x
get k -s relative
set k here -s relative
get k -s relative
get k --store=relative
get k --token --nope
get k --output copy
set k @copy
set k @@copy
get k
set k @nowhere
set s text
incr s
cache set c sunny --ttl 10m
cache get c
cache exists c
cache delete c
cache get c
cache exists c
cache get c -b users
set k v --if-absent
bucket create users
set -b users u 1
get -b users u
get -b user u
bucket list
batch
nothing
-v
"""


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """Each shell that is installed."""
    name: str = request.param
    return name


@pytest.fixture
def folder(tmp_path: os.PathLike[str]) -> Iterator[str]:
    """A folder for the store and for the server, which is gone after the test."""
    yield str(tmp_path)
    until_over(str(tmp_path))


def outcomes(shell: str, folder: str, command: str, lines: list[str]) -> list[tuple[bytes, bytes, bytes]]:
    """Run each line behind a command, in one shell; give what it printed on either stream and its exit code."""
    os.mkdir(folder)
    script = "".join(
        f"{command} {line} > {at}.out 2> {at}.err < /dev/null; echo $? > {at}.code\n" for at, line in enumerate(lines)
    )
    ran = run(shell, f"touch .before\n{script}", folder)
    assert ran.returncode == 0, ran.stderr
    until_over(folder)
    return [tuple(content(folder, f"{at}.{end}") for end in ("out", "err", "code")) for at in range(len(lines))]  # type: ignore[misc]


def content(folder: str, name: str) -> bytes:
    """Read a file, less the folder's own name."""
    with open(os.path.join(folder, name), "rb") as file:
        return file.read().replace(os.fsencode(folder), b"FOLDER")


def test_everything_is_as_with_the_real_command(shell: str, folder: str) -> None:
    """Whatever the words are: stdout, stderr and exit code are the same by `kv` as by kvcli."""
    lines = [line for line in TABLE.replace("two\nlines\n\n'", "two\\nlines\\n\\n'").split("\n") if line]
    lines = [line.replace("'two\\n", "$'two\\n") for line in lines if line != "-v"]
    real, fast = (outcomes(shell, os.path.join(folder, name), name, lines) for name in ("real", "kv"))
    assert list(zip(lines, fast, strict=True)) == list(zip(lines, real, strict=True))


def test_every_byte_survives(shell: str, folder: str, kvcli: Run) -> None:
    """A value of all bytes, NUL and last newlines too, comes out as it went in; so does one of 300 KB, and of 3 MB."""
    values = [bytes(range(256)) * 4 + b"\n\n", b"", b"\0", b"\n", b"a\0\\0\0", os.urandom(300_000), bytes(3_000_000)]
    for at, value in enumerate(values):
        kvcli("set", f"k{at}", "-", "-s", os.path.join(folder, "store"), input=value)
    ran = run(shell, "".join(f"kv get k{at} > {at}\n" for at in range(len(values))), folder)
    assert (ran.stderr, ran.returncode) == (b"", 0)
    for at, value in enumerate(values):
        with open(os.path.join(folder, str(at)), "rb") as file:
            assert file.read() == value


def test_a_variable_takes_all_but_nul(folder: str, shell: str) -> None:
    """-v keeps every byte, last newlines too, and gives the exit code; bash, which could not hold NUL, says so, with 5."""
    script = r"""
        x=before
        printf 'a\n\n' | kv set k -; kv -v x get k; printf '%s|%s\n' $? "$x"
        kv -v x get nothing; printf '%s|%s\n' $? "$x"
        kv -v x incr n; printf '%s|%s\n' $? "$x"
        printf '\377\\' | kv set k -; kv -v x get k; printf '%s|%s\n' $? "$x"
        kv -v x get k --json --read-only --lock-timeout 1; printf '%s|%s\n' $? "$x"
        f() { local y=; kv -v y incr n; printf '%s|%s\n' $? "$y"; }; f
        kv -v 'x[$(id)]' get k 2> /dev/null; printf '%s\n' $?
        kv -v _kvcli_owner get k 2> /dev/null; printf '%s\n' $?
        x=before
        printf 'a\0b' | kv set k -; kv -v x get k 2> /dev/null; printf '%s|%s\n' $? "$x"
        kv -v x get k --lock-timeout 1 2> /dev/null; printf '%s|%s\n' $? "$x"
        """
    nul = b"5|before\n5|before\n" if shell == "bash" else b"0|a\0b\n0|a\0b\n"
    json = b'0|{"key":"k","value_b64":"/1w="}\n\n'
    assert run(shell, script, folder).stdout == (b"0|a\n\n\n1|\n0|1\n\n0|\xff\\\n" + json + b"0|2\n\n2\n2\n" + nul)


def test_it_works_wherever_a_command_does(shell: str, folder: str) -> None:
    """In $(...), pipelines, functions, loops and conditions, under strict options and odd ones; which stay as they are."""
    script = (
        rf"""
        shell={shell}
        """
        r"""
        set -euo pipefail; set -f; set -C; IFS=0123456789
        [ "$shell" = bash ] || unsetopt nomatch
        before=$(set +o)
        kv set k 'a 1 * 2'
        f() { local x; x=$(kv get k); printf '%s\n' "$x"; }; f
        kv get k | cat; echo
        if kv exists nothing; then echo wrong; fi
        kv get nothing || printf 'code %s\n' "$?"
        for n in a b c; do kv incr n; done
        while kv exists n; do kv delete n; done
        { kv get k; echo; kv incr n 5; } | { IFS= read -r x; printf '%s\n' "$x"; cat; }
        ( set +e; kv get nothing; echo still )
        [ "$before" = "$(set +o)" ] && echo same
        jobs; wait
        trap 'echo trapped; kv get k; echo' EXIT
        kv get nothing
        echo wrong
        """
    )
    ran = run(shell, script, folder)
    text = "a 1 * 2\n"
    expected = f"{text}{text}code 1\n1\n2\n3\n{text}5\nstill\nsame\ntrapped\n{text}"
    assert (ran.stdout.decode(), ran.stderr, ran.returncode) == (expected, b"", 1)


def test_a_trap_gets_the_exit_code_too(shell: str, folder: str) -> None:
    """In a trap, what was not found is 1 and what was is 0, whatever the code before: by the function, and by the command."""
    script = r"""
        kv set k v
        look() { kv get k > /dev/null; printf '%s ' $?; kv get nothing; printf '%s ' $?; kv get nothing --output x; echo $?; }
        trap 'look; false' USR1; trap look EXIT
        kill -s USR1 $$
        false
        """
    assert run(shell, script, folder).stdout == b"0 1 1\n0 1 1\n"


def test_settings_are_those_of_the_moment(shell: str, folder: str) -> None:
    """Variables count if they are exported, at each call, also in front of it; a relative store is where the shell is."""
    script = r"""
        real bucket create users; real bucket create other
        kv set k default; KVCLI_BUCKET=users kv set k users
        kv get k; echo; KVCLI_BUCKET=users kv get k; echo; kv get k; echo
        KVCLI_BUCKET=users; kv get k; echo; export KVCLI_BUCKET; kv get k; echo; unset KVCLI_BUCKET; kv get k; echo
        mkdir one two; export KVCLI_STORE=here
        cd one; kv set k one; cd ../two; kv set k two; cd ../one; kv get k; (cd ../two; kv get k); PWD=/ kv get k; echo
        mv ../one ../three; kv get k; echo
        unset KVCLI_STORE; kv set k home; HOME=$HOME/x kv exists k || echo none; kv get k; echo
        """
    expected = "default\nusers\ndefault\ndefault\nusers\ndefault\nonetwoone\none\nnone\nhome\n"
    ran = run(shell, script, folder)
    assert (ran.stdout.decode(), ran.stderr) == (expected, b"")


def test_a_store_that_goes_is_missed(shell: str, folder: str) -> None:
    """A store that was removed is missed at once, and one that is made again is another."""
    script = r"""
        kv set k 1; kv get k; rm -r store; kv get k; echo $?; kv set k 2; kv get k
        rm -r store; real set k 3; kv get k; kv incr k; real get k
        """
    ran = run(shell, script, folder)
    assert ran.stdout == b"166\n234\n4"
    assert b"no store" in ran.stderr


def test_output_that_cannot_be_written_is_told(shell: str, folder: str) -> None:
    """A full disk is told as by the real command, and nothing is incremented twice for it."""
    script = r"""
        kv set k v
        for how in real kv; do
            $how get k > /dev/full; echo $?; $how incr n > /dev/full; echo $?; $how get k >&-; echo $?
        done
        kv get n
        """
    ran = run(shell, script, folder)
    lines = ran.stderr.splitlines()  # Bash tells of its own printf besides.
    codes, messages = ran.stdout.split(), [line for line in lines if b": printf: write error: " not in line]
    assert (codes[:3], codes[6:], messages[:3]) == (codes[3:6], [b"2"], messages[3:])


def test_a_reader_that_left_ends_the_call(shell: str, folder: str) -> None:
    """The exit code is that of the real command, 141."""
    script = "".join(f"{{ sleep 0.2; ({how} get k; exit $?); echo $? >&2; }} | true\n" for how in ("real", "kv"))
    assert run(shell, f"kv set k v; {script}", folder).stderr == b"141\n141\n"


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_the_text_is_sound(name: str, folder: str, kvcli: Run) -> None:
    """What is printed is one shell's grammar; shellcheck, where it is installed, has nothing to say."""
    text = kvcli("shell-init", name).stdout
    assert kvcli("shell-init", name, "--json").returncode == 0
    file = os.path.join(folder, "text")
    with open(file, "wb") as written:
        written.write(text)
    if shutil.which(name):
        assert subprocess.run([name, "-n", file], capture_output=True).stderr == b""
    if name == "bash" and shutil.which("shellcheck"):
        assert subprocess.run(["shellcheck", "-e", "SC2094", file], capture_output=True).stdout == b""


def test_both_sides_agree() -> None:
    """What the shells' text says about channels and variables is what the server says."""
    for name in ("kv.bash", "kv.zsh"):
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            text = file.read()
        assert f"_kvcli_try < {CHANNELS};" in text
        assert "@variables@" in text or all(variable in text for variable in VARIABLES)


def test_an_unknown_shell_is_a_usage_error(kvcli: Run) -> None:
    """Only bash and zsh are known."""
    assert kvcli("shell-init", "fish").returncode == 2
    assert shlex.split(kvcli("shell-init", "bash").stdout.decode().partition("_program=(")[2].partition(")\n")[0])


def test_nothing_starts_before_the_first_call(shell: str, folder: str) -> None:
    """The text alone starts no process and makes no folder, as it may stand in every start-up file."""
    assert run(shell, "ls", folder).stdout == b""
    assert left(folder) == []
