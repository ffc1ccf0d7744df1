"""Making a store, so that it is there whole or not at all, whoever is killed or races."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile

import lmdb

from kvcli.engine import DEFAULT_BUCKET
from kvcli.engine.files import DATA, LOCK, check_folder, is_lone, sync_folder
from kvcli.engine.opening import open_new
from kvcli.engine.provenance import vouch
from kvcli.engine.revisions import OURS, Ledger
from kvcli.engine.transaction import PRIVATE
from kvcli.errors import NoSuchStore

OWN_NAMES = (DATA, LOCK, "cache")


def create_environment(path: str) -> None:
    """Make the folder and in it an environment that holds the bucket `default`; see engine.create."""
    try:
        _make_folder(path)
        fresh = tempfile.mkdtemp(prefix=".new-", dir=path)
        try:
            _fill(fresh)
            _publish(fresh, path)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except (lmdb.Error, OSError) as error:
        from kvcli.engine.translation import translated

        raise translated(error, path) from error


def _make_folder(path: str) -> None:
    parent = os.path.dirname(os.path.abspath(path))
    os.makedirs(parent, mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
        sync_folder(parent)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise NoSuchStore(f"{path} is a file: name a folder")
    check_folder(path, status)
    if not is_lone(path, OWN_NAMES):
        raise NoSuchStore(f"{path} holds other files and no store: name an empty or a new folder")


def _fill(folder: str) -> None:
    env = open_new(folder)
    try:
        with env.begin(write=True) as txn:
            env.open_db(DEFAULT_BUCKET, txn=txn)
            private = env.open_db(PRIVATE, txn=txn)
            Ledger(txn, None, OURS).seal(private)
    finally:
        env.close()
    vouch(os.path.join(folder, DATA))


def _publish(fresh: str, path: str) -> None:
    # A link, not a rename: where two processes create at once, the second must not replace what the first wrote to.
    with contextlib.suppress(FileExistsError):
        os.link(os.path.join(fresh, DATA), os.path.join(path, DATA))
    sync_folder(path)
