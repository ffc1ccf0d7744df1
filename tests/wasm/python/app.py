"""A guest in Python, made by componentize-py of the upstream interfaces. Its first word says which part to play."""

import sys

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import atomics, batch, store


def keyvalue() -> None:
    """Use every function, and every error."""
    bucket = store.open("")
    assert bucket.get("hello") is None
    bucket.set("hello", "wörld".encode())
    assert (bucket.get("hello"), bucket.exists("hello")) == ("wörld".encode(), True)
    page = bucket.list_keys(None)
    assert (page.keys, page.cursor) == (["hello"], None)
    bucket.delete("hello")
    assert not bucket.exists("hello")
    assert [atomics.increment(bucket, "n", delta) for delta in (5, -8)] == [5, -3]
    batch.set_many(bucket, [("a", b"1"), ("b", b"")])
    assert batch.get_many(bucket, ["b", "nope", "a"]) == [("b", b""), None, ("a", b"1")]
    batch.delete_many(bucket, ["a", "b", "nope"])
    large = bytes(range(256)) * 4096
    bucket.set("large", large)
    assert bucket.get("large") == large
    assert isinstance(error_of(lambda: store.open("nowhere")), store.Error_NoSuchStore)
    assert isinstance(error_of(lambda: store.open("denied")), store.Error_AccessDenied)
    assert "1 to 511 bytes" in error_of(lambda: bucket.get("")).value
    assert isinstance(error_of(lambda: store.open("reading").set("k", b"")), store.Error_AccessDenied)


def swaps() -> None:
    """Swap, lose, and swap with the fresh handle."""
    bucket = store.open("")
    cas = atomics.Cas.new(bucket, "k")
    bucket.set("k", b"other")
    lost = error_of(lambda: atomics.swap(cas, b"mine"))
    assert isinstance(lost, atomics.CasError_CasFailed)
    assert lost.value.current() == b"other"
    atomics.swap(lost.value, b"mine")
    assert bucket.get("k") == b"mine"


def error_of(work: object) -> object:
    """Give the error that some work raises."""
    try:
        work()
    except Err as error:
        return error.value
    raise AssertionError("no error")


def folder(path: str) -> None:
    """Read a file, and write one."""
    with open(f"{path}/input") as file:
        text = file.read()
    try:
        with open(f"{path}/output", "w") as file:
            file.write(text.upper())
    except OSError:
        print("read only")


def surroundings() -> None:
    """Print all that can be seen."""
    import os

    print(sys.argv[1:], dict(os.environ), sys.stdin.read(), os.listdir("/") if os.path.isdir("/") else [])


class Run(exports.Run):
    """What is run."""

    def run(self) -> None:
        """Play a part."""
        part, *words = sys.argv[1:]
        if part == "fail":
            raise Err(None)
        {"keyvalue": keyvalue, "swaps": swaps, "folder": folder, "surroundings": surroundings}[part](*words)
        print(part)


class Watcher(exports.Watcher):
    """What is told."""

    def on_set(self, bucket: store.Bucket, key: str, value: bytes) -> None:
        """Print it."""
        print("set", key, value[:9], bucket.exists(key))

    def on_delete(self, bucket: store.Bucket, key: str) -> None:
        """Print it."""
        print("delete", key, bucket.exists(key))
