"""The house keeps its own rules: imports point one way, functions and files stay small, everything says what it is."""

from __future__ import annotations

import ast
import functools
import os
from collections.abc import Iterator

import pytest

import kvcli

ROOT = os.path.dirname(kvcli.__file__)

# Lower first. A module imports its own room and those before it; a name stands for everything that starts with it.
ROOMS = (
    "kvcli.errors",
    "kvcli.remote_errors",
    "kvcli.cursor",
    "kvcli.token",
    "kvcli.units",
    "kvcli.location",
    "kvcli.engine",
    "kvcli.store",
    "kvcli.atomics",
    "kvcli.batch",
    "kvcli.prefixes",
    "kvcli.cache",
    "kvcli.async_cache",
    "kvcli.operations",
    "kvcli.formats",
    "kvcli.wit",
    "kvcli.wasm",
    "kvcli.commands",
    "kvcli.cli",
    "kvcli.repl",
    "kvcli.shell",
    "kvcli.__main__",
    "kvcli",
)
# Rooms that every get passes through import nothing slow, not even inside TYPE_CHECKING's place.
SLOW = {
    *("typer", "rich", "prompt_toolkit", "dataclasses", "enum", "typing", "json", "re", "pathlib"),
    *("contextlib", "functools", "threading", "logging", "argparse", "subprocess", "hashlib", "tempfile", "shutil"),
}
COLD = (
    *("kvcli.cli.app", "kvcli.cli.root", "kvcli.cli.keys", "kvcli.cli.places", "kvcli.cli.data", "kvcli.cli.grammar"),
    *("kvcli.cli.encoding", "kvcli.cli.screen", "kvcli.engine.creation", "kvcli.token", "kvcli.wit"),
    "kvcli.cli.guide",
    *("kvcli.async_cache", "kvcli.cli.caching", "kvcli.commands.child", "kvcli.commands.tap", "kvcli.engine.lives"),
    "kvcli.engine.redis",  # Entered by URLs alone.
    "kvcli.repl.",
    "kvcli.shell.",
    *("kvcli.commands.edit", "kvcli.commands.watch"),
    *("kvcli.cli.progress", "kvcli.cli.declared"),
    *("kvcli.cli.keeping", "kvcli.commands.backup", "kvcli.commands.check", "kvcli.commands.compact"),
    *("kvcli.commands.restore", "kvcli.engine.bookkeeping", "kvcli.engine.copying", "kvcli.engine.solitude"),
    *("kvcli.cli.guests", "kvcli.wasm"),  # Entered by `run` alone.
    *("kvcli.commands.copy", "kvcli.engine.spin", "kvcli.engine.rows"),
    *("kvcli.engine.compaction", "kvcli.engine.readers", "kvcli.commands.config_show"),
    *("kvcli.operations", "kvcli.formats", "kvcli.commands.batch", "kvcli.commands.export", "kvcli.commands.import_"),
)
FUNCTION_LINES_MAX, FILE_LINES_MAX = 40, 300


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Parse every module of the package."""
    found = {}
    for folder, _, names in os.walk(ROOT):
        for name in [name for name in names if name.endswith(".py")]:
            file = os.path.join(folder, name)
            dotted = os.path.relpath(file, os.path.dirname(ROOT))[:-3].replace(os.sep, ".").removesuffix(".__init__")
            with open(file, encoding="utf-8") as source:
                found[dotted] = ast.parse(source.read(), file)
    return found


MODULES = sorted(modules())


def room(module: str) -> int:
    """Give the height of a module."""
    return next(at for at, name in enumerate(ROOMS) if module == name or module.startswith(name + "."))


def imports(tree: ast.AST) -> Iterator[str]:
    """Give the names of all modules that a tree imports, at whatever depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "kvcli":
            yield from (
                f"kvcli.{alias.name}" if f"kvcli.{alias.name}" in modules() else "kvcli" for alias in node.names
            )
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def is_checking(node: ast.stmt) -> bool:
    """Tell whether a statement is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Give all functions, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("module", [name for name in MODULES if name != "kvcli"])
def test_imports_point_down(module: str) -> None:
    """A module imports only its own room and lower ones; types apart, which cost nothing and bind nobody."""
    tree = ast.Module([node for node in modules()[module].body if not is_checking(node)], [])
    upward = [name for name in imports(tree) if name.startswith("kvcli.") and room(name) > room(module)]
    assert not upward


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith(COLD)])
def test_hot_rooms_import_nothing_slow(module: str) -> None:
    """What a get may touch loads no slow module when it is imported."""
    tree = ast.Module([node for node in modules()[module].body if isinstance(node, ast.Import | ast.ImportFrom)], [])
    assert not SLOW & {name.partition(".")[0] for name in imports(tree)}


@pytest.mark.parametrize("module", MODULES)
def test_functions_and_files_are_short(module: str) -> None:
    """A function has at most 40 lines, a file at most 300."""
    tree = modules()[module]
    with open(
        os.path.join(ROOT, "..", *module.split(".")) + ".py" if not is_package(module) else package_file(module)
    ) as file:
        assert len(file.readlines()) <= FILE_LINES_MAX
    long = [node.name for node in functions(tree) if body_lines(node) > FUNCTION_LINES_MAX]
    assert not long


def is_package(module: str) -> bool:
    """Tell whether a module is a folder."""
    return os.path.isdir(os.path.join(ROOT, "..", *module.split(".")))


def package_file(module: str) -> str:
    """Give the file of a package."""
    return os.path.join(ROOT, "..", *module.split("."), "__init__.py")


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    doc = node.body[0] if ast.get_docstring(node) else None
    total = (node.end_lineno or 0) - node.lineno + 1
    return total - ((doc.end_lineno or 0) - doc.lineno + 1 if doc else 0)


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_has_a_docstring(module: str) -> None:
    """Every module, public class and public function says what it is."""
    tree = modules()[module]
    public = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    inner = {node for function in functions(tree) for node in ast.walk(function) if node is not function}
    silent = [
        node.name
        for node in public
        if node not in inner and not node.name.startswith("_") and ast.get_docstring(node) is None
    ]
    assert ast.get_docstring(tree) is not None
    assert not silent


@pytest.mark.parametrize(
    "module", [name for name in MODULES if not name.startswith(("kvcli.cli", "kvcli.repl", "kvcli.shell"))]
)
def test_only_the_command_line_prints_and_exits(module: str) -> None:
    """Below the command line nobody prints and nobody ends the process."""
    calls = [node.func for node in ast.walk(modules()[module]) if isinstance(node, ast.Call)]
    assert not [call.id for call in calls if isinstance(call, ast.Name) and call.id in {"print", "exit"}]
    assert not [call.attr for call in calls if isinstance(call, ast.Attribute) and call.attr in {"exit", "_exit"}]


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("kvcli.engine")])
def test_only_the_engine_knows_lmdb(module: str) -> None:
    """A foreign library's names stop at the engine's border."""
    assert "lmdb" not in {name.partition(".")[0] for name in imports(modules()[module])}


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("kvcli.engine.redis")])
def test_only_its_room_knows_the_client_of_servers(module: str) -> None:
    """The same holds for the client of Redis, which is imported for its URLs alone."""
    assert not {"redis", "hiredis"} & {name.partition(".")[0] for name in imports(modules()[module])}


def test_exports_are_what_is_said() -> None:
    """Every name in kvcli.__all__ loads."""
    assert all(getattr(kvcli, name) is not None for name in kvcli.__all__)


def test_no_package_defines_what_is_a_module_of_it() -> None:
    """Python sets a module of a package as its attribute when that is first imported: what had the name before is gone."""
    names = modules().keys()
    for package in filter(is_package, names):
        own = {node.name for node in modules()[package].body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert not {name for name in own if f"{package}.{name}" in names}
