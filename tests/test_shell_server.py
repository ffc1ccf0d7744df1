"""The process that answers `kv`: many at once, cut short, killed, and when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from kvcli.store import Store
from tests.processes import hold_lock, release
from tests.shells import FLAGS, PROGRAM, SHELLS, environment, left, run, servers, start, until, until_over, words
from tests.terminal import CTRL_C, Terminal


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


def line(child: subprocess.Popen[bytes]) -> bytes:
    """Read a line of what a shell prints."""
    assert child.stdout is not None
    return child.stdout.readline()


def say(child: subprocess.Popen[bytes], text: bytes = b"go\n") -> None:
    """Write to what a shell reads."""
    assert child.stdin is not None
    child.stdin.write(text)
    child.stdin.flush()


def test_increments_of_subshells_add_up(shell: str, folder: str) -> None:
    """Eight subshells at once, 500 increments each, all by kv: exactly 4,000."""
    work = "for j in 1 2 3 4 5 6 7 8; do (for ((i = 0; i < 500; i++)); do kv incr n > /dev/null; done) & done; wait"
    assert run(shell, f"{work}; kv get n", folder).stdout == b"4000"


def test_answers_are_never_mixed(shell: str, folder: str) -> None:
    """Subshells that start at once, before there is a server, each read what they wrote, of whatever size."""
    script = r"""
        for j in 1 2 3 4 5 6 7 8; do (
            for ((i = 0; i < 60; i++)); do
                want=$j:$i:$(printf "%$((i * 40))s" $j)
                kv set k$j "$want"
                kv -v have get k$j
                [ "$want" = "$have" ] || echo "wrong: $want, $have"
                [ "$want" = "$(kv get k$j)" ] || echo "wrong: $want"
            done
        ) & done; wait; echo over
        """
    ran = run(shell, script, folder)
    assert (ran.stdout, ran.stderr) == (b"over\n", b"")


def test_more_processes_than_channels_are_served(shell: str, folder: str) -> None:
    """Who finds no channel free runs the real command, and nobody waits for ever."""
    script = r"""
        kv set k v
        for ((j = 0; j < 40; j++)); do (kv get k > $j; read -r x <> gate) & done
        for ((j = 0; j < 40; j++)); do while [ ! -s $j ]; do sleep 0.01; done; cat $j; done
        """
    os.mkfifo(os.path.join(folder, "gate"))
    child = start(shell, script + "kv get k; echo; wait", folder)
    printed = line(child)
    gate = os.open(os.path.join(folder, "gate"), os.O_RDWR)
    os.write(gate, b"\n" * 40)
    out, err = child.communicate(timeout=60)
    os.close(gate)
    assert (printed + out, err) == (b"v" * 41 + b"\n", b"")


def test_the_server_ends_after_the_shell(shell: str, folder: str) -> None:
    """The shell ends at once, nobody who reads from it waits for the server, and that and its folder go soon."""
    child = start(shell, "kv set k v; kv get k", folder)
    assert child.communicate(timeout=60) == (b"v", b"")
    until_over(folder)


def test_the_server_stays_for_subshells(shell: str, folder: str) -> None:
    """A subshell that outlives its shell is still answered."""
    script = "kv set k v; (read -r x < gate; kv get k > answer.new; mv answer.new answer) > /dev/null 2>&1 & kv get k"
    os.mkfifo(os.path.join(folder, "gate"))
    assert run(shell, script, folder).stdout == b"v"
    with open(os.path.join(folder, "gate"), "w") as gate:
        gate.write("go\n")
    until(lambda: os.path.exists(os.path.join(folder, "answer")), "no answer")
    with open(os.path.join(folder, "answer")) as answer:
        assert answer.read() == "v"


def test_nothing_is_seen_of_it(shell: str, folder: str) -> None:
    """No job, no message, no child to wait for; and the server keeps neither a terminal nor what the shell has open."""
    script = "exec 7> seven; kv set k v; jobs; wait; echo done; read -r x"
    child = start(shell, script, folder)
    assert line(child) == b"done\n"
    (server,) = servers(folder)
    targets = {os.readlink(f"/proc/{server}/fd/{handle}") for handle in os.listdir(f"/proc/{server}/fd")}
    assert not [target for target in targets if target.startswith("pipe:") or target.endswith("seven")]
    assert os.getsid(server) != os.getsid(child.pid)
    assert child.communicate(b"\n", timeout=60) == (b"", b"")


def test_an_idle_shell_has_nothing_open(shell: str, folder: str) -> None:
    """A second after the last call no store is mapped or open, and no folder is held; the next call finds it all again."""
    child = start(shell, "cd sub; kv set k v; echo; read -r x; kv get k; echo", folder_with(folder, "sub"))
    line(child)
    (server,) = servers(folder)

    def is_free() -> bool:
        with open(f"/proc/{server}/maps") as maps:
            mapped = "data.mdb" in maps.read()
        return not mapped and os.readlink(f"/proc/{server}/cwd") == "/"

    until(is_free, "the store stays open")
    assert child.communicate(b"\n", timeout=60) == (b"v\n", b"")


def folder_with(folder: str, name: str) -> str:
    """Make a folder in a folder."""
    os.mkdir(os.path.join(folder, name))
    return folder


def test_a_killed_server_is_replaced(shell: str, folder: str) -> None:
    """After kill -9 the next call is answered all the same, by the real command, and the one after it by a new server."""
    child = start(shell, "kv set n 1; echo; read -r x; kv incr n; kv incr n; echo over; read -r x", folder)
    line(child)
    (server,) = servers(folder)
    os.kill(server, signal.SIGKILL)
    until(lambda: not servers(folder), "it lives")
    say(child)
    assert [line(child), line(child), line(child)] == [b"2\n", b"3\n", b"over\n"]
    (other,) = servers(folder)
    assert other != server
    assert len(left(folder)) == 1
    assert child.communicate(b"\n", timeout=60)[1] == b""


def test_an_increment_of_a_killed_server_is_not_repeated(shell: str, folder: str) -> None:
    """Where the server was killed with the request in its hands, incr says that nobody knows, and is not done again."""
    child = start(shell, "kv set n 1; echo; read -r x; kv incr n; echo $?; kv get n; echo", folder)
    line(child)
    holder = hold_lock(os.path.join(folder, "store"))
    (server,) = servers(folder)
    say(child)
    until(lambda: is_waiting(server), "it took no request")
    os.kill(server, signal.SIGKILL)
    release(holder)
    out, err = child.communicate(timeout=60)
    assert out.split()[-2:] in (
        [b"74", b"1"],
        [b"0", b"2"],
    )  # The second where it had left the lock to the real command.
    assert (b"nobody knows" in err) == (b"74" in out)


def is_waiting(server: int) -> bool:
    """Tell whether a server has a thread that writes: it was asked for something."""
    return len(os.listdir(f"/proc/{server}/task")) > 1


def test_a_killed_client_leaves_its_channel(shell: str, folder: str) -> None:
    """A subshell killed in the middle of its calls spoils nobody's answers, and its channel is free again."""
    script = r"""
        kv set k v
        for ((j = 0; j < 50; j++)); do
            (while :; do kv get k; done > /dev/null) & pid=$!
            x=$(kv get k); kill -9 $pid; wait $pid
            [ "$x" = v ] && [ "$(kv get k)" = v ] || echo wrong
        done 2> /dev/null
        kv get k
        """
    assert run(shell, script, folder).stdout == b"v"


