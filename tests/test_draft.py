"""Drafts: what is planned on a store, and becomes one transaction or nothing. The contract tests run over drafts as well."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvcli.atomics import Cas, increment, set_if, swap
from kvcli.batch import delete_many, set_many
from kvcli.engine import KEY_BYTES_MAX, Engine
from kvcli.engine.draft import Draft
from kvcli.engine.transaction import MAIN, Span
from kvcli.engine.update import Update
from kvcli.errors import CasFailed, Conflict, InvalidArgument, MalformedData, NotAnInteger
from kvcli.store import Bucket, Store
from tests.conftest import make_foreign

BUSY_SECONDS = 10.0


class Plan:
    """A draft of a store, and the bucket `default` as it will be."""

    def __init__(self, store: Store) -> None:
        """Begin."""
        self.draft = Draft(store.engine)
        self.store = Store.over(self.draft, store.path)
        self.bucket = self.store.open("default")

    def commit(self) -> int:
        """Commit."""
        return self.draft.commit(BUSY_SECONDS)


@pytest.fixture
def real(path: str) -> Bucket:
    """The bucket of a real store, with three keys."""
    bucket = Store(path).open("default")
    set_many(bucket, [("a", b"1"), ("b", b"2"), ("c", b"3")])
    return bucket


def test_plan_is_seen_by_itself_alone(real: Bucket) -> None:
    """Reads of the draft see what it wrote; nobody else does before the commit, and then everybody does."""
    plan = Plan(real.store)
    plan.bucket.set("new", b"x")
    plan.bucket.delete("a")
    assert increment(plan.bucket, "b", 40) == 42
    assert plan.bucket.list_keys().keys == ["b", "c", "new"]
    assert real.list_keys().keys == ["a", "b", "c"]
    assert plan.commit() == 3
    assert [real.get(key) for key in ("a", "b", "c", "new")] == [None, b"42", b"3", b"x"]


def test_plan_takes_the_keys_that_its_store_takes(path: str) -> None:
    """A store in a format with longer keys takes them in a plan, too."""
    make_foreign(path, lib_version=1)
    with Store(path, adopt=True) as store:
        plan = Plan(store)
        assert plan.store.key_bytes_max == store.key_bytes_max > KEY_BYTES_MAX
        plan.bucket.set("k" * store.key_bytes_max, b"1")
        assert plan.commit() == 1


def test_commit_is_one_transaction(real: Bucket) -> None:
    """However much was planned, the revision rises by one."""
    plan = Plan(real.store)
    for number in range(100):
        plan.bucket.set(f"k{number}", b"v")
    before = int(real.store.stat()["revision"])
    plan.commit()
    assert real.store.stat()["revision"] == before + 1


def test_nothing_is_locked_meanwhile(real: Bucket) -> None:
    """Others write while a draft is open, and what it depends on is all that counts."""
    plan = Plan(real.store)
    plan.bucket.set("a", b"planned")
    real.set("b", b"meanwhile")
    plan.commit()
    assert (real.get("a"), real.get("b")) == (b"planned", b"meanwhile")


@pytest.mark.parametrize("touch", ["get", "set", "incr", "delete", "exists", "set_if", "cas"])
def test_change_of_what_was_touched_is_a_conflict(real: Bucket, touch: str) -> None:
    """A key that the draft read or wrote, and others wrote since, even the same value: nothing is written."""
    plan = Plan(real.store)
    work: dict[str, Callable[[], object]] = {
        "get": lambda: plan.bucket.get("a"),
        "set": lambda: plan.bucket.set("a", b"7"),
        "incr": lambda: increment(plan.bucket, "a", 1),
        "delete": lambda: plan.bucket.delete("a"),
        "exists": lambda: plan.bucket.exists("a"),
        "set_if": lambda: set_if(plan.bucket, "a", b"7", present=False),
        "cas": lambda: swap(Cas.new(plan.bucket, "a"), b"7"),
    }
    work[touch]()
    plan.bucket.set("other", b"x")
    real.set("a", b"1")
    with pytest.raises(Conflict, match="others wrote 'a' meanwhile"):
        plan.commit()
    assert (real.get("a"), real.get("other")) == (b"1", None)


def test_interrupted_commit_knows_what_it_did(real: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C that came too late to stop the commit: the draft knows that it is written, and else that it is not."""
    write = type(real.store.engine).write

    def interrupted(self: Engine, work: Callable[[Update], object], *rest: Any) -> object:
        answer = write(self, work, *rest)
        monkeypatch.undo()
        raise KeyboardInterrupt(answer)

    plan = Plan(real.store)
    increment(plan.bucket, "a", 1)
    monkeypatch.setattr(type(real.store.engine), "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plan.commit()
    assert plan.draft.is_committed
    assert real.get("a") == b"2"
    late = Plan(real.store)
    late.bucket.set("b", b"never")
    monkeypatch.setattr(type(real.store.engine), "write", stopped)
    with pytest.raises(KeyboardInterrupt):
        late.commit()
    assert not late.draft.is_committed


def stopped(_engine: Engine, _work: object, _lock_timeout: float) -> None:
    """Be stopped before anything was done."""
    raise KeyboardInterrupt


def test_creation_of_what_was_absent_is_a_conflict(real: Bucket) -> None:
    """Absence is something to depend on, also where the key has gone again."""
    plan = Plan(real.store)
    assert plan.bucket.get("later") is None
    plan.bucket.set("other", b"x")
    real.set("later", b"1")
    real.delete("later")
    with pytest.raises(Conflict):
        plan.commit()


def test_listing_is_a_look_around(real: Bucket) -> None:
    """Keys that were only listed may change."""
    plan = Plan(real.store)
    assert plan.bucket.list_keys().keys == ["a", "b", "c"]
    assert plan.store.read(lambda snapshot: snapshot.items(b"default", Span(), 9))[0] == (b"a", b"1")
    plan.bucket.set("other", b"x")
    real.set("a", b"changed")
    assert plan.commit() == 1


def test_token_from_before_is_judged_at_the_commit(real: Bucket) -> None:
    """A handle of the store swaps in a draft, and loses at its commit if the key was written after the handle was made."""
    early = Cas.new(real, "a").token()
    real.set("a", b"2")
    real.set("a", b"1")
    plan = Plan(real.store)
    swap(Cas.from_token(plan.bucket, "a", early), b"mine")
    with pytest.raises(Conflict):
        plan.commit()


def test_swap_that_was_refused_is_nothing_to_depend_on(real: Bucket) -> None:
    """A handle of another store is refused at once, and the commit does not mind."""
    plan = Plan(real.store)
    foreign = Cas.from_token(plan.bucket, "a", Cas.new(real, "a").token())
    foreign.identity = bytes(reversed(foreign.identity))
    with pytest.raises(CasFailed):
        swap(foreign, b"mine")
    plan.bucket.set("b", b"9")
    plan.commit()
    assert (real.get("a"), real.get("b")) == (b"1", b"9")


def test_what_failed_left_nothing(real: Bucket) -> None:
    """Work that raises in the middle plans nothing of what it did before."""
    plan = Plan(real.store)

    def work(update: object) -> None:
        update.put(b"default", b"half", b"x")  # type: ignore[attr-defined]
        raise NotAnInteger("no")

    with pytest.raises(NotAnInteger):
        plan.store.write(work)
    assert plan.bucket.get("half") is None
    assert plan.draft.size == 0


def test_buckets_are_not_planned(real: Bucket) -> None:
    """A draft holds keys and values; to make and to drop a bucket is refused, and one that is there is fine."""
    plan = Plan(real.store)
    assert plan.store.create("default") is False
    real.store.create("there")
    with pytest.raises(InvalidArgument, match="before begin"):
        plan.store.create("new")
    with pytest.raises(InvalidArgument, match="before begin"):
        plan.store.drop("there")


def test_notes_are_planned(real: Bucket) -> None:
    """What import notes about how far it came is part of the draft."""
    plan = Plan(real.store)
    plan.store.write(lambda update: update.note(b"import", b"7"))
    assert plan.store.read(lambda snapshot: snapshot.noted(b"import")) == b"7"
    assert real.store.read(lambda snapshot: snapshot.noted(b"import")) is None
    plan.commit()
    assert real.store.read(lambda snapshot: snapshot.noted(b"import")) == b"7"


def test_plan_has_the_figures_of_its_store(real: Bucket) -> None:
    """A draft takes no place, and its revision is that of the store that it is planned on."""
    plan = Plan(real.store)
    plan.bucket.set("new", b"x")
    assert plan.store.stat() == real.store.stat()
    assert plan.store.read(lambda snapshot: snapshot.revision) == real.store.stat()["revision"]


def test_bucket_has_the_keys_that_are_planned(real: Bucket) -> None:
    """Figures of a bucket count what was planned for it; its pages are those on disk."""
    plan = Plan(real.store)
    plan.bucket.set("new", b"x")
    plan.bucket.delete("a")
    plan.bucket.set("newer", b"x")
    before = real.store.read(lambda snapshot: snapshot.bucket_stat(b"default"))
    assert before["keys"] == 3
    assert plan.store.read(lambda snapshot: snapshot.bucket_stat(b"default")) == {**before, "keys": 4}


def test_mark_of_a_plan_tells_of_the_writes_of_others(real: Bucket) -> None:
    """Who looks whether a bucket has changed meanwhile sees by its mark that somebody wrote to the store below."""
    plan = Plan(real.store)
    plan.bucket.set("a", b"planned")

    def mark() -> bytes | None:
        return plan.store.read(lambda snapshot: snapshot.mark(b"default"))

    before = mark()
    assert mark() == before
    real.set("b", b"others")
    assert mark() != before


def test_handle_of_a_key_that_was_planned_just_now_is_good(real: Bucket) -> None:
    """One's own writes do not make it lose, so there is no other transaction to wait for: only others' writes count."""
    plan = Plan(real.store)

    def work(update: Update) -> bool:
        update.put(b"default", b"a", b"planned")
        return update.wrote(b"default", b"a")

    assert not plan.store.write(work)
    swap(Cas.new(plan.bucket, "a"), b"swapped")
    plan.commit()
    assert real.get("a") == b"swapped"


keys = st.text("ab/", min_size=1, max_size=3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), keys, st.binary(max_size=3)),
        st.tuples(st.just("delete"), keys, st.none()),
        st.tuples(st.just("delete_many"), st.lists(keys, max_size=4), st.none()),
        st.tuples(st.just("set_many"), st.lists(keys, max_size=4), st.binary(max_size=3)),
    ),
    max_size=20,
)


