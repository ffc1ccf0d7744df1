"""kvcli.wit: code written against Spin's bindings runs unchanged, and every name of the seeds is there."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from kvcli import wit
from kvcli.store import Store
from kvcli.wit import atomics, batch, wasi_keyvalue_store
from kvcli.wit.types import Err
from tests.conftest import make_foreign
from tests.processes import ROOT

ALIASES = {
    "alias": 'import kvcli.wit; kvcli.wit.alias("spin_sdk.wit")',
    # What somebody would do who has never heard of alias().
    "by hand": """
import sys, types, kvcli.wit
top, wit = types.ModuleType("spin_sdk"), types.ModuleType("spin_sdk.wit")
top.wit, wit.imports, wit.__path__ = wit, kvcli.wit, []
sys.modules |= {"spin_sdk": top, "spin_sdk.wit": wit, "spin_sdk.wit.imports": kvcli.wit, "spin_sdk.wit.types": kvcli.wit.types}
""",
}
PARTS = ["keyvalue_main", "store", "no_such_store", "counting", "swapping", "seam", "many"]


@pytest.mark.parametrize("alias", ALIASES)
def test_guest_runs_unchanged(path: str, alias: str) -> None:
    """A program that imports spin_sdk.wit finds kvcli in its place, and all that it asserts holds."""
    with Store(path) as store:
        store.open("default").set("atomics_key", b"5")
    with open(os.path.join(ROOT, "tests", "guest.py"), encoding="utf-8") as file:
        program = ALIASES[alias] + "\n" + file.read()
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "KVCLI_STORE": path},
        capture_output=True,
        text=True,
    )
    assert (ran.stdout.split(), ran.stderr) == (PARTS, "")


@pytest.fixture
def bucket(path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[wasi_keyvalue_store.Bucket]:
    """The bucket `default` of the store that KVCLI_STORE names."""
    monkeypatch.setenv("KVCLI_STORE", path)
    with wasi_keyvalue_store.open("default") as opened:
        yield opened


def error_of(operation: Callable[[], object]) -> object:
    """Give the case that an operation raises."""
    with pytest.raises(Err) as caught:
        operation()
    case: object = caught.value.value
    return case


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (wasi_keyvalue_store, "open Bucket KeyResponse Error Error_NoSuchStore Error_AccessDenied Error_Other"),
        (atomics, "Cas CasError CasError_CasFailed CasError_StoreError increment swap"),
        (batch, "get_many set_many delete_many"),
        (wit, "atomics batch wasi_keyvalue_store types"),
    ],
    ids=["store", "atomics", "batch", "wit"],
)
def test_names_of_the_seeds_are_there(module: object, names: str) -> None:
    """Every name of the seeds' bindings exists."""
    assert not [name for name in names.split() if not hasattr(module, name)]


def test_new_with_read(bucket: wasi_keyvalue_store.Bucket) -> None:
    """The newer text of atomics has new-with-read."""
    bucket.set("k", b"1")
    cas, value = atomics.Cas.new_with_read(bucket, "k")
    assert value == cas.current() == b"1"


def test_access_denied_is_the_case(path: str, bucket: wasi_keyvalue_store.Bucket) -> None:
    """A refusal is access-denied; in a swap it is wrapped as store-error."""
    cas = atomics.Cas.new(bucket, "k")
    os.rename(os.path.join(path, "data.mdb"), os.path.join(path, "gone"))
    with pytest.raises(Err) as caught:
        atomics.swap(cas, b"1")
    assert isinstance(caught.value.value, atomics.CasError_StoreError)
    assert isinstance(caught.value.value.value, wasi_keyvalue_store.Error_Other)
    os.symlink("gone", os.path.join(path, "data.mdb"))
    with pytest.raises(Err) as caught:
        wasi_keyvalue_store.open("default")
    assert caught.value.value == wasi_keyvalue_store.Error_AccessDenied()