def test_a_lock_that_is_not_free_stops_nobody_else(shell: str, folder: str) -> None:
    """While one call waits for the writer lock, by the real command, others are answered."""
    with Store(os.path.join(folder, "store")) as store:
        store.open("default").set("k", b"v")
    holder = hold_lock(os.path.join(folder, "store"))
    child = start(shell, "(kv set k w; echo written) & for i in 1 2 3; do kv get k; echo; done; wait; kv get k", folder)
    assert [line(child) for _ in range(3)] == [b"v\n"] * 3
    release(holder)
    assert child.communicate(timeout=60) == (b"written\nw", b"")


def test_two_shells_do_not_share(shell: str, folder: str) -> None:
    """Each has its own, also where both evaluate the same text, and a shell in a shell has none of its parent's."""
    inner = " ".join((shell, *FLAGS[shell], "-c", "'. ./text; kv get k; ls -d kvcli-* | wc -l'"))
    ran = run(shell, f"real shell-init {shell} > text; . ./text; kv set k v; {inner}; type kv > /dev/null", folder)
    assert ran.stdout.split() == [b"v2"] or ran.stdout.split() == [b"v", b"2"]


def test_a_trap_in_the_middle_of_a_call_may_call(shell: str, folder: str) -> None:
    """A trap that calls kv while a call is under way gets its own answer, and so does the call."""
    script = r"""
        trap 'kv -v y get b; [ "$y" = two ] || echo "wrong: $y"; hits=$((hits + 1))' USR1
        hits=0; kv set a one; kv set b two; me=$$
        (for ((i = 0; i < 30; i++)); do kill -USR1 $me; sleep 0.03; done) &
        for ((i = 0; i < 3000 || hits < 3; i++)); do kv -v x get a; [ "$x" = one ] || echo "wrong: $x"; done
        wait; echo over
        """
    assert run(shell, script, folder).stdout.splitlines()[-1:] == [b"over"]


def test_ctrl_c_ends_the_call_and_not_the_server(shell: str, folder: str) -> None:
    """Ctrl-C in the middle of a call is exit code 130; the late answer is nobody's, and the server goes on."""
    with open(os.path.join(folder, "text"), "w") as file:
        file.write(f'real() {{ {PROGRAM} "$@"; }}\neval "$(real shell-init {shell})"\nPS1="> "\n')
    terminal = Terminal(shell, *FLAGS[shell], "-i", cwd=folder, env=environment(folder))
    try:
        terminal.press(". ./text; clear\r")
        terminal.enter("kv set k v; kv get k")
        terminal.until("\nv\n>")
        (server,) = servers(folder)
        os.kill(server, signal.SIGSTOP)  # So that the call lasts.
        terminal.enter("kv incr n")
        terminal.rest(0.5)
        terminal.press(CTRL_C)
        terminal.type('echo "code $?"\r')
        terminal.until("\ncode 130\n>")
        os.kill(server, signal.SIGCONT)
        terminal.enter("kv get k; kv get k; jobs")
        terminal.until("\nv\nv\n>")
        assert servers(folder) == [server]
        terminal.enter("exit")
        assert terminal.wait() == 0
    finally:
        terminal.close()


def test_a_process_that_a_shell_left_behind_keeps_nobody(shell: str, folder: str) -> None:
    """A program that was started in the background, and may have inherited a channel, does not keep the server."""
    script = "kv set k v; sleep 1000 > /dev/null 2>&1 & kv get k; echo; echo $!"
    child = subprocess.run(words(shell, script), env=environment(folder), cwd=folder, capture_output=True, timeout=60)
    try:
        until_over(folder)
    finally:
        os.kill(int(child.stdout.split()[-1]), signal.SIGKILL)
