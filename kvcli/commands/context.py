"""Context: what a command runs in. It finds and opens the store when a command first asks for it."""

from __future__ import annotations

import errno
import os
import sys

from kvcli.engine import DEFAULT_BUCKET, LOCK_TIMEOUT_SECONDS, connect, create, exists, is_remote, open_shelf
from kvcli.errors import InvalidArgument, MalformedData, NoSuchStore, ReadOnly
from kvcli.location import Location, locate, setting
from kvcli.store import DEFAULT, Bucket, Store, bucket_name, key_bytes, new_bucket_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from kvcli.cache import Cache
    from kvcli.engine import Engine
    from kvcli.engine.files import Files


class Context:
    """One store and one bucket, chosen but not yet open; closed by whoever made the context."""

    def __init__(
        self,
        *,
        store: str | None = None,
        profile: str | None = None,
        bucket: str | None = None,
        home: str | None = None,
        location: Location | None = None,
        read_only: bool = False,
        lock_timeout: float = LOCK_TIMEOUT_SECONDS,
        durability: str = "full",
        adopt: bool = False,
        create: bool = False,
        stdin: bool = True,
        confirm: Callable[[str], bool] | None = None,
        warn: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Take the settings; nothing is opened yet.

        `home` is the bucket where none is said, and `location` where the store is. Without `stdin`, what comes from there
        is not for commands. `warn` tells a person what went wrong and was got over.
        """
        self._chosen = (store, profile)
        self._bucket = bucket
        self.warn = warn
        self.bucket_name = bucket if bucket is not None else home or os.environ.get("KVCLI_BUCKET") or DEFAULT
        self._home = home
        self.read_only = read_only
        self.lock_timeout = lock_timeout
        self.durability = durability
        self.adopt = adopt
        self.create = create
        self._stdin = stdin
        self._confirm = confirm
        self._location = location
        self._store: Store | None = None
        self._cache: Cache | None = None
        self._others: list[Context] = []
        self._writable = False

    @property
    def location(self) -> Location:
        """Where the store is."""
        self._location = self._location or locate(*self._chosen)
        return self._location

    def said(self) -> list[str]:
        """Give the options that choose this store and how it is used, for another process."""
        profile = self._chosen[1]
        place = self.location.absolute().path
        words = ["--store", place, "--lock-timeout", str(self.lock_timeout)]
        if is_remote(place):  # Others see the words of a process; its variables they do not.
            os.environ["KVCLI_STORE"] = place
            del words[:2]
        return words if profile is None else [*words, "--profile", profile]

    @property
    def bucket_origin(self) -> str:
        """What decided on the bucket: an option, the REPL's `use`, a variable, or `default`."""
        if self._bucket is not None:
            return "--bucket"
        return "use" if self._home else "KVCLI_BUCKET" if os.environ.get("KVCLI_BUCKET") else "default"

    def setting(self, name: str) -> tuple[str, str] | None:
        """Give a setting as somebody wrote it, and where; see location.setting."""
        return setting(name, self._chosen[1])

    @property
    def is_open(self) -> bool:
        """Whether the store was found and is open."""
        return self._store is not None

    def store_to_read(self) -> Store:
        """Open the store read-only. The unnamed default store, while absent, reads as empty; a named one is missed."""
        if self._store is not None:
            return self._store
        engine = connect(self.location.path, writable=False)
        if engine is None and self.location.named:
            raise self._no_store()
        return self._keep(engine or self._void())

    def store_to_write(self, *, make: bool = True, check: Callable[[], None] | None = None) -> Store:
        """Open the store for writing, and `make` it where there is none; what makes none finds nothing to change.

        `check` raises what is wrong before anything is made.
        """
        if self.read_only:
            raise ReadOnly("this command writes: leave --read-only out")
        if self._writable and self._store is not None:
            return self._store
        self.close()
        engine = self._connect()
        if engine is None and make:
            if check is not None:
                check()
            create(self.location.path)
            engine = self._connect()
        self._writable = engine is not None
        return self._keep(engine or self._void())

    def files(self) -> Files:
        """Give the files of the store, not opened. Raises NoSuchStore, also for the default store that nobody made yet."""
        from kvcli.engine.files import find

        self.refuse_server()
        files = find(self.location.path)
        if files is None:
            raise self._no_store()
        return files

    def refuse_server(self) -> None:
        """Raise InvalidArgument for a store on a server, which is not ours to look into as files."""
        if is_remote(self.location.path):
            raise InvalidArgument(
                "that works on files, and this store is on a server: kvcli export writes its data; redis-cli --rdb, its files"
            )

    def plan(self, engine: Engine) -> None:
        """Let commands work on an engine that is open: a draft of the store, which is somebody else's, or no LMDB at all."""
        self._keep(engine)
        self._writable = True

    def other(self, store: str, origin: str) -> Context:
        """Give what finds and opens another store, under the same settings; it is closed with this one.

        Raises InvalidArgument where this one was chosen: who uses others names them.
        """
        if self._location is None and self._chosen != (None, None):
            raise InvalidArgument("SRC and DST name the stores: leave --store and --profile out")
        settings = {name: getattr(self, name) for name in ("read_only", "lock_timeout", "durability", "adopt")}
        self._others.append(Context(location=Location(store, origin), **settings))
        return self._others[-1]

    def bucket_to_read(self) -> Bucket:
        """Open the bucket read-only."""
        return Bucket(self.store_to_read(), bucket_name(self.bucket_name))

    def bucket_to_write(self, key: str | None = None, *, make: bool = True) -> Bucket:
        """Open the bucket for writing, and make it first if --create says so; nothing is made for what is no `key`."""

        def check() -> None:
            self._refuse_unmade_bucket()
            if key is not None:
                key_bytes(key)

        store = self.store_to_write(make=make, check=check)
        if self.create:
            store.create(self.bucket_name)
        return Bucket(store, bucket_name(self.bucket_name))

    def cache(
        self, *, make: bool = False, remove: bool = False, max_size: str | None = None, beside: bool = False
    ) -> Cache:
        """Open the cache of the store; `make` the store where there is none, as writing commands do.

        What can only `remove` finds nothing there. Else a named store is missed.

        `max_size` is the cap as somebody wrote it, None what the settings say. Raises InvalidArgument for a bucket: the
        cache has none; unless what uses it uses buckets `beside`.
        """
        from kvcli.cache import CACHE_BYTES, Cache, checked_size
        from kvcli.units import size

        if self._bucket not in {None, DEFAULT} and not beside:
            raise InvalidArgument("a store has one cache, which has no buckets: leave --bucket out")
        said = None if max_size is None else checked_size(size(max_size, "--max-size"))
        self._find_store(make=make, remove=remove)

        def cap() -> int:
            if said is not None:
                return said
            written = self.setting("cache_max_size")
            try:
                return CACHE_BYTES if written is None else checked_size(size(*written))
            except InvalidArgument as error:
                raise MalformedData(str(error)) from error  # It was not said here, but written somewhere.

        shelf = open_shelf(
            self.location.path, read_only=self.read_only, cap=cap, lock_timeout=self.lock_timeout, tell=self.warn
        )
        self._cache = Cache.over(shelf)
        return self._cache

    def _find_store(self, *, make: bool, remove: bool) -> None:
        path = self.location.path
        if exists(path):
            return
        if make and not self.read_only:
            create(path)
        elif self.location.named and not remove:
            raise self._no_store()

    def confirm(self, question: str) -> bool:
        """Ask a person. Raises InvalidArgument where nobody can be asked."""
        if self._confirm is None:
            raise InvalidArgument(f"{question} Nobody can be asked here: say --yes")
        return self._confirm(question)

    def stdin(self) -> BinaryIO:
        """Give standard input; only `-` and batch read it."""
        if not self._stdin:
            raise InvalidArgument("stdin is the script here: name a file, or run the script as kvcli repl FILE")
        if sys.stdin is None:
            raise OSError(errno.EBADF, "stdin is closed", "stdin")
        return sys.stdin.buffer

    def input(self, file: str) -> int:
        """Give the descriptor of a file to read from, or of standard input for `-`; it stays open."""
        if file == "-":
            return self.stdin().fileno()
        if os.path.isdir(file):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close what was opened."""
        if self._cache is not None:
            self._cache.close()
            self._cache = None
        if self._store is not None:
            self._store.close()
            self._store = None
            self._writable = False
        while self._others:
            self._others.pop().close()

    def _no_store(self) -> NoSuchStore:
        return NoSuchStore(f"no store at {self.location.shown} (from {self.location.origin}): the first set makes one")

    def _connect(self) -> Engine | None:
        return connect(self.location.path, writable=True, adopt=self.adopt, durability=self.durability)

    def _keep(self, engine: Engine) -> Store:
        self._store = Store.over(engine, self.location.path, self.lock_timeout)
        return self._store

    def _void(self) -> Engine:
        from kvcli.engine.void import Void

        return Void(self.location.path)

    def _refuse_unmade_bucket(self) -> None:
        if self.create:
            new_bucket_name(self.bucket_name)
        elif self.bucket_name != DEFAULT:
            from kvcli.engine.transaction import no_such_bucket

            raise no_such_bucket(bucket_name(self.bucket_name), [DEFAULT_BUCKET])
