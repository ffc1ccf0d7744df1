"""What all tests share: stores of every engine, and the command line as a real process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import lmdb
import pytest
from hypothesis import settings

from kvcli.engine.draft import Draft
from kvcli.store import Bucket, Store
from tests.processes import ROOT
from tests.redis.cluster import Cluster
from tests.redis.servers import MISSING, Server

settings.register_profile("kvcli", deadline=None)  # A busy machine is no failure.
settings.load_profile("kvcli")

Run = Callable[..., subprocess.CompletedProcess[bytes]]

# Every engine that passes the contract: LMDB in the format kvcli makes, and in the newer one that others make; a server,
# where one is installed. What an engine declares that it cannot promise is marked on the tests of that.
ENGINES = ("lmdb", "lmdb-1.0")
REMOTE = ("redis", "redis-cluster", "redis-draft")
DECLARED = {"ordered": REMOTE, "remembers": REMOTE, "transactional": ("redis-cluster",), "committed": ("redis-draft",)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the contract over every engine, and over drafts, except where it is marked as `committed`."""
    if "store" in metafunc.fixturenames:
        marked = {mark for mark in DECLARED if metafunc.definition.get_closest_marker(mark) is not None}
        engines: list[Any] = [*ENGINES, *([] if "committed" in marked else ["draft"])]
        remote = [name for name in REMOTE if not any(name in DECLARED.get(mark, ()) for mark in marked)]
        engines += [pytest.param(name, marks=pytest.mark.skipif(bool(MISSING), reason=MISSING)) for name in remote]
        metafunc.parametrize("store", engines, indirect=True)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the settings, or the store, of whoever runs it."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("KVCLI_", "XDG_")) or name == "PYTHONUNBUFFERED"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture(scope="session")
def deserted() -> Iterator[int]:
    """A port at which nobody listens, and that no other process is given meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this session's own."""
    if MISSING:
        pytest.skip(MISSING)
    started = Server(str(tmp_path_factory.mktemp("server")))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this session's own."""
    if MISSING:
        pytest.skip(MISSING)
    started = Cluster([str(tmp_path_factory.mktemp("server")) for _ in range(6)])
    yield started
    started.stop()


@pytest.fixture
def path(request: pytest.FixtureRequest, tmp_path: os.PathLike[str]) -> str:
    """Where a store may be; nothing is there yet."""
    called = getattr(request.node, "callspec", None)
    engine = None if called is None else called.params.get("store")
    if engine in REMOTE:
        servers: Server | Cluster = request.getfixturevalue("cluster" if engine == "redis-cluster" else "server")
        servers.flush()
        return servers.url
    return os.path.join(tmp_path, "store")


@pytest.fixture
def store(request: pytest.FixtureRequest, path: str) -> Iterator[Store]:
    """An open store of each engine."""
    if request.param == "lmdb-1.0":
        make_foreign(path, lib_version=1)
    with Store(path, adopt=True) as opened:
        yield Store.over(Draft(opened.engine), path) if request.param.endswith("draft") else opened


@pytest.fixture
def bucket(store: Store) -> Bucket:
    """The bucket `default` of a store of each engine."""
    return store.open("default")


@pytest.fixture
def kvcli(path: str) -> Run:
    """Run the command line in a process of its own, on the store at `path`; gives bytes and the exit code."""

    def run(*words: str | bytes, **options: object) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "KVCLI_STORE": path, **options.pop("env", {})}  # type: ignore[dict-item]
        options.setdefault("timeout", 60)
        if "stdin" not in options:
            options.setdefault("input", b"")
        if not {"stdout", "stderr"} & set(options):
            options["capture_output"] = True
        return subprocess.run([sys.executable, "-m", "kvcli", *words], env=environment, **options)  # type: ignore[call-overload, no-any-return]

    return run


@pytest.fixture
def shell_environment(tmp_path: os.PathLike[str]) -> dict[str, str]:
    """A folder of its own with `kvcli` on the PATH, which is the checkout's."""
    for name in ("kvcli", "kv"):
        script = os.path.join(tmp_path, name)
        with open(script, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m kvcli "$@"\n')
        os.chmod(script, 0o755)
    for name in ("README.md", "man"):
        os.symlink(os.path.join(ROOT, name), os.path.join(tmp_path, name))
    store = os.path.join(tmp_path, "store")
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KVCLI_STORE": store, "PWD": str(tmp_path)}


@pytest.fixture
def filled(path: str) -> str:
    """A store with keys in it, closed."""
    with Store(path) as store:
        bucket = store.open("default")
        for number in range(50):
            bucket.set(f"k{number}", bytes(3000))
    return path


def contents(path: str) -> dict[str, bytes]:
    """Read all that stands in a folder, links as what they point to by name."""
    found = {}
    for name in sorted(os.listdir(path)):
        file = os.path.join(path, name)
        if os.path.islink(file):
            found[name] = os.readlink(file).encode()
        elif os.path.isfile(file) and name != "lock.mdb":
            with open(file, "rb") as opened:
                found[name] = opened.read()
    return found


def make_foreign(path: str, *, lib_version: int = 0, subdir: bool = True, **databases: dict[bytes, bytes]) -> None:
    """Make an environment as another program would; `default` is there unless other databases are named."""
    if subdir:
        os.makedirs(path, mode=0o700, exist_ok=True)
    env = lmdb.open(path, subdir=subdir, map_size=1 << 24, max_dbs=64, lib_version=lib_version, mode=0o700)
    with env, env.begin(write=True) as txn:
        for name, pairs in (databases or {"default": {}}).items():
            database = env.open_db(None if name == "main" else name.encode(), txn=txn)
            for key, value in pairs.items():
                txn.put(key, value, db=database)


def walk(bucket: Bucket) -> list[str]:
    """List all keys, page by page; in order, also where the engine has none."""
    page = bucket.list_keys()
    keys = page.keys
    while page.cursor is not None:
        page = bucket.list_keys(page.cursor)
        keys = keys + page.keys
    return keys if bucket.store.engine.ordered else sorted(keys)
