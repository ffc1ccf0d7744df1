"""kvcli.wit: code written against Spin's bindings runs unchanged, and every name of the seeds is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kvcli import wit
from kvcli.store import Store
from kvcli.wit import atomics, batch, wasi_keyvalue_store
from kvcli.wit.types import Err
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
PARTS = ["store", "no_such_store", "counting", "swapping", "many"]


@pytest.mark.parametrize("alias", ALIASES)
def test_guest_runs_unchanged(path: str, alias: str) -> None:
    """A program that imports spin_sdk.wit finds kvcli in its place, and all that it asserts holds."""
    Store(path).close()
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


def test_invalid_key_is_other_with_a_text(bucket: wasi_keyvalue_store.Bucket) -> None:
    """What the WIT has no case for is other(text)."""
    with pytest.raises(Err) as caught:
        bucket.get("")
    assert "empty" in caught.value.value.value