def test_write_to_a_foreign_store_is_access_denied(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may only be read is access-denied to every write, and in a swap that is wrapped as store-error."""
    make_foreign(path, default={b"k": b"1"})
    monkeypatch.setenv("KVCLI_STORE", path)
    denied = wasi_keyvalue_store.Error_AccessDenied()
    with wasi_keyvalue_store.open("default") as opened:
        assert opened.get("k") == b"1"
        cas = atomics.Cas.new(opened, "k")
        assert error_of(lambda: opened.set("k", b"2")) == denied
        assert error_of(lambda: opened.delete("k")) == denied
        assert error_of(lambda: atomics.increment(opened, "k", 1)) == denied
        assert error_of(lambda: batch.set_many(opened, [("k", b"2")])) == denied
        assert error_of(lambda: batch.delete_many(opened, ["k"])) == denied
        assert error_of(lambda: atomics.swap(cas, b"2")) == atomics.CasError_StoreError(denied)


def test_dropped_bucket_is_no_such_store(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that went away while it was open is no-such-store, in every interface."""
    monkeypatch.setenv("KVCLI_STORE", path)
    gone = wasi_keyvalue_store.Error_NoSuchStore()
    with Store(path) as store:
        store.create("b")
        with wasi_keyvalue_store.open("b") as opened:
            cas = atomics.Cas.new(opened, "k")
            store.drop("b")
            assert error_of(lambda: opened.get("k")) == gone
            assert error_of(lambda: opened.list_keys(None)) == gone
            assert error_of(lambda: atomics.Cas.new(opened, "k")) == gone
            assert error_of(lambda: batch.get_many(opened, ["k"])) == gone
            assert error_of(lambda: atomics.swap(cas, b"1")) == atomics.CasError_StoreError(gone)


def test_lost_swap_is_cas_failed_with_a_handle(bucket: wasi_keyvalue_store.Bucket) -> None:
    """cas-failed carries a handle of the latest state, and that handle wins."""
    cas = atomics.Cas.new(bucket, "k")
    bucket.set("k", b"1")
    lost = error_of(lambda: atomics.swap(cas, b"2"))
    assert isinstance(lost, atomics.CasError_CasFailed)
    assert lost.value.current() == b"1"
    atomics.swap(lost.value, b"2")
    assert bucket.get("k") == b"2"


def test_bucket_after_its_context_is_other(bucket: wasi_keyvalue_store.Bucket) -> None:
    """A resource that was released is refused by an error of the interface."""
    with bucket:
        pass
    assert isinstance(error_of(lambda: bucket.get("k")), wasi_keyvalue_store.Error_Other)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (wasi_keyvalue_store.open, "identifier"),
        (wasi_keyvalue_store.Bucket.get, "self key"),
        (wasi_keyvalue_store.Bucket.set, "self key value"),
        (wasi_keyvalue_store.Bucket.delete, "self key"),
        (wasi_keyvalue_store.Bucket.exists, "self key"),
        (wasi_keyvalue_store.Bucket.list_keys, "self cursor"),
        (wasi_keyvalue_store.KeyResponse, "keys cursor"),
        (wasi_keyvalue_store.Error_NoSuchStore, ""),
        (wasi_keyvalue_store.Error_AccessDenied, ""),
        (wasi_keyvalue_store.Error_Other, "value"),
        (atomics.increment, "bucket key delta"),
        (atomics.swap, "cas value"),
        (atomics.Cas.new, "bucket key"),
        (atomics.Cas.new_with_read, "bucket key"),
        (atomics.Cas.current, "self"),
        (atomics.CasError_StoreError, "value"),
        (atomics.CasError_CasFailed, "value"),
        (batch.get_many, "bucket keys"),
        (batch.set_many, "bucket key_values"),
        (batch.delete_many, "bucket keys"),
        (Err, "value"),
    ],
    ids=lambda word: getattr(word, "__qualname__", None),
)
def test_parameters_are_the_seeds_own(function: Callable[..., object], parameters: str) -> None:
    """Arguments can be given by the names that the seeds print."""
    assert list(inspect.signature(function).parameters) == parameters.split()


def test_errors_are_compared_by_content() -> None:
    """The cases are dataclasses, as in the seeds."""
    assert wasi_keyvalue_store.Error_Other("x") == wasi_keyvalue_store.Error_Other("x")
    assert wasi_keyvalue_store.Error_Other("x") != wasi_keyvalue_store.Error_Other("y")
    assert wasi_keyvalue_store.KeyResponse(["k"], None) == wasi_keyvalue_store.KeyResponse(["k"], None)
    cases: list[object] = [wasi_keyvalue_store.Error_AccessDenied(), wasi_keyvalue_store.Error_NoSuchStore()]
    assert cases[0] != cases[1]


def test_invalid_key_is_other_with_a_text(bucket: wasi_keyvalue_store.Bucket) -> None:
    """What the WIT has no case for is other(text)."""
    with pytest.raises(Err) as caught:
        bucket.get("")
    assert "empty" in caught.value.value.value
