"""The function `kv` where the shell, or somebody in it, is odd: settings, traps, strangers, and what a script does by itself."""

from __future__ import annotations

import os
import sys

import pytest

from kvcli.commands.shell_init import VARIABLES
from kvcli.shell.answering import Desk
from kvcli.store import Store
from tests.processes import ROOT
from tests.shells import SHELLS, left, run, servers, until_over

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder somebody else's")


@pytest.mark.parametrize("shell", SHELLS)
def test_increment_is_not_repeated_whatever_separates_words(shell: str, tmp_path: os.PathLike[str]) -> None:
    """What cannot be written is told, and not done again, with any IFS."""
    script = "kv set n 0; IFS=$'\\n\\t'; kv incr n > /dev/full; kv incr n >&-; kv get n"
    assert run(shell, script, str(tmp_path)).stdout == b"2"
    until_over(str(tmp_path))


@needs_root
@pytest.mark.parametrize("shell", SHELLS)
def test_folder_of_somebody_else_is_not_used(shell: str, tmp_path: os.PathLike[str]) -> None:
    """Whoever makes the folder first, whose name can be seen, is asked nothing: the real command is run."""
    script = r"""
        mkdir "$_kvcli_folder"; chmod 777 "$_kvcli_folder"
        for n in $(seq 0 31); do mkfifo "$_kvcli_folder/$n.q" "$_kvcli_folder/$n.a"; done
        : > "$_kvcli_folder/server"; chown -R 65534 "$_kvcli_folder"
        kv set k v; kv get k; ls "$_kvcli_folder" | grep -c lock
        """
    ran = run(shell, script, str(tmp_path))
    assert (ran.stdout, ran.stderr) == (b"v0\n", b"")
    assert servers(str(tmp_path)) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_text_that_is_evaluated_again_keeps_the_server(shell: str, tmp_path: os.PathLike[str]) -> None:
    """As a start-up file that is read twice does."""
    script = f'kv set k v; for n in 1 2 3; do eval "$(real shell-init {shell})"; kv get k; done; ls | grep -c kvcli-'
    assert run(shell, script, str(tmp_path)).stdout == b"vvv1\n"
    until_over(str(tmp_path))


def test_function_that_is_exported_alone_is_the_command(tmp_path: os.PathLike[str]) -> None:
    """Where nothing of the rest is there, `kv` runs kvcli, and no other program that has the name of a word."""
    program = os.path.join(tmp_path, "kvcli")
    with open(program, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m kvcli "$@"\n')
    os.chmod(program, 0o755)
    script = r"""
        PATH=$PWD:$PATH; kv set k v; export -f kv; bash -c 'kv get k; kv echo pwned || echo $?'
        set -a; eval "$(real shell-init bash)"; bash -c 'kv get k; kv echo pwned || echo $?'
        """
    ran = run("bash", script, str(tmp_path))
    assert ran.stdout == b"v2\nv2\n", ran.stderr
    until_over(str(tmp_path))


def test_time_out_of_the_shell_is_not_that_of_the_server(tmp_path: os.PathLike[str]) -> None:
    """TMOUT ends reads of what a person types; a call waits for its answer, and is done once."""
    script = r"""
        kv set n 0; readonly TMOUT=1; server=$(pgrep -f "shell.start.*$PWD/kvcli-")
        kill -STOP $server; (sleep 2; kill -CONT $server) & kv incr n; kv get n
        """
    assert run("bash", script, str(tmp_path)).stdout == b"1\n1"
    until_over(str(tmp_path))


@pytest.mark.parametrize("mode", ["", "set -o posix;"])
def test_traps_of_the_user_cut_no_answer_short(tmp_path: os.PathLike[str], mode: str) -> None:
    """Signals that a script catches come in the middle of calls; each increment is done once, and told."""
    script = r"""
        trap : USR1; (while kill -USR1 $$ 2> /dev/null; do sleep 0.002; done) &
        for ((i = 0; i < 150; i++)); do kv incr n > /dev/null || echo failed; done; kill $!; kv get n
        """
    assert run("bash", mode + script, str(tmp_path)).stdout == b"150"
    until_over(str(tmp_path))


def test_posix_mode_without_descriptors_is_survived(tmp_path: os.PathLike[str]) -> None:
    """There a failed exec would end the script; the real command answers."""
    script = "set -o posix; kv set k v; (ulimit -n 10; kv get k; echo over)"
    ran = run("bash", script, str(tmp_path))
    assert (ran.stdout, ran.stderr) == (b"vover\n", b"")
    until_over(str(tmp_path))


def test_numbers_that_scripts_use_are_left_alone(tmp_path: os.PathLike[str]) -> None:
    """A script that opens its own files at 10 to 20 writes nothing of kv's into them."""
    opened = "; ".join(f"exec {number}>> log" for number in range(10, 21))
    ran = run("bash", f"kv set k v; {opened}; kv get k; kv set secret 1; kv get k; wc -c < log", str(tmp_path))
    assert ran.stdout == b"vv0\n"
    until_over(str(tmp_path))


def test_locale_that_cannot_be_changed_hangs_nothing(tmp_path: os.PathLike[str]) -> None:
    """Where bash cannot be made to count bytes, the real command answers."""
    ran = run("bash", "readonly LC_ALL; kv set u é; kv get u; kv get u", str(tmp_path))
    assert (ran.stdout.decode(), ran.stderr) == ("éé", b"")
    until_over(str(tmp_path))


def test_rights_that_are_taken_away_are_seen(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is open already is opened anew once its files look otherwise: so what is forbidden is refused."""
    monkeypatch.chdir(ROOT)  # Which the desk leaves.
    Store(path).close()
    with Store(path) as store:
        store.open("default").set("k", b"v")
    desk = Desk()
    fields = [b"z", f"x={path}".encode(), *[b""] * (len(VARIABLES) - 2), b"x=/", b"get", b"k"]
    assert desk.answer(fields, os.getpid()).endswith(b"v")
    before = list(desk._contexts)
    os.chmod(os.path.join(path, "data.mdb"), 0o400)
    assert desk.answer(fields, os.getpid()).endswith(b"v")
    assert [each for each in before if each in desk._contexts] == []
    desk.rest()


def test_stores_that_are_not_named_any_more_are_closed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that goes on with another store leaves the first one alone after a second."""
    monkeypatch.chdir(ROOT)
    desk = Desk()
    for name in ("one", "two"):
        with Store(path + name) as store:
            store.open("default").set("k", b"v")
    clock = [100.0]
    monkeypatch.setattr("kvcli.shell.answering.monotonic", lambda: clock[0])
    for name, moment in (("one", 100.0), ("two", 100.1), ("two", 100.2), ("two", 101.2)):
        clock[0] = moment
        desk.answer(
            [b"z", f"x={path}{name}".encode(), *[b""] * (len(VARIABLES) - 2), b"x=/", b"get", b"k"], os.getpid()
        )
        assert len(desk._contexts) == (2 if moment in {100.1, 100.2} else 1)
    desk.rest()


def test_nothing_is_left(tmp_path: os.PathLike[str]) -> None:
    """Also with few descriptors the folder goes."""
    run("bash", "ulimit -n 14; kv set k v; kv get k", str(tmp_path))
    until_over(str(tmp_path))
    assert left(str(tmp_path)) == []
