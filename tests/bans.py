"""Bans: what must not stand anywhere in kvcli, because LMDB, or a data set that somebody made up, punishes it.

Each rule is a function from the modules to what offends it; with each goes an offence of every kind that it must see.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

from tests.test_house import imports

Modules = Mapping[str, ast.Module]

REMOVERS = {"unlink", "remove", "rename", "renames", "replace", "truncate", "ftruncate", "move", "copyfile", "copy"}
CLEAR_REMOVERS = {"unlink", "rename", "renames", "rmtree", "rmdir", "removedirs", "truncate", "ftruncate", "move"}
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


def options_in_a_dict(code: Modules) -> list[str]:
    """The options that give up safety are named nowhere but where a cache is opened, by any way of passing them on."""
    return [
        line(module, node)
        for module, node in texts(code)
        if node.value in {"sync", "writemap", "map_async", "buffers"} and module != "kvcli.engine.opening"
    ]


def writers(code: Modules) -> list[str]:
    """Write transactions begin in three places: on the writer thread, in a cache under its own lock, and in a new file.

    To wait for the lock of writers hangs beyond reach of Ctrl-C, and on a thread that does not end it the lock stays.
    """
    places = {"kvcli.engine.environment", "kvcli.engine.generation", "kvcli.engine.creation"}
    return [
        line(module, call)
        for module, call in calls(code)
        if called(call) == "begin" and keywords(call).keys() & {"write", "parent"} and module not in places
    ]


def endings_by_hand(code: Modules) -> list[str]:
    """Only the writer thread ends a transaction by a call; elsewhere `with` does, on the thread that began it."""
    return [
        line(module, call)
        for module, call in calls(code)
        if called(call) in {"commit", "abort"} and module.startswith("kvcli.engine")
        if module != "kvcli.engine.environment"
    ]


def yields_in_a_transaction(code: Modules) -> list[str]:
    """A generator that is left alone inside of a transaction keeps it, and its lock, until somebody collects it."""
    return [
        line(module, item.context_expr)
        for module, tree in code.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if "begin(" in ast.unparse(item.context_expr)
        if any(isinstance(inner, ast.Yield | ast.YieldFrom) for each in node.body for inner in ast.walk(each))
    ]


def resizes(code: Modules) -> list[str]:
    """The map changes its size in one room alone, which has shut everybody else out."""
    found = [(module, call) for module, call in calls(code) if called(call) == "set_mapsize"]
    return [line(module, call) for module, call in found if module != "kvcli.engine.environment"]


def deletions_by_cursor(code: Modules) -> list[str]:
    """To delete while iterating leaves out every second key."""
    return [
        line(module, call)
        for module, call in calls(code)
        if called(call) in {"delete", "pop"} and "cursor" in ast.unparse(call.func).lower()
    ]


def copies_by_lmdb(code: Modules) -> list[str]:
    """Environment.copy makes files that everybody may read, syncs none, and leaves half of one on a full disk."""
    return [
        line(module, call)
        for module, call in calls(code)
        if (called(call) == "copyfd" and module != "kvcli.engine.copying")
        or (called(call) == "copy" and "env" in ast.unparse(call.func).lower())
    ]


def overwritten_files(code: Modules) -> list[str]:
    """No room of the engine opens a file so that what was in it is gone."""
    engine = {module: tree for module, tree in code.items() if module.startswith("kvcli.engine")}
    names = [
        line(module, node)
        for module, tree in engine.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "O_TRUNC"
    ]
    return names + [
        line(module, call)
        for module, call in calls(engine)
        if called(call) in {"open", "Handle", "FileIO", "fdopen"}
        if any(
            str(getattr(word, "value", "")).startswith("w") for word in (*call.args, *(w.value for w in call.keywords))
        )
    ]


def code_from_data(code: Modules) -> list[str]:
    """What comes out of a store is never run, and never made into objects that run."""
    found = [module for module, tree in code.items() if {"pickle", "marshal", "shelve"} & set(imports(tree))]
    return found + [
        line(module, call) for module, call in calls(code) if ast.unparse(call.func) in {"eval", "exec", "compile"}
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
        ("kvcli.cli.output", "os.unlink(name)"),  # Part of a file that `get --output` has just made.
        # Machine code of components, which can be made again.
        ("kvcli.wasm.compiled", "os.rename(written.name, file)"),
        ("kvcli.wasm.compiled", "os.unlink(written.name)"),
        ("kvcli.wasm.compiled", "os.unlink(file)"),
        ("kvcli.commands.batch", "answers.truncate()"),  # A text in memory.
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
        if (
            called(call) in CLEAR_REMOVERS
            or (called(call) in REMOVERS and ast.unparse(call.func).startswith(("os.", "shutil.")))
            or (called(call) in REMOVERS and isinstance(call.func, ast.Name) and call.func.id not in {"remove", "copy"})
        )
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
    options_in_a_dict: "options = {'sync': False}\noptions['writemap'] = True",
    writers: "env.begin(write=True)\nenv.begin(parent=txn)",
    yields_in_a_transaction: "with env.begin() as txn: yield 1\nwith lock, self.env.begin() as txn: yield from page",
    resizes: "env.set_mapsize(1 << 30)",
    deletions_by_cursor: "cursor.delete()\ntxn.cursor().pop(key)",
    copies_by_lmdb: "env.copy(path)\nself._env.copy(path, compact=True)\nenvironment.copyfd(handle)",
    endings_by_hand: "txn.commit()\ntxn.abort()",
    overwritten_files: "os.open(path, os.O_RDWR | os.O_TRUNC)\nopen(path, 'w')\nopen(path, mode='wb')\nHandle(path, 'w+')",
    code_from_data: "import pickle\neval(value)\nexec(value)",
    removals: "os.replace(new, path)\nshutil.rmtree(path)\nos.ftruncate(handle, 0)\nrmtree(path)\nunlink(path)\nPath(path).unlink()\nfile.truncate()",
    touched_lock_files: "open(files.lock)\nos.open(LOCK, 0)\nos.chmod(path + '/lock.mdb', 0)",
    forks: "import multiprocessing\nos.fork()",
    leaking_commands: "os.system('ls')\nsubprocess.run(words, close_fds=False)\nsubprocess.run(words, shell=True)\nsubprocess.run(words, pass_fds=[3])",
    advice_to_remove_locks: "raise Busy('remove the stale lock file')",
}
