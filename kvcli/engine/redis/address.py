"""Address: what a URL says, and where the password comes from. Only here a password is read, and nothing here shows it."""

from __future__ import annotations

import os
from functools import cache
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from kvcli.engine.redis.certificates import unreadable
from kvcli.engine.redis.names import LAYOUTS
from kvcli.errors import InvalidArgument
from kvcli.location import without_password

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

PORT = 6379
SECONDS = 5.0  # To connect, and to wait for an answer.
SEEDS_MAX = 100
FILES = ("ca", "cert", "key")
OPTIONS = {"layout", "timeout", *FILES}


class Address:
    """Servers to begin with, and how to speak to them."""

    __slots__ = ("database", "is_cluster", "layout", "password", "seconds", "seeds", "shown", "tls", "username")

    def __init__(self, url: str, seeds: list[tuple[str, int]], *, is_cluster: bool, tls: dict[str, str] | None) -> None:
        """Hold what names the servers; `shown` is the URL without its password."""
        self.shown = without_password(url)
        self.seeds = seeds
        self.is_cluster = is_cluster
        self.tls = tls
        self.database = 0
        self.layout = LAYOUTS[0]
        self.seconds = SECONDS
        self.username: bytes | None = None
        self.password: bytes | None = None

    def __repr__(self) -> str:
        """Show no password."""
        return f"Address({self.shown!r})"


def parse(url: str, environ: Mapping[str, str] = os.environ) -> Address:
    """Read a URL: SCHEME://[USER[:PASSWORD]@]HOST[:PORT][,HOST...][/DATABASE][?layout=flat&timeout=SECONDS&ca=FILE].

    Raises InvalidArgument; NoSuchFile, AccessDenied for the file of the password.
    """
    parts = _split(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if odd := set(options) - OPTIONS:
        raise InvalidArgument(f"{min(odd)!r} is no option of such a URL; there are: {', '.join(sorted(OPTIONS))}")
    is_cluster = parts.scheme.endswith("+cluster")
    seeds = _seeds(parts.netloc.rpartition("@")[2])
    if len(seeds) > 1 and not is_cluster:
        raise InvalidArgument("several hosts are a cluster: write redis+cluster://HOST,HOST")
    address = Address(url, seeds, is_cluster=is_cluster, tls=_tls(parts.scheme, options))
    address.database = _database(parts.path, is_cluster=is_cluster)
    address.layout = options.get("layout", LAYOUTS[0])
    if address.layout not in LAYOUTS:
        raise InvalidArgument(f"layout is one of {', '.join(LAYOUTS)}, not {address.layout!r}")
    address.seconds = _seconds(options.get("timeout"))
    _take_credentials(address, parts, environ)
    return address


def _split(url: str) -> SplitResult:
    # What is wrong in it may be a part of a password: none of it is told, nor what Python says of it.
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidArgument("this is no URL of a server: that is redis://HOST:PORT") from None
    if "@" in parts.path + parts.query + parts.fragment:
        raise InvalidArgument("in the URL / ? # of a password are %2F %3F %23, and @ after the host is %40")
    return parts


def _seeds(text: str) -> list[tuple[str, int]]:
    seeds = [_seed(each) for each in text.split(",")[:SEEDS_MAX] if each]
    return seeds or [("localhost", PORT)]


def _seed(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        host, port = text, str(PORT)
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InvalidArgument("a port is a number up to 65535: a store on a server is redis://HOST:PORT")
    return host.strip("[]") or "localhost", int(port)


def _tls(scheme: str, options: dict[str, str]) -> dict[str, str] | None:
    files = {name: os.path.abspath(options[name]) for name in FILES if name in options}
    if "key" in files and "cert" not in files:
        raise InvalidArgument("key is that of a certificate: name this too, cert=FILE")
    if scheme.partition("+")[0] in {"rediss", "valkeys"}:
        return files
    if files:
        raise InvalidArgument("ca, cert and key are for rediss://, which is redis:// over TLS")
    return None


def _database(path: str, *, is_cluster: bool) -> int:
    text = path.strip("/") or "0"
    if not text.isdecimal() or len(text) > 9:
        raise InvalidArgument(f"a database has a number, not {text!r}: redis://HOST:PORT/0")
    if is_cluster and int(text):
        raise InvalidArgument("a cluster has one database, number 0")
    return int(text)


def _seconds(text: str | None) -> float:
    try:
        seconds = SECONDS if text is None else float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 3600:
        raise InvalidArgument(f"timeout is a number of seconds, up to 3600, not {text!r}")
    return seconds


def _take_credentials(address: Address, parts: SplitResult, environ: Mapping[str, str]) -> None:
    said = parts.netloc.rpartition("@")[0]
    user, colon, password = said.partition(":")
    address.username = _raw(user) or os.fsencode(environ.get("KVCLI_REDIS_USERNAME", "")) or None
    address.password = _raw(password) if colon and password else _kept(environ)


def _raw(text: str) -> bytes:
    return unquote_to_bytes(os.fsencode(text))


def _kept(environ: Mapping[str, str]) -> bytes | None:
    if environ.get("KVCLI_REDIS_PASSWORD"):
        return os.fsencode(environ["KVCLI_REDIS_PASSWORD"])
    file = environ.get("KVCLI_REDIS_PASSWORD_FILE")
    if not file:
        return None
    try:
        is_file = os.path.isfile(file) or os.path.isdir(file)
        return (_first_line if is_file else _first_line_once)(file)
    except OSError as error:
        raise unreadable(error, file) from error


def _first_line(file: str) -> bytes | None:
    with open(file, "rb") as opened:
        return opened.readline(4096).rstrip(b"\r\n") or None


# A pipe, as <(...) of a shell is one, gives it once; a process may ask several times.
_first_line_once = cache(_first_line)
