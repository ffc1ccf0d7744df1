"""Which store and which bucket a command uses, and what it makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from kvcli.batch import set_many
from kvcli.store import Store
from tests.conftest import Run


@pytest.fixture
def home(tmp_path: os.PathLike[str]) -> dict[str, str]:
    """Folders for configuration and data, and no KVCLI_STORE."""
    config, data = os.path.join(tmp_path, "config"), os.path.join(tmp_path, "data")
    return {"XDG_CONFIG_HOME": config, "XDG_DATA_HOME": data, "KVCLI_STORE": ""}


def configure(home: dict[str, str], text: str) -> None:
    """Write the config file."""
    folder = os.path.join(home["XDG_CONFIG_HOME"], "kvcli")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.toml"), "w", encoding="utf-8") as file:
        file.write(text)


def fill(path: str, value: bytes) -> str:
    """Make a store whose key k says which store it is."""
    with Store(path) as store:
        store.open("default").set("k", value)
    return path


def test_option_beats_variable(path: str, kvcli: Run) -> None:
    """--store wins over KVCLI_STORE."""
    fill(path, b"variable")
    other = fill(path + "2", b"option")
    assert kvcli("get", "k", "--store", other).stdout == b"option"
    assert kvcli("get", "k").stdout == b"variable"


def test_variable_beats_config_file(path: str, home: dict[str, str], kvcli: Run) -> None:
    """KVCLI_STORE wins over the config file, and over a profile of it."""
    fill(path, b"variable")
    configure(home, f'store = "{path}2"\n[profiles.p]\nstore = "{path}2"')
    fill(path + "2", b"config")
    assert kvcli("get", "k", env={**home, "KVCLI_STORE": path}).stdout == b"variable"
    assert kvcli("get", "k", "-p", "p", env={**home, "KVCLI_STORE": path}).stdout == b"variable"


def test_config_file_beats_default(path: str, home: dict[str, str], kvcli: Run) -> None:
    """The config file, or the profile that is asked for or set in it, names the store."""
    configure(home, f'store = "{path}1"\n[profiles.p]\nstore = "{path}2"')
    fill(path + "1", b"top")
    fill(path + "2", b"profile")
    assert kvcli("get", "k", env=home).stdout == b"top"
    assert kvcli("get", "k", "--profile", "p", env=home).stdout == b"profile"
    configure(home, f'profile = "p"\nstore = "{path}1"\n[profiles.p]\nstore = "{path}2"')
    assert kvcli("get", "k", env=home).stdout == b"profile"


def test_default_store_is_in_the_data_folder(home: dict[str, str], kvcli: Run) -> None:
    """Unnamed, the store is $XDG_DATA_HOME/kvcli/default."""
    assert kvcli("set", "k", "v", env=home).returncode == 0
    assert os.path.exists(os.path.join(home["XDG_DATA_HOME"], "kvcli", "default", "data.mdb"))


def test_folder_may_be_called_as_a_scheme(tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what has :// behind it is a server."""
    monkeypatch.chdir(tmp_path)
    fill("redis", b"1")
    assert os.path.exists("redis/data.mdb")


def test_relative_path_in_the_config_file(path: str, home: dict[str, str], kvcli: Run) -> None:
    """It means the same wherever the command runs: it starts at the config file."""
    configure(home, f'store = "{os.path.relpath(path, os.path.join(home["XDG_CONFIG_HOME"], "kvcli"))}"')
    fill(path, b"1")
    assert kvcli("get", "k", env=home).stdout == b"1"


@pytest.mark.parametrize("text", ["store = ", "store = 5", "\xff", "store = " + "[" * 5000])
def test_broken_config_file_is_malformed_data(home: dict[str, str], kvcli: Run, text: str) -> None:
    """A config file that cannot be read is exit 65, and its name is told."""
    configure(home, text)
    ran = kvcli("get", "k", env=home)
    assert (ran.returncode, b"config.toml" in ran.stderr) == (65, True)


def test_unknown_profile_is_no_such_store(home: dict[str, str], kvcli: Run) -> None:
    """A profile that is not there is exit 66, with or without a config file."""
    assert kvcli("get", "k", "-p", "nope", env=home).returncode == 66
    configure(home, '[profiles.work]\nstore = "x"')
    ran = kvcli("get", "k", "-p", "nope", env=home)
    assert (ran.returncode, b"work" in ran.stderr) == (66, True)