@settings(max_examples=60)
@given(before=st.dictionaries(keys, st.binary(max_size=3)), steps=steps, low=keys, high=keys, count=st.integers(1, 5))
def test_draft_is_the_store_as_it_will_be(
    before: dict[str, bytes], steps: list[tuple[str, object, bytes | None]], low: str, high: str, count: int
) -> None:
    """Whatever is planned, every page of every span, forwards and backwards, is what it will be after the commit."""
    with tempfile.TemporaryDirectory() as folder, Store(folder + "/s") as store:
        set_many(store.open("default"), list(before.items()))
        plan = Plan(store)
        for step, key, value in steps:
            apply(plan.bucket, step, key, value)
        span = Span(low.encode(), high.encode())
        planned = [pages(plan.store, each, count) for each in (span, Span(span.low, span.high, True), Span())]
        plan.commit()
        assert planned == [pages(store, each, count) for each in (span, Span(span.low, span.high, True), Span())]


def apply(bucket: Bucket, step: str, key: object, value: bytes | None) -> None:
    """Do one step of a random program."""
    if step == "set":
        bucket.set(str(key), value or b"")
    elif step == "delete":
        bucket.delete(str(key))
    elif step == "delete_many":
        delete_many(bucket, list(key))  # type: ignore[call-overload]
    else:
        set_many(bucket, [(each, value or b"") for each in key])  # type: ignore[attr-defined]


def pages(store: Store, span: Span, count: int) -> object:
    """Read a span page by page, keys and pairs, and how many there are."""
    bucket = store.open("default")
    total = store.read(lambda snapshot: snapshot.count(b"default"))
    return list(bucket.pages(span, count)), [pair for page in bucket.item_pages(span, count) for pair in page], total


def test_value_that_would_be_a_bucket_is_refused_when_it_is_planned(path: str) -> None:
    """In the main database, and not only by the transaction that the plan becomes."""
    make_foreign(path, main={b"k": b"1"})
    plan = Draft(Store(path, adopt=True).engine)
    record = struct.pack("=IHH5Q", 0, 0, 1, 0, 1, 0, 1, 5)
    with pytest.raises(MalformedData):
        plan.write(lambda update: update.put(MAIN, b"new", record), 1)
