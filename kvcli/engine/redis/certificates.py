"""Certificates: the files of TLS. They are looked at before anybody is connected, so that what is wrong is told of the file."""

from __future__ import annotations

import ssl

from kvcli.errors import AccessDenied, KvError, MalformedData, NoSuchFile

ENCRYPTED = "the key has a pass phrase, and kvcli asks for none: name one without (openssl pkey -in KEY -out FILE)"


def context(files: dict[str, str]) -> ssl.SSLContext:
    """Make what connects over TLS: Python's own default, with these files. Raises NoSuchFile, AccessDenied, MalformedData."""
    for file in files.values():
        _open(file)
    made = _trusting(files.get("ca"))
    if "cert" in files:
        _load_own(made, files["cert"], files.get("key", files["cert"]))
    return made


def unreadable(error: OSError, file: str) -> KvError:
    """Give our error for a file that cannot be read."""
    kind = AccessDenied if isinstance(error, PermissionError) else NoSuchFile
    return kind(f"{file}: {(error.strerror or str(error)).lower()}")


def _open(file: str) -> None:
    try:
        with open(file, "rb") as opened:
            opened.peek(1)
    except OSError as error:
        raise unreadable(error, file) from error


def _trusting(authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except ssl.SSLError as error:
        raise MalformedData(f"{authority}: this is no certificate of an authority, in PEM") from error


def _load_own(made: ssl.SSLContext, certificate: str, key: str) -> None:
    asked = []

    def ask() -> str:  # Without it OpenSSL would ask on the terminal, even where nobody sits.
        asked.append(True)
        return ""

    try:
        made.load_cert_chain(certificate, key, ask)
    except ssl.SSLError as error:
        if asked:
            raise MalformedData(f"{key}: {ENCRYPTED}") from error
        raise MalformedData(f"{certificate} and {key} are no certificate and its key, in PEM") from error