def test_bucket_option_beats_variable(path: str, kvcli: Run) -> None:
    """--bucket wins over KVCLI_BUCKET, which wins over default."""
    for name in ("one", "two"):
        kvcli("bucket", "create", name)
        kvcli("set", "k", name, "-b", name)
    kvcli("set", "k", "default")
    assert kvcli("get", "k").stdout == b"default"
    assert kvcli("get", "k", env={"KVCLI_BUCKET": "one"}).stdout == b"one"
    assert kvcli("get", "k", "-b", "two", env={"KVCLI_BUCKET": "one"}).stdout == b"two"
    assert os.path.isdir(path)


def test_shared_options_stand_before_and_after(path: str, kvcli: Run) -> None:
    """Before the command or after it, for plain and other forms; the last one counts."""
    fill(path, b"1")
    for words in (
        ("-s", path, "get", "k"),
        ("get", "k", "-s", path),
        ("-s", "/nowhere", "get", "-s", path, "k"),
        ("--store", path, "--lock-timeout", "1", "get", "k"),
        ("get", "--lock-timeout=1", f"--store={path}", "k"),
        ("--json", "get", "k", "--read-only"),
        ("--read-only", "get", "k", "--json"),
    ):
        assert kvcli(*words, env={"KVCLI_STORE": path if "--json" in words else "/nowhere"}).returncode == 0


READING = [("get", "k"), ("exists", "k"), ("list",), ("bucket", "list"), ("bucket", "stat"), ("stat",)]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_reading_a_named_store_that_is_not_there(path: str, kvcli: Run, words: tuple[str, ...]) -> None:
    """It is exit 66, and nothing is made."""
    assert kvcli(*words).returncode == 66
    assert not os.path.exists(path)


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_reading_the_default_store_that_is_not_there(home: dict[str, str], kvcli: Run, words: tuple[str, ...]) -> None:
    """It reads as empty, with its bucket default, and nothing is made."""
    ran = kvcli(*words, env=home)
    assert (ran.returncode, ran.stderr) == (1 if words[-1] == "k" else 0, b"")
    assert not os.path.exists(home["XDG_DATA_HOME"])


def test_deleting_makes_no_store(path: str, home: dict[str, str], kvcli: Run) -> None:
    """There is nothing to delete in a store that is not there, and that is fine."""
    for environment in (home, {}):
        assert kvcli("delete", "k", env=environment).returncode == 0
        assert kvcli("delete", "k", "--must-exist", env=environment).returncode == 1
    assert kvcli("bucket", "drop", "b", env=home).returncode == 66
    assert not os.path.exists(path)
    assert not os.path.exists(home["XDG_DATA_HOME"])


def test_condition_that_cannot_hold_makes_no_store(home: dict[str, str], path: str, kvcli: Run) -> None:
    """In a store that is not there no key exists: a write that needs one is lost there, and makes none."""
    for words in (
        ("set", "k", "v", "--if-present"),
        ("cas", "k", "v", "--expect", "x"),
        ("cas", "k", "v", "--expect", "x", "--json"),
    ):
        assert kvcli(*words, env=home).returncode == 3
        assert kvcli(*words).returncode == 3
    assert not os.path.exists(home["XDG_DATA_HOME"])
    assert not os.path.exists(path)


def test_nothing_to_change_makes_no_bucket(kvcli: Run, path: str) -> None:
    """--create beside a command that finds nothing to change does not make a store."""
    assert kvcli("delete", "k", "-b", "users", "--create").returncode == 66
    assert kvcli("delete", "k", "--create").returncode == 0
    assert not os.path.exists(path)


def test_token_of_a_store_that_is_not_there(home: dict[str, str], kvcli: Run) -> None:
    """Absence in an absent store has a token too, and the swap with it makes the store; a second one loses."""
    token = kvcli("get", "k", "--token", env=home).stderr.decode().strip()
    assert kvcli("cas", "k", "v", "--token", token, env=home).returncode == 0
    assert kvcli("cas", "k", "w", "--token", token, env=home).returncode == 3
    kvcli("delete", "k", env=home)
    assert kvcli("cas", "k", "w", "--token", token, env=home).returncode == 3


@pytest.mark.parametrize("seconds", ["0", "0.001", "inf", "nan", "1e300"])
def test_any_lock_time_out_writes_where_the_lock_is_free(kvcli: Run, seconds: str) -> None:
    """However short or long the wait may be, none is needed for a lock that nobody holds."""
    assert kvcli("set", "k", "v", "--lock-timeout", seconds).returncode == 0


