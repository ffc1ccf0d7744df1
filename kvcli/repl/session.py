"""Session: what stays between lines (the store, the bucket, the transaction, how to print), and the running of a line."""

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING, Any

from kvcli.cli.entry import PIPE_CLOSED, guarded
from kvcli.cli.output import Output
from kvcli.cli.reading import CHOICES
from kvcli.commands import Invocation, Record, perform
from kvcli.commands.context import Context
from kvcli.engine import is_remote
from kvcli.engine.draft import Draft
from kvcli.errors import InvalidArgument, KvError, NoSuchFile, NoSuchKey
from kvcli.location import locate
from kvcli.repl.glance import Glance
from kvcli.repl.line import Line
from kvcli.repl.understanding import options_of, understood
from kvcli.store import Bucket, bucket_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Seen = TypeVar("Seen")

ALONE = ("compact",)  # Nobody may have the store open beside these.
CUT_SHORT = ("batch",)  # What has not done all where nobody reads its answers.
ELSEWHERE = ("copy",)  # What names its stores itself.
PLACES = {"store", "profile"}


class Session:
    """One REPL, with a person or with a script."""

    def __init__(self, settings: dict[str, object]) -> None:
        """Take what the command line said; nothing is opened yet."""
        self.settings = dict(settings)
        self.format = "json" if self.settings.pop("json", False) else "table"
        chosen = self.settings.pop("bucket", None) or os.environ.get("KVCLI_BUCKET") or "default"
        self.bucket = str(chosen)
        self.timing = False
        self.elapsed: float | None = None
        self.is_over = False
        self.is_interactive = False
        self.reads_stdin = True  # False where the lines themselves come from there.
        self.depth = 0
        self.draft: Draft | None = None
        self._owner: Context | None = None  # Of the store that the draft is over.
        self._last: Context | None = None  # Of the line before, in a script.
        self._glance = Glance()

        # Once, and absolute: neither a change of the config file nor one of the folder turns a session to another store.
        said = (self.settings.pop("store", None), self.settings.get("profile"))
        self.location = locate(*said).absolute()  # type: ignore[arg-type]

    @property
    def path(self) -> str:
        """Where the store is."""
        return self.location.path

    # Lines

    def run(self, line: Line, output: Output) -> int:
        """Run one line and give its exit code. Ctrl-C and a reader that left are raised."""
        started = perf_counter()
        try:
            return guarded(output, lambda: self._run_named(line, output))
        finally:
            self.elapsed = perf_counter() - started

    def _run_named(self, line: Line, output: Output) -> int:
        try:
            return self._run(line, output)
        except ValueError as error:
            if "null byte" not in str(error):
                raise
            raise NoSuchFile("the name of a file holds no NUL byte") from error  # On a command line none could.

    def _run(self, line: Line, output: Output) -> int:
        output.json = output.json or "--json" in options_of([word.text for word in line.words])
        invocation = understood(line)
        if not isinstance(invocation, Invocation):
            return invocation or 0
        if line.tail is None:
            return self._execute(invocation, output)
        from kvcli.repl.pipe import into

        code, is_read = into(line.tail, self._variables(), lambda: self._execute(invocation, self._piped(output)))
        return code if is_read or invocation.command not in CUT_SHORT else PIPE_CLOSED

    def _execute(self, invocation: Invocation, output: Output) -> int:
        settings = dict(invocation.settings)
        output.json = self.format == "json" or bool(settings.pop("json", False))
        if invocation.command == "source":
            from kvcli.repl.script import source

            return source(self, str(invocation.arguments["file"]), output)
        own = getattr(self, f"_do_{invocation.command}", None)
        if own is not None:
            answer = own(**invocation.arguments)
            output.json = False  # It is about the session, and no data.
            return output.show(answer)
        if self.draft is not None and (PLACES & set(settings) or invocation.command in ELSEWHERE):
            raise InvalidArgument("a transaction is open: commit or rollback before you turn to another store")
        context = self.context(output, **settings)
        if invocation.command in ALONE:
            self._forget_last()
        try:
            return output.show(perform(invocation, context))
        except NoSuchKey as error:
            if self.is_interactive and output.terminal and "key" in invocation.arguments:
                self._hint(error, context, str(invocation.arguments["key"]))
            raise
        finally:
            self._leave(context)

    def _leave(self, context: Context) -> None:
        """Close a context; that of a script's line when the next one is done, so that the store need not be opened again."""
        if self.is_interactive:
            context.close()
            return
        self._forget_last()
        self._last = context

    def _forget_last(self) -> None:
        before, self._last = self._last, None
        if before is not None:
            before.close()

    def context(self, output: Output | None = None, **settings: Any) -> Context:
        """Give what a command runs in: the session's settings, and what its line says besides."""
        whole: dict[str, Any] = {"home": self.bucket, **self.settings, **settings}
        if not PLACES & set(settings):
            whole["location"] = self.location
        if output is not None:
            whole |= {"confirm": output.asker() if self.is_interactive else None, "warn": output.warn}
        context = Context(**whole, stdin=self.reads_stdin)
        if self.draft is not None:
            context.plan(self.draft)
        return context

    def _hint(self, error: NoSuchKey, context: Context, key: str) -> None:
        from kvcli.repl.neighbours import near

        found = near(context.bucket_to_read(), key)
        if found:
            error.args = (f"{error}; near it: {', '.join(repr(each) for each in found)}",)

    def _piped(self, output: Output) -> Output:
        piped = Output(json=output.json)
        piped.prefix, piped.tells_answers = output.prefix, output.tells_answers
        return piped

    def _variables(self) -> dict[str, str]:
        """Give what makes a kvcli in a pipe use the same store and bucket."""
        return {"KVCLI_STORE": self.path, "KVCLI_BUCKET": self.bucket}

    # What is seen without a command

    def look(self, work: Callable[[Bucket], Seen], bucket: str | None = None) -> Seen | None:
        """Do some work on a bucket for the sake of whoever types; None where it cannot be had, or not at once."""
        if is_remote(self.path):
            return self._glance.at(lambda: self._looked(work, bucket))
        return self._looked(work, bucket)

    def _looked(self, work: Callable[[Bucket], Seen], bucket: str | None) -> Seen | None:
        context = self.context()
        try:
            return work(Bucket(context.store_to_read(), bucket_name(bucket or self.bucket)))
        except (KvError, OSError):
            return None
        finally:
            context.close()  # Nothing of a store that somebody cuts or replaces is mapped while a person thinks.

    # The session's own commands

    def _do_use(self, bucket: str) -> Record:
        context = self.context(bucket=bucket)
        try:
            wanted = context.bucket_to_read()
            wanted.store.read(lambda snapshot: snapshot.check(wanted.name))
        finally:
            context.close()
        self.bucket = bucket
        return Record({"bucket": bucket})

    def _do_begin(self) -> Record:
        if self.draft is not None:
            raise InvalidArgument("a transaction is open already: commit or rollback ends it")
        owner = self.context()
        try:
            self.draft = Draft(owner.store_to_write().engine)
        except BaseException:
            owner.close()
            raise
        self._owner = owner
        return Record({"begun": True})

    def _do_commit(self) -> Record:
        draft, owner = self._open_draft()
        try:
            count = draft.commit(owner.lock_timeout)
        except KeyboardInterrupt as error:
            if draft.is_committed:
                self._end_draft()
                raise KeyboardInterrupt("the transaction is written") from error
            if not draft.remembers:
                raise KeyboardInterrupt("the server may have written it: look before you commit again") from error
            raise
        self._end_draft()
        record = Record({"committed": count})
        record.note = f"{count} written" if self.is_interactive else None
        return record

    def _do_rollback(self) -> Record:
        count = self._open_draft()[0].size
        self._end_draft()
        record = Record({"rolled_back": count})
        record.note = f"{count} forgotten" if self.is_interactive else None
        return record

    def _do_format(self, how: str = "") -> Record:
        if how and how not in CHOICES["how"]:
            raise InvalidArgument(f"a format is one of {', '.join(CHOICES['how'])}")
        self.format = how or self.format
        return Record({"format": self.format}, None if how else self.format.encode())

    def _do_timing(self, state: str = "") -> Record:
        if state not in {"", "on", "off"}:
            raise InvalidArgument("timing is on or off")
        self.timing = state == "on" if state else self.timing
        return Record({"timing": self.timing}, None if state else (b"on" if self.timing else b"off"))

    def _do_help(self, words: list[str] | None = None) -> Record:
        from kvcli.repl.help import text

        page = text(words or [])
        return Record({"help": page}, page.rstrip("\n").encode())

    def _do_exit(self) -> Record:
        self.is_over = True
        return Record({"over": True})

    _do_quit = _do_exit

    def _open_draft(self) -> tuple[Draft, Context]:
        if self.draft is None or self._owner is None:
            raise InvalidArgument("no transaction is open: begin opens one")
        return self.draft, self._owner

    def _end_draft(self) -> None:
        owner, self._owner, self.draft = self._owner, None, None
        if owner is not None:
            owner.close()

    def close(self) -> None:
        """Close what was opened; a transaction is forgotten."""
        self._forget_last()
        self._end_draft()
