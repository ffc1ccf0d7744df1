"""What stands on a server: names and values as other programs write and read them."""

from __future__ import annotations

import json

import pytest

from kvcli.atomics import increment
from kvcli.engine.redis.names import slot_of
from kvcli.errors import InvalidArgument, InvalidBucketName, NoSuchBucket, NotAnInteger
from kvcli.remote_errors import WrongKind
from kvcli.store import Bucket, Store
from tests.conftest import Run
from tests.redis.cluster import Cluster
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def clean(server: Server) -> Server:
    """A server with nothing in it."""
    server.flush()
    return server


def open_bucket(server: Server, name: str = "default", query: str = "") -> Bucket:
    """Open a bucket of a server."""
    return Store(server.url + query).open(name)


def test_name_is_bucket_colon_key(clean: Server) -> None:
    """A key of a bucket is `bucket:key` on the server, as wash writes it, and its value is raw."""
    open_bucket(clean).set("a:b", b"1")
    assert (clean.cli("KEYS", "*"), clean.cli("GET", "default:a:b")) == ("default:a:b", "1")


def test_flat_name_is_the_key(clean: Server) -> None:
    """With layout=flat it is the key alone, as Spin and wasmCloud write it, and every bucket is the same one."""
    clean.cli("SET", "theirs", "1")
    assert open_bucket(clean, query="?layout=flat").get("theirs") == b"1"
    open_bucket(clean, "any", "?layout=flat").set("ours", b"2")
    assert (clean.cli("GET", "ours"), Store(clean.url + "?layout=flat").buckets()) == ("2", ["default"])


def test_flat_keys_of_kvcli_s_own_are_refused(clean: Server, kvcli: Run) -> None:
    """What kvcli keeps on the server is no data, and cannot be overwritten as such by any way in."""
    Store(clean.url).create("declared")
    store, key = ("--store", clean.url + "?layout=flat"), "__kvcli__:buckets"
    for words in (
        ("set", key, "x"),
        ("get", key),
        ("incr", key),
        ("delete", key),
        ("cas", key, "x", "--expect-absent"),
    ):
        assert kvcli(*words, *store).returncode == 2, words
    line = f'{{"op":"set","key":"a","value":"1"}}\n{{"op":"set","key":"{key}","value":"x"}}\n'
    assert kvcli("batch", "--atomic", *store, input=line.encode()).returncode == 65
    assert Store(clean.url).buckets() == ["declared", "default"]


OWN = "__kvcli__:k"
REFUSED = [
    {"op": "set", "key": OWN, "value": "x"},
    {"op": "set", "key": OWN, "value": "x", "id": 1},
    {"op": "get", "key": OWN},
    {"op": "delete", "key": OWN},
    {"op": "exists", "key": OWN},
    {"op": "incr", "key": OWN},
    {"op": "set_many", "items": [{"key": "c", "value": "x"}, {"key": OWN, "value": "x"}]},
    {"op": "get_many", "keys": ["a", OWN]},
    {"op": "delete_many", "keys": [OWN]},
]


@pytest.mark.parametrize("refused", REFUSED)
def test_batch_answers_the_operation_on_a_key_of_kvcli_s_own(
    clean: Server, kvcli: Run, refused: dict[str, object]
) -> None:
    """It is refused as any other key that cannot be one: what stands before it is told, and what follows goes on, or does not."""
    asked = [{"op": "set", "key": "a", "value": "1"}, refused, {"op": "set", "key": "b", "value": "1"}]
    lines = "".join(json.dumps(each) + "\n" for each in asked).encode()
    for option, code, oks in ((), 65, [True, False]), (("--keep-going",), 4, [True, False, True]):
        done = kvcli("batch", *option, "-s", clean.url + "?layout=flat", input=lines)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert (done.returncode, [each["ok"] for each in answers]) == (code, oks), done.stderr
        assert answers[1]["error"]["code"] == "invalid-key"
    assert clean.cli("EXISTS", OWN, "c") == "0"


def test_import_stops_at_a_key_of_kvcli_s_own(clean: Server, kvcli: Run) -> None:
    """It is malformed data, as any key that cannot be one: what stands before it is imported, and nothing is passed over."""
    records = "".join(f'{{"op":"set","key":"{key}","value":"1"}}\n' for key in ("a", OWN, "b"))
    done = kvcli("import", "-", "-s", clean.url + "?layout=flat", "--format", "ndjson", input=records.encode())
    assert (done.returncode, b"record 2" in done.stderr) == (65, True), done.stderr
    assert (clean.cli("EXISTS", "a"), clean.cli("EXISTS", OWN, "b")) == ("1", "0")


def test_copy_leaves_out_a_key_of_kvcli_s_own(clean: Server, kvcli: Run, path: str) -> None:
    """It is what DST cannot take; everything else is copied."""
    with Store(path) as store:
        for key in ("a", OWN, "b"):
            store.open("default").set(key, b"1")
    done = kvcli("copy", path, clean.url + "?layout=flat", "--json")
    assert (done.returncode, json.loads(done.stdout)["refused"]) == (65, 1), done.stderr
    assert clean.cli("EXISTS", "a", "b", OWN) == "2"