@pytest.mark.parametrize(
    "words", [("set", "k", "v"), ("incr", "k"), ("cas", "k", "v", "--expect-absent")], ids=" ".join
)
def test_undeclared_bucket_makes_nothing(path: str, kvcli: Run, words: tuple[str, ...]) -> None:
    """A write to a bucket nobody made is exit 66, and makes neither bucket nor store."""
    assert kvcli(*words, "-b", "users").returncode == 66
    assert not os.path.exists(path)
    assert kvcli(*words, "-b", "users", "--create").returncode == 0
    assert kvcli("bucket", "list").stdout == b"default\nusers\n"


def test_unknown_bucket_suggests_the_nearest(kvcli: Run) -> None:
    """The nearest name is suggested."""
    kvcli("bucket", "create", "users")
    assert b"did you mean 'users'?" in kvcli("get", "k", "-b", "user").stderr


@pytest.mark.parametrize(
    "words", [("set", "k", "v"), ("incr", "n"), ("delete", "k"), ("bucket", "create", "b")], ids=" ".join
)
def test_read_only_refuses_writes(path: str, kvcli: Run, words: tuple[str, ...]) -> None:
    """--read-only is exit 77 for every writing command, wherever it stands."""
    fill(path, b"1")
    assert kvcli(*words, "--read-only").returncode == 77
    assert kvcli("--read-only", *words).returncode == 77
    assert kvcli("list", "--values").stdout == b"k\t1\n"


def test_durability_is_a_choice_of_two(kvcli: Run) -> None:
    """full and fast are known; anything else is a usage error, and sync is never left out."""
    assert kvcli("set", "k", "v", "--durability", "fast").returncode == 0
    assert kvcli("set", "k", "v", "--durability", "full").returncode == 0
    assert kvcli("set", "k", "w", "--durability", "none").returncode == 2
    assert kvcli("get", "k").stdout == b"v"


def test_second_name_and_module(kvcli: Run, path: str) -> None:
    """kvcli, kv and python -m kvcli are the same script."""
    fill(path, b"1")
    scripts = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "kvcli", "cli", "bin")
    texts = []
    for name in ("kvcli", "kv"):
        with open(os.path.join(scripts, name), encoding="utf-8") as file:
            texts.append(file.read())
        assert os.access(os.path.join(scripts, name), os.X_OK)
    assert texts[0] == texts[1]
    assert kvcli("get", "k").stdout == b"1"


@pytest.mark.parametrize("name", ["kvcli", "kv"])
def test_installed_script(path: str, name: str) -> None:
    """What pip installs is the script as it stands here, and runs."""
    script = os.path.join(os.path.dirname(sys.executable), name)
    if not os.path.exists(script):
        pytest.skip("kvcli is not installed beside this Python")
    ran = subprocess.run([script, "incr", "n", "-s", path], capture_output=True)
    assert (ran.returncode, ran.stdout) == (0, b"1\n")
    with open(script, encoding="utf-8") as file:
        assert "import re" not in file.read()


BOMBS = {
    "deep": "a = " + "[" * 10_000,
    "deep table": "a = " + "{a=" * 5000,
    "long name": "a." * 8_000 + "a = 1",
    "huge": f'store = "{"a" * 1_000_000}"',
    "long number": "a = " + "9" * 5000,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_config_file_that_is_a_bomb_is_malformed(home: dict[str, str], kvcli: Run, kind: str) -> None:
    """Exit 65 or, where it is only odd, an answer; at once, and never a bug."""
    configure(home, BOMBS[kind])
    ran = kvcli("get", "k", env=home, timeout=30)
    assert (ran.returncode, ran.stderr.count(b"\n")) == ((1, 0) if kind == "long name" else (65, 1)), ran.stderr


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_config_file_that_is_no_file_is_malformed(home: dict[str, str], kvcli: Run, kind: str) -> None:
    """Nobody waits for a FIFO, or reads a device that has no end."""
    configure(home, "")
    config = os.path.join(home["XDG_CONFIG_HOME"], "kvcli", "config.toml")
    os.remove(config)
    {"fifo": os.mkfifo, "folder": os.mkdir, "device": lambda file: os.symlink("/dev/zero", file)}[kind](config)
    assert kvcli("get", "k", env=home, timeout=30).returncode == 65


def test_figures_of_a_bucket_are_those_of_its_pages(path: str, kvcli: Run) -> None:
    """Its bytes are whole pages, and enough of them for what it holds."""
    with Store(path) as store:
        set_many(store.open("default"), [(f"{number:05}", b"x" * 100) for number in range(2000)])
    figures = json.loads(kvcli("bucket", "stat", "--json").stdout)
    assert figures["keys"] == 2000
    assert figures["bytes"] % 4096 == 0
    assert figures["bytes"] > 2000 * 105
