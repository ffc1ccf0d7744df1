"""kvcli edit: a value goes through an editor and comes back, unless somebody else changed it meanwhile."""

from __future__ import annotations

import os
import re
import sys

import pytest

from kvcli.store import Store
from tests.conftest import Run

EDITORS = {
    "append": "sh -c 'printf more >> \"$0\"'",
    "newline": "sh -c 'echo >> \"$0\"'",
    "nothing": "true",
    "fail": "sh -c 'echo lost > \"$0\"; exit 7'",
    "rewrite": "sh -c 'echo new > \"$0\"'",
}


@pytest.mark.parametrize(
    ("before", "editor", "after"),
    [
        (b"text", "append", b"textmore"),
        (b"text\n", "append", b"text\nmore"),
        (b"text", "newline", b"text"),  # It is the editor's.
        (b"text\n", "newline", b"text\n\n"),
        (b"\xff\x00", "append", b"\xff\x00more"),
        (None, "rewrite", b"new"),
        (None, "nothing", None),
        (b"text", "nothing", b"text"),
        (b"text", "rewrite", b"new"),
        (b"text\n", "rewrite", b"new\n"),
    ],
)
def test_edited_value_is_what_the_editor_left(
    kvcli: Run, path: str, before: bytes | None, editor: str, after: bytes | None
) -> None:
    """The value ends with a newline if it did before, and else does not."""
    with Store(path) as store:
        if before is not None:
            store.open("default").set("k", before)
        assert kvcli("edit", "k", env={"VISUAL": "", "EDITOR": EDITORS[editor]}).returncode == 0
        assert store.open("default").get("k") == after


def test_unchanged_value_is_not_written(kvcli: Run, path: str) -> None:
    """Nothing is written where nothing was changed, and it is said."""
    with Store(path) as store:
        store.open("default").set("k", b"v")
        before = store.stat()["revision"]
        ran = kvcli("edit", "k", "--json", env={"EDITOR": "true"})
        assert ran.stdout == b'{"key":"k","changed":false}\n'
        assert store.stat()["revision"] == before


def test_failed_editor_changes_nothing(kvcli: Run, path: str, tmp_path: os.PathLike[str]) -> None:
    """The exit code of the editor is passed on; what it wrote is kept in a file, and nothing where it wrote nothing."""
    with Store(path) as store:
        store.open("default").set("k", b"v")
        ran = kvcli("edit", "k", env={"EDITOR": EDITORS["fail"], "TMPDIR": str(tmp_path)})
        assert (ran.returncode, b"what you wrote is in " in ran.stderr) == (7, True)
        assert store.open("default").get("k") == b"v"
        left = os.listdir(tmp_path)
        assert kvcli("edit", "k", env={"EDITOR": "false", "TMPDIR": str(tmp_path)}).returncode == 1
        assert kvcli("edit", "k", env={"EDITOR": "rm", "TMPDIR": str(tmp_path)}).returncode == 66
        assert os.listdir(tmp_path) == left


def test_bucket_is_made_where_that_is_said(kvcli: Run, path: str) -> None:
    """--create makes the bucket, and the store, before the editor opens."""
    ran = kvcli("edit", "k", "-b", "new", "--create", env={"EDITOR": EDITORS["rewrite"]})
    assert ran.returncode == 0
    with Store(path) as store:
        assert store.open("new").get("k") == b"new"


def test_lost_edit_is_kept_in_a_file(kvcli: Run, path: str, tmp_path: os.PathLike[str]) -> None:
    """Who changed the key meanwhile wins; what was written in the editor is not lost."""
    with Store(path) as store:
        store.open("default").set("k", b"v")
        meddle = f"'{sys.executable}' -m kvcli set k theirs; echo mine > \"$0\""
        ran = kvcli("edit", "k", env={"EDITOR": f"sh -c {quoted(meddle)}", "TMPDIR": str(tmp_path)})
        assert ran.returncode == 3
        assert store.open("default").get("k") == b"theirs"
    kept = re.search(rb"what you wrote is in (\S+)", ran.stderr)
    assert kept is not None
    with open(kept[1], "rb") as file:
        assert file.read() == b"mine\n"
    assert os.stat(kept[1]).st_mode & 0o077 == 0


def test_file_has_a_name_that_editors_know(kvcli: Run, path: str) -> None:
    """The file is called after the key, and .json where the value is that."""
    with Store(path) as store:
        store.open("default").set("a/b", b'{"x":1}')
        kvcli("edit", "a/b", env={"EDITOR": 'sh -c \'basename "$0" > "$0"\''})
        assert store.open("default").get("a/b") == b"a_b.json"


def quoted(text: str) -> str:
    """Quote for a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
