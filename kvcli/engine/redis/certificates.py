"""Certificates: the files of TLS. They are looked at before anybody is connected, so that what is wrong is told of the file."""

from __future__ import annotations

import ssl

from kvcli.errors import AccessDenied, KvError, MalformedData, NoSuchFile

ENCRYPTED = "the key has a pass phrase, and kvcli asks for none: name one without (openssl pkey -in KEY -out FILE)"


def check(files: dict[str, str]) -> None:
    """Load what a connection will load. Raises NoSuchFile, AccessDenied, MalformedData."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority, certificate, key = (files.get(name) for name in ("ca", "cert", "key"))
    for file in files.values():
        _open(file)
    if authority is not None:
        _load_authority(context, authority)
    if certificate is not None:
        _load_own(context, certificate, key or certificate)


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


def _load_authority(context: ssl.SSLContext, file: str) -> None:
    try:
        context.load_verify_locations(file)
    except ssl.SSLError as error:
        raise MalformedData(f"{file}: this is no certificate of an authority, in PEM") from error


def _load_own(context: ssl.SSLContext, certificate: str, key: str) -> None:
    asked = []

    def ask() -> str:  # Without it OpenSSL would ask on the terminal, even where nobody sits.
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(certificate, key, ask)
    except ssl.SSLError as error:
        if asked:
            raise MalformedData(f"{key}: {ENCRYPTED}") from error
        raise MalformedData(f"{certificate} and {key} are no certificate and its key, in PEM") from error