def test_slot_is_the_clusters(cluster: Cluster) -> None:
    """Which master has a key is known before it is asked, by the same rule."""
    for name in ("k", "default:{t}k", "{}k", "a{b", "a}b{c}d", "{{t}}", "{t}{u}", "\u00e9"):
        assert slot_of(name.encode()) == int(cluster.masters()[0].cli("CLUSTER", "KEYSLOT", name))


def test_counter_of_another_program_goes_on(clean: Server) -> None:
    """A counter is decimal text on both sides."""
    clean.cli("INCRBY", "n", "5")
    assert increment(open_bucket(clean, query="?layout=flat"), "n", 2) == 7
    assert clean.cli("INCR", "n") == "8"


def test_bucket_with_keys_of_another_program_is_there(clean: Server) -> None:
    """A bucket that nobody declared exists while it has keys, and is found by bucket list."""
    clean.cli("SET", "theirs:k", "1")
    assert open_bucket(clean, "theirs").get("k") == b"1"
    assert Store(clean.url).buckets() == ["default", "theirs"]
    with pytest.raises(NoSuchBucket, match="did you mean 'theirs'"):
        open_bucket(clean, "their")


def test_pattern_is_escaped(clean: Server) -> None:
    """What means something in a pattern is a character like others in names of buckets and keys."""
    for name in ("a*", "a?", "ab", "a[b]", "a\\"):
        Store(clean.url).create(name)
        for key in ("*", "k", "[k]"):
            open_bucket(clean, name).set(key, b"")
    for name in ("a*", "a?", "ab", "a[b]", "a\\"):
        assert sorted(open_bucket(clean, name).list_keys().keys) == ["*", "[k]", "k"]


def test_declarations_are_no_data(clean: Server) -> None:
    """What kvcli keeps for itself is neither listed nor counted, in either layout."""
    Store(clean.url).create("b")
    assert open_bucket(clean, query="?layout=flat").list_keys().keys == []
    assert Store(clean.url).read(lambda snapshot: snapshot.total()) == 0


def test_colon_in_the_name_of_a_bucket_is_refused(clean: Server) -> None:
    """Where the bucket ends and the key begins could not be told."""
    with pytest.raises(InvalidBucketName):
        Store(clean.url).create("a:b")


def test_value_of_another_kind_is_an_error_of_ours(clean: Server) -> None:
    """A hash under a key of ours can be listed, not read; nothing changes it but set and delete."""
    clean.cli("HSET", "default:h", "f", "v")
    bucket = open_bucket(clean)
    assert bucket.list_keys().keys == ["h"]
    with pytest.raises(WrongKind):
        bucket.get("h")
    with pytest.raises(WrongKind):
        bucket.store.read(lambda snapshot: snapshot.get_many(bucket.name, [b"a", b"h"]))
    with pytest.raises(NotAnInteger):
        increment(bucket, "h", 1)
    assert clean.cli("HGET", "default:h", "f") == "v"


def test_flat_has_no_bucket_to_drop(clean: Server) -> None:
    """To drop the one that all are would delete everything."""
    clean.cli("SET", "k", "1")
    with pytest.raises(InvalidArgument):
        Store(clean.url + "?layout=flat").drop("b")
    assert clean.cli("GET", "k") == "1"


def test_databases_are_separate(clean: Server) -> None:
    """The number at the end of the URL is another store."""
    open_bucket(clean).set("k", b"1")
    with Store(clean.url[:-1] + "5") as other:
        assert other.open("default").get("k") is None


def test_import_of_a_key_of_ours(kvcli: Run, clean: Server) -> None:
    """A record that flat names cannot take is told by its number, and what stands before it is there.

    The whole chunk was left out, and told as imported.
    """
    keys = ("a", "__kvcli__:x", "b")
    lines = "".join(f'{{"op":"set","key":"{key}","value":"1"}}\n' for key in keys)
    done = kvcli("import", "-s", clean.url + "?layout=flat", input=lines.encode())
    assert (done.returncode, b"record 2" in done.stderr) == (65, True), done.stderr
    assert (clean.cli("GET", "a"), clean.cli("EXISTS", "b", "__kvcli__:x")) == ("1", "0")


def test_copy_of_a_key_of_ours(kvcli: Run, clean: Server, tmp_path: object) -> None:
    """A key that flat names cannot take is told, and all others are copied."""
    with Store(f"{tmp_path}/source") as store:
        for key in ("a", "__kvcli__:x", "b"):
            store.open("default").set(key, b"1")
    done = kvcli("copy", f"{tmp_path}/source", clean.url + "?layout=flat")
    assert (done.returncode, b"__kvcli__:x" in done.stderr, done.stdout) == (65, True, b"default\t2\t0\t0\t1\n")
    assert sorted(clean.cli("KEYS", "*").splitlines()) == ["a", "b"]
