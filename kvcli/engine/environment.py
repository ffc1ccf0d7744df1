"""Environment: one LMDB environment in one process. It begins every transaction and opens every database."""

from __future__ import annotations

import os
from _thread import RLock

import lmdb

from kvcli.engine.files import Files, extend_file
from kvcli.engine.gate import Gate
from kvcli.engine.opening import open_files
from kvcli.engine.transaction import MAIN, Snapshot, Unopened, is_record
from kvcli.errors import AccessDenied, Full, Other, StoreReplaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from kvcli.engine.update import Update
    from kvcli.engine.writer import Call, Writer

    Answer = TypeVar("Answer")

RETRIES_MAX, MAP_BYTES_MAX = 64, 1 << 46


class Environment:
    """The environment that all connections of this process to one data file share.

    Handles of sub-databases are LMDB's trap: two transactions of one process must never open some at the same time,
    and those opened in a read transaction end with it. So whoever opens holds `_opening` until its transaction ends;
    only those of a committed write transaction are kept, in `handles`, a dict that is replaced and never changed.
    """

    def __init__(self, files: Files, *, writable: bool, metasync: bool) -> None:
        """Open the files. Raises lmdb.Error, OSError or DamagedStore."""
        self.files = files
        self.writable, self.metasync = writable, metasync
        self.pid, self.users, self._last_page = os.getpid(), 1, 0
        self._gate, self._opening, self._holding = Gate(), RLock(), False
        self._writer: Writer | None = None
        self._open()

    def _open(self) -> None:
        self._unlocked = not self.writable and not os.path.exists(self.files.lock)
        self._env, self.format, self.file_id = open_files(self.files, writable=self.writable, metasync=self.metasync)
        self._stale_readers = self._env.reader_check()  # Those that were killed keep old pages until somebody looks.
        self.key_bytes_max = self._env.max_key_size()  # 511; in a foreign environment of format 1.0, 1,978.
        self._terminator = b"\0" if self.format == "1.0" else b""  # 1.0 counts the NUL of a C string in.
        self.handles: dict[bytes, lmdb._Database] = {}

    def marked(self, identity: bytes) -> bytes:
        """Tie an identity to the very file, so that every copy of it, by whatever program, is another store."""
        device, inode = self.file_id
        return ((int.from_bytes(identity, "big") ^ device << 64 ^ inode) % (1 << 128)).to_bytes(16, "big")

    # Transactions

    def read(self, work: Callable[[Snapshot], Answer]) -> Answer:
        """Run `work` in one read transaction."""
        self._check_process()
        opening = False
        for _ in range(RETRIES_MAX):
            try:
                answer = self._read_opening(work) if opening or not self.handles else self._read_open(work)
                if not (self._unlocked and self._has_company()):
                    return answer
            except Unopened:
                opening = True
            except lmdb.BadDbiError:
                continue  # Another thread dropped the bucket under us.
            except (lmdb.DbsFullError, lmdb.IncompatibleError) as error:
                self._free_handles(error)
            except lmdb.MapResizedError:
                self._gate.alone(self._adopt_map)
            except lmdb.PanicError:
                self._gate.alone(self._reopen)  # A commit of ours failed; what was there before it is still there.
            except lmdb.Error:
                if not (self._unlocked and self._has_company()):
                    raise
        raise Other(f"{self.files.path}: the store was resized too often meanwhile: try again")

    def _read_open(self, work: Callable[[Snapshot], Answer]) -> Answer:
        # Inside the gate, lest the environment is opened again; and the same before and after the transaction begins:
        # to it, handles opened later do not exist, and one dropped before may stand for another bucket by now.
        with self._gate.passage():
            handles = self.handles
            with self._env.begin() as txn:
                if handles is not self.handles:
                    raise Unopened
                return work(Snapshot(self, txn, handles, None))

    def _read_opening(self, work: Callable[[Snapshot], Answer]) -> Answer:
        with self._gate.passage(), self._opening, self._env.begin() as txn:
            return work(Snapshot(self, txn, self.handles, {}))

    def _has_company(self) -> bool:
        # Whoever made a lock file meanwhile could not see this reader, and may have reused what it read: so it reads again.
        if not os.path.exists(self.files.lock):
            return False
        self._gate.alone(self._reopen)
        return True

    def write(
        self, work: Callable[[Update], Answer], lock_timeout: float, adopt: bool, meanwhile: Callable[[], object] | None
    ) -> Answer:
        """Run `work` in one write transaction on the writer thread; see Engine.write."""
        self._check_process()
        writer = self._writer or self._start_writer()
        return writer.run(lambda call: self._write_growing(call, work, adopt), lock_timeout, meanwhile)  # type: ignore[return-value]

    def _start_writer(self) -> Writer:
        from kvcli.engine.writer import Writer

        with self._opening:
            self._writer = self._writer or Writer()
            return self._writer

    def _write_growing(self, call: Call, work: Callable[[Update], Answer], adopt: bool) -> Answer:
        for _ in range(RETRIES_MAX):
            try:
                with self._gate.passage():
                    return self._write_once(call, work, adopt)
            except lmdb.MapResizedError:
                self._gate.alone(self._adopt_map)
            except lmdb.MapFullError:
                self._gate.alone(self._grow_map)
            except (lmdb.DbsFullError, lmdb.IncompatibleError) as error:
                self._free_handles(error)
            except lmdb.PanicError:
                self._gate.alone(self._reopen)
                raise
        raise Other(f"{self.files.path}: the map had to grow too often: try again")

    def _write_once(self, call: Call, work: Callable[[Update], Answer], adopt: bool) -> Answer:
        txn = self._env.begin(write=True)
        try:
            call.proceed()
            self.check_files()
            update = self._update(txn, adopt)
            answer = work(update)
            if update.changed:
                update.seal()
                call.settle()
            txn.commit()  # Also where nothing changed: that writes nothing, and lmdb's abort would wait for readers.
            if update.opened:
                self.handles = {**self.handles, **update.opened}
            if update.changed:
                self._extend_file()
        except BaseException:
            with self._gate.quiet:  # lmdb's abort waits for a moment in which no thread reads.
                txn.abort()
            raise
        else:
            return answer
        finally:
            self._let_handles()

    def _update(self, txn: lmdb.Transaction[bytes], adopt: bool) -> Update:
        from kvcli.engine.revisions import ADOPTED, OURS
        from kvcli.engine.update import Update

        update = Update(self, txn, ADOPTED if txn.stat()["entries"] else OURS)
        if not (adopt or update.is_ours()):
            raise AccessDenied(f"{self.files.path} was made by another program: --adopt lets kvcli write to it")
        return update

    def _extend_file(self) -> None:
        # LMDB leaves out pages at the end that a transaction took and gave back; to read_header they would seem cut off.
        last = self._env.info()["last_pgno"]
        missing = (last + 1) * self._env.stat()["psize"] - os.stat(self.files.data).st_size
        if missing > 0:
            extend_file(self.files.data, missing)
        if last > self._last_page:  # It grew: perhaps somebody was killed who read, and still keeps old pages.
            self._last_page, self._stale_readers = last, self._stale_readers + self._env.reader_check()

    def _check_process(self) -> None:
        if os.getpid() != self.pid:
            raise Other("this store was opened before a fork: open it again in the child")

    def check_files(self) -> os.stat_result:
        """Raise StoreReplaced where the data file is another one by now, or gone."""
        try:
            status = os.stat(self.files.data)
        except FileNotFoundError:
            status = None
        if status and (status.st_dev, status.st_ino) == self.file_id:
            return status
        raise StoreReplaced(f"{self.files.data} was replaced or removed while it was open: open it again")

    def _adopt_map(self) -> None:
        try:
            self._env.set_mapsize(0)
        except lmdb.Error:
            self._reopen()

    def _grow_map(self) -> None:
        size = self._env.info()["map_size"]
        if size >= MAP_BYTES_MAX:
            raise Full(f"{self.files.path}: the map has its largest size, {size} bytes")
        try:
            self._env.set_mapsize(min(size * 2, MAP_BYTES_MAX))
        except lmdb.Error as error:
            self._reopen()  # A failed resize leaves the environment without a map.
            raise Full(f"{self.files.path}: the map of {size} bytes is full: raise ulimit -v to let it grow") from error

    # Databases

    def has(self, txn: lmdb.Transaction[bytes], bucket: bytes) -> bool:
        """Tell whether the main database has a record of this name. NUL would end a C string, and name another bucket."""
        return bucket == MAIN or self.record(txn, bucket) is not None

    def record(self, txn: lmdb.Transaction[bytes], bucket: bytes) -> bytes | None:
        """Give the record of a bucket in the main database, which itself has none."""
        return txn.get(bucket + self._terminator) if bucket and b"\0" not in bucket and bucket != MAIN else None

    def names(self, txn: lmdb.Transaction[bytes]) -> list[bytes]:
        """Give the names of all named sub-databases. dbs() is no help: it stops at max_dbs without a word."""
        return [key.removesuffix(self._terminator) for key, value in txn.cursor() if is_record(value)]

    def open_database(self, txn: lmdb.Transaction[bytes], bucket: bytes, *, create: bool = False) -> lmdb._Database:
        """Open a sub-database in a transaction of a thread that holds the handles."""
        return self._env.open_db(None if bucket == MAIN else bucket, txn=txn, create=create)

    def drop_database(self, txn: lmdb.Transaction[bytes], bucket: bytes, handle: lmdb._Database) -> None:
        """Drop a sub-database and its handle in a write transaction."""
        self.hold_handles()
        self.handles = {name: kept for name, kept in self.handles.items() if name != bucket}
        txn.drop(handle)

    def hold_handles(self) -> None:
        """Let no other thread open a handle before the write transaction of this one has ended."""
        if not self._holding:
            self._opening.acquire()
            self._holding = True

    def _free_handles(self, error: lmdb.Error) -> None:
        if not self.handles:  # Else they are too many, or a bucket was made again, of another kind.
            raise error
        self._gate.alone(self._reopen)

    def _let_handles(self) -> None:
        if self._holding:
            self._holding = False
            self._opening.release()

    # Life

    def stat(self) -> dict[str, str | int]:
        """Give figures about the whole environment."""
        from kvcli.engine.readers import behind

        with self._gate.passage():
            info, readers = self._env.info(), self._env.readers()
        return {
            "path": self.files.path,
            "format": self.format,
            "bytes": self.check_files().st_size,
            "map_bytes": info["map_size"],
            "revision": info["last_txnid"],
            "readers": info["num_readers"],
            "readers_max": info["max_readers"],
            "readers_behind": behind(readers, info["last_txnid"]),
            "readers_cleared": self._stale_readers,
        }

    def upgrade(self, *, writable: bool, metasync: bool) -> None:
        """Open the files again with at least these rights and this durability. Raises as opening does."""
        before = (self.writable, self.metasync)
        wanted = (writable or self.writable, metasync or self.metasync)
        if wanted != before:
            self._gate.alone(lambda: self._change(before, wanted))

    def _change(self, before: tuple[bool, bool], wanted: tuple[bool, bool]) -> None:
        self.writable, self.metasync = wanted
        try:
            self._reopen()
        except BaseException:
            self.writable, self.metasync = before
            self._open()
            raise

    def close(self) -> bool:
        """Close; false, and still open, while a thread waits for the writer lock: closing would wait with it."""
        if self._writer is not None and not self._writer.stop():
            return False
        self._gate.alone(self._env.close)
        return True

    def leave_to_parent(self) -> None:
        """Close in a forked child what the parent had open. Raises Other where the fork hit a transaction."""
        if self._gate.is_busy() or (self._writer is not None and not self._writer.is_idle()):
            raise Other("the fork happened in the middle of a transaction: fork before opening a store")
        self._env.close()

    def _reopen(self) -> None:
        self._env.close()
        self._open()
