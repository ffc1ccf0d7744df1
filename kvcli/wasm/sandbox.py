"""The sandbox: what a guest sees of the machine, which is nothing but the three streams and what is said here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wasmtime import WasiConfig, WasmtimeError

from kvcli.errors import InvalidArgument, NoSuchFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Folder:
    """A folder of the host's that a guest sees under a path of its own."""

    __slots__ = ("guest_path", "path", "writable")

    def __init__(self, path: str, guest_path: str, *, writable: bool = True) -> None:
        """Name the folder on both sides."""
        self.path = path
        self.guest_path = guest_path
        self.writable = writable


class Sandbox:
    """Words, variables and folders for a guest. It has no network: the host links sockets, and allows none."""

    def __init__(
        self,
        words: Sequence[str],
        variables: Mapping[str, str] | None = None,
        folders: Sequence[Folder] = (),
        *,
        stdin: bool = True,
    ) -> None:
        """`words` begin with the guest's name. Without `stdin` it reads nothing there.

        Raises NoSuchFile for a folder, InvalidArgument for a text that is no UTF-8, or holds NUL: a guest has no other.
        """
        for folder in folders:
            if not os.path.isdir(folder.path):
                raise NoSuchFile(f"no folder {folder.path!r} to give to the guest")
            check(folder.path, folder.guest_path)
        check(*words, *(variables or {}), *(variables or {}).values())
        self._words, self._variables, self._folders = [*words], {**(variables or {})}, folders
        self._stdin = stdin

    def config(self) -> WasiConfig:
        """Write it down for wasmtime, which takes it once. Raises NoSuchFile."""
        config = WasiConfig()
        config.argv = self._words
        config.env = self._variables.items()
        if self._stdin:
            config.inherit_stdin()
        config.inherit_stdout()
        config.inherit_stderr()
        for folder in self._folders:
            try:
                config.preopen_dir(folder.path, folder.guest_path, folder.writable)
            except WasmtimeError as error:
                raise NoSuchFile(f"the folder {folder.path!r} cannot be given to the guest") from error
        return config


def check(*texts: str) -> None:
    """Raise InvalidArgument for a text that cannot be given to a guest."""
    for text in texts:
        if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
            raise InvalidArgument(f"a guest takes UTF-8 without NUL, and no {text!r}")
