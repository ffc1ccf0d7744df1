"""What must not stand anywhere in kvcli, because LMDB punishes it: found by reading the code.

Each rule is a function from the modules to what offends it; each is also shown an offender, so that it is known to see.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.test_house import imports, modules

Modules = Mapping[str, ast.Module]

REMOVERS = {"unlink", "remove", "rename", "renames", "replace", "truncate", "ftruncate", "move", "copyfile", "copy"}
FORKS = {"fork", "forkpty", "Process", "ProcessPoolExecutor"}
SHELLS = {"system", "popen", "posix_spawn", "posix_spawnp", "startfile"}
# What may be done with the lock file's name: to ask about it, to join it to a folder, to make it.
HARMLESS = {"exists", "access", "stat", "lstat", "join", "is_lone", "reserve_lock", "_status", "check_file"}

# LMDB's own opening; and that of a process which has nothing of the environment open, so that there is nothing to drop.
ALLOWED = {("kvcli.engine.opening", "_open_stepping"), ("kvcli.engine.solitude", "open")}


def calls(code: Modules) -> Iterator[tuple[str, ast.Call]]:
    """Give every call with its module."""
    for module, tree in code.items():
        yield from ((module, node) for node in ast.walk(tree) if isinstance(node, ast.Call))


def called(call: ast.Call) -> str:
    """Give the last part of the name of what is called."""
    return str(getattr(call.func, "attr", None) or getattr(call.func, "id", ""))


def keywords(call: ast.Call) -> dict[str, object]:
    """Give the keywords of a call; of constants, their value."""
    return {word.arg: getattr(word.value, "value", word.value) for word in call.keywords if word.arg}


def line(module: str, node: ast.expr) -> str:
    """Say where an offence is."""
    return f"{module}:{node.lineno} {ast.unparse(node)}"


def texts(code: Modules) -> Iterator[tuple[str, ast.Constant]]:
    """Give every text that stands in the code, docstrings apart."""
    for module, tree in code.items():
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                yield module, node


def lmdb_outside_the_engine(code: Modules) -> list[str]:
    """Only the engine knows LMDB, by whatever way of importing."""
    outside = {module: tree for module, tree in code.items() if not module.startswith("kvcli.engine")}
    found = [module for module, tree in outside.items() if "lmdb" in {name.partition(".")[0] for name in imports(tree)}]
    return found + [line(module, node) for module, node in texts(outside) if node.value == "lmdb"]


def second_opening(code: Modules) -> list[str]:
    """One call opens environments."""
    names = {"lmdb.open", "lmdb.Environment"}
    found = [(module, call) for module, call in calls(code) if ast.unparse(call.func) in names]
    here = [call for module, call in found if module == "kvcli.engine.opening"]
    return [line(module, call) for module, call in found if call not in here[:1]]


def handles_without_transaction(code: Modules) -> list[str]:
    """open_db without txn= waits for ever for a write transaction of its own thread."""
    return [
        line(module, call) for module, call in calls(code) if called(call) == "open_db" and "txn" not in keywords(call)
    ]


def databases_by_dbs(code: Modules) -> list[str]:
    """Environment.dbs() stops at max_dbs without a word."""
    return [line(module, call) for module, call in calls(code) if called(call) == "dbs"]


def unsafe_options(code: Modules) -> list[str]:
    """No sync=False but for a cache, no writemap, no map_async, no views of pages that outlive their transaction."""
    return [
        line(module, call)
        for module, call in calls(code)
        if (keywords(call).get("sync", True) is not True and module != "kvcli.engine.opening")
        or {"writemap", "map_async", "buffers"} & set(keywords(call))
        or (called(call) == "begin" and call.args)
    ]


def removals(code: Modules) -> list[str]:
    """Nobody removes, moves or cuts files, except those that creation itself has just made."""
    ours = {
        ("kvcli.engine.opening", "os.unlink(fresh)"),
        ("kvcli.engine.creation", "shutil.rmtree(fresh, ignore_errors=True)"),
        ("kvcli.commands.edit", "shutil.rmtree(folder, ignore_errors=True)"),
        ("kvcli.commands.edit", "shutil.rmtree(os.path.dirname(path), ignore_errors=True)"),
        ("kvcli.engine.copying", "os.rename(self._name, path)"),  # A copy, to the name that a backup or a store has.
        ("kvcli.engine.copying", "os.unlink(self._name)"),
        # Those of a shell's server: the pipes of its own folder.
        ("kvcli.shell.channel", "os.unlink(self._file(end))"),
        ("kvcli.shell.channel", "os.unlink(self._file('lock'))"),
        ("kvcli.shell.folder", "os.rename(self._new, self.path)"),
        ("kvcli.shell.folder", "os.rename(self.path, old)"),
        ("kvcli.shell.folder", "rmtree(old, ignore_errors=True)"),
        ("kvcli.shell.folder", "rmtree(self._new)"),
        # Those of a cache, which is thrown away whole.
        ("kvcli.engine.lives", "shutil.rmtree(fresh, ignore_errors=True)"),
        ("kvcli.engine.lives", "shutil.rmtree(grave, ignore_errors=True)"),
        ("kvcli.engine.lives", "shutil.rmtree(place, ignore_errors=True)"),
        ("kvcli.engine.lives", "os.rename(fresh, folder)"),
        ("kvcli.engine.lives", "os.rename(folder, grave)"),
        ("kvcli.engine.lives", "os.unlink(grave)"),
    }
    return [
        line(module, call)
        for module, call in calls(code)
        if ast.unparse(call.func).startswith(("os.", "shutil.")) and called(call) in REMOVERS | {"rmtree"}
        if (module, ast.unparse(call)) not in ours
    ]


def touched_lock_files(code: Modules) -> list[str]:
    """The lock file is asked about and made, and never opened: closing it would drop the locks of this process."""
    return [
        line(module, call)
        for module, call in calls(code)
        for word in (*call.args, *(keyword.value for keyword in call.keywords))
        if getattr(word, "attr", getattr(word, "id", None)) in {"lock", "LOCK"} or "lock.mdb" in ast.unparse(word)
        if called(call) not in HARMLESS and (module, called(call)) not in ALLOWED
    ]


def forks(code: Modules) -> list[str]:
    """A fork with an environment open shares what must not be shared."""
    found = [line(module, call) for module, call in calls(code) if called(call) in FORKS]
    modules_of = {module: {name.partition(".")[0] for name in imports(tree)} for module, tree in code.items()}
    found = [each for each in found if not each.startswith("kvcli.shell.start:")]  # Before anything is open.
    return found + [module for module, names in modules_of.items() if names & {"multiprocessing", "concurrent"}]


def leaking_commands(code: Modules) -> list[str]:
    """Commands are started by subprocess, which closes what they should not get, and without a shell."""
    return [
        line(module, call)
        for module, call in calls(code)
        if (ast.unparse(call.func).startswith("os.") and called(call) in SHELLS)
        or called(call).startswith(("execv", "execl", "spawnv", "spawnl"))
        or {"close_fds", "shell"} & set(keywords(call))
        or ("pass_fds" in keywords(call) and module != "kvcli.commands.child")  # What kvcli was started with.
    ]


def advice_to_remove_locks(code: Modules) -> list[str]:
    """No message tells anybody to remove the lock file."""
    return [
        line(module, node)
        for module, node in texts(code)
        if "lock" in str(node.value) and any(word in str(node.value) for word in ("remove", "delete", "stale", "rm "))
    ]


RULES: dict[Callable[[Modules], list[str]], str] = {
    lmdb_outside_the_engine: "from lmdb import open",
    second_opening: "lmdb.open(path)",
    handles_without_transaction: "env.open_db(b'name', create=False)",
    databases_by_dbs: "env.dbs()",
    unsafe_options: "lmdb.open(path, sync=False)\nlmdb.open(path, writemap=True)\nenv.begin(buffers=True)\nenv.begin(None, True)",
    removals: "os.replace(new, path)\nshutil.rmtree(path)\nos.ftruncate(handle, 0)",
    touched_lock_files: "open(files.lock)\nos.open(LOCK, 0)\nos.chmod(path + '/lock.mdb', 0)",
    forks: "import multiprocessing\nos.fork()",
    leaking_commands: "os.system('ls')\nsubprocess.run(words, close_fds=False)\nsubprocess.run(words, shell=True)\nsubprocess.run(words, pass_fds=[3])",
    advice_to_remove_locks: "raise Busy('remove the stale lock file')",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_is_kept(rule: Callable[[Modules], list[str]]) -> None:
    """Nothing in kvcli offends the rule."""
    assert rule(modules()) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_sees_offenders(rule: Callable[[Modules], list[str]]) -> None:
    """Each line of a planted offence is found, so that a rule which is kept is known to have looked."""
    for offence in RULES[rule].splitlines():
        assert rule({"kvcli.planted": ast.parse(offence)}), offence


def test_lmdb_is_opened_somewhere() -> None:
    """The one call of lmdb.open is where the design says."""
    opened = [module for module, call in calls(modules()) if ast.unparse(call.func) == "lmdb.open"]
    assert opened == ["kvcli.engine.opening"]


def test_handles_are_opened_in_two_places() -> None:
    """One place opens the databases of an environment; creation opens those of one that nobody else knows.

    A cache has its main database alone, whose handle is always there.
    """
    opened = {module for module, call in calls(modules()) if called(call) == "open_db"}
    assert opened == {"kvcli.engine.creation", "kvcli.engine.environment", "kvcli.engine.generation"}


def test_environment_files_are_not_read_while_open() -> None:
    """Closing a second descriptor of the lock file would drop the process's locks, so only the data file is opened."""
    opened = {module for module, call in calls(modules()) if ast.unparse(call.func) == "os.open"}
    assert opened == {
        "kvcli.engine.files",
        "kvcli.engine.opening",
        *("kvcli.engine.copying", "kvcli.engine.solitude"),  # A new file; a lock file that nobody here has open.
        *("kvcli.engine.lives", "kvcli.engine.register"),
        "kvcli.commands.context",
        "kvcli.cli.entry",
        *("kvcli.shell.channel", "kvcli.shell.folder", "kvcli.shell.start"),  # Pipes, and nothing of a store.
        *("kvcli.commands.edit", "kvcli.repl.history"),  # Files that nobody else may read.
    }


def test_no_page_tells_to_remove_a_lock() -> None:
    """The README does not say that a lock file could be removed."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    files = [os.path.join(root, "README.md")]
    for file in files:
        with open(file, encoding="utf-8") as opened:
            assert not [text for text in opened if "lock.mdb" in text and ("rm " in text or "remove" in text)]
