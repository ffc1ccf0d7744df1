"""Where the store is, and what else the config file says: --store, then KVCLI_STORE, then the config file and its profiles, then the XDG data folder."""

from __future__ import annotations

import os

from kvcli.errors import MalformedData, NoSuchStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

CONFIG_BYTES_MAX = 1 << 14  # tomllib takes time, and memory, by the square of how deep a name is.


class Location:
    """The path of a store, where the path came from, and whether somebody named it."""

    __slots__ = ("named", "origin", "path")

    def __init__(self, path: str, origin: str) -> None:
        """`origin` is the option, variable or file that decided."""
        self.path = path
        self.origin = origin
        self.named = origin != "default"

    @property
    def shown(self) -> str:
        """The path as it may be shown: a URL without its password."""
        return without_password(self.path)

    @property
    def name(self) -> str:
        """What is left of it where there is little room: the last part, or the server."""
        return (
            os.path.basename(self.path) if "://" not in self.path else self.shown.partition("://")[2].rpartition("@")[2]
        )

    def absolute(self) -> Location:
        """Give the same place, wherever this process goes."""
        return self if "://" in self.path else Location(os.path.abspath(self.path), self.origin)


def without_password(url: str) -> str:
    """Give a URL as it may be shown, also one that is wrong: with a / in its password, or a password among its options."""
    scheme, colon, rest = url.partition("://")
    if not colon:
        return url
    before, mark, options = rest.partition("?")
    if "pass" in options.lower() and "@" not in options:
        rest = f"{before}{mark}***"
    user, at, hosts = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}:***{at}{hosts}" if ":" in user else f"{scheme}://{rest}"


def locate(store: str | None = None, profile: str | None = None, environ: Mapping[str, str] = os.environ) -> Location:
    """Find the store's path. Raises NoSuchStore for an unknown profile, MalformedData for a broken config file."""
    if store is not None:
        return Location(_checked(store), "--store")
    if environ.get("KVCLI_STORE"):
        return Location(environ["KVCLI_STORE"], "KVCLI_STORE")
    config = config_file(environ)
    if profile is not None or os.path.exists(config):
        found = _configured(config, profile, "store")
        if found is not None and "://" in found:
            return Location(found, config)
        if found is not None:
            return Location(os.path.join(os.path.dirname(config), os.path.expanduser(found)), config)
    return Location(os.path.join(_base(environ, "XDG_DATA_HOME", ".local/share"), "kvcli", "default"), "default")


def setting(name: str, profile: str | None = None, environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """Give a setting as somebody wrote it, and where: in KVCLI_NAME, then in the config file. None: nowhere.

    Raises NoSuchStore for an unknown profile, MalformedData for a broken config file.
    """
    variable = f"KVCLI_{name.upper()}"
    if environ.get(variable):
        return environ[variable], variable
    config = config_file(environ)
    if profile is None and not os.path.exists(config):
        return None
    found = _configured(config, profile, name) or _configured(config, None, name)
    return None if found is None else (found, f"{name} in {config}")


def history_file(environ: Mapping[str, str] = os.environ) -> str:
    """Give the file that keeps what was typed in the REPL."""
    return os.path.join(_base(environ, "XDG_STATE_HOME", ".local/state"), "kvcli", "history")


def compiled_folder(environ: Mapping[str, str] = os.environ) -> str:
    """Give the folder that keeps compiled components; whoever uses it looks whether it is private."""
    return os.path.join(_base(environ, "XDG_CACHE_HOME", ".cache"), "kvcli", "compiled")


def config_file(environ: Mapping[str, str] = os.environ) -> str:
    """Give the config file, which need not be there."""
    return os.path.join(_base(environ, "XDG_CONFIG_HOME", ".config"), "kvcli", "config.toml")


def _checked(store: str) -> str:
    if not store:
        raise NoSuchStore("--store is empty: name a folder")
    return store


def _settings(config: str) -> dict[str, Any]:
    """Read the config file. Raises OSError, and ValueError also for what is none: a FIFO would be waited for."""
    import tomllib
    from stat import S_ISREG

    with open(config, "rb", opener=_at_once) as file:
        if not S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("this is no file")
        text = file.read(CONFIG_BYTES_MAX + 1)
    if len(text) > CONFIG_BYTES_MAX:
        raise ValueError(f"longer than {CONFIG_BYTES_MAX} bytes")
    return tomllib.loads(text.decode())


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _configured(config: str, profile: str | None, setting: str) -> str | None:
    try:
        settings = _settings(config)
    except FileNotFoundError as error:
        raise NoSuchStore(f"no profile {profile!r}: there is no {config}") from error
    except (OSError, ValueError) as error:
        raise MalformedData(f"{config}: {error}") from error
    except RecursionError as error:
        raise MalformedData(f"{config}: nested too deeply") from error
    name = profile or settings.get("profile")
    profiles = settings.get("profiles", {})
    if not isinstance(profiles, dict) or not isinstance(name, str | None):
        raise MalformedData(f"{config}: profile must be a string and profiles a table")
    section = settings if name is None else profiles.get(name)
    if section is None:
        known = ", ".join(profiles) or "none"
        raise NoSuchStore(f"no profile {name!r} in {config} (there are: {known})")
    if not isinstance(section, dict):
        raise MalformedData(f"{config}: profiles.{name} must be a table")
    value = section.get(setting)
    if value is not None and not isinstance(value, str):
        raise MalformedData(f"{config}: {setting} must be a string")
    return value


def _base(environ: Mapping[str, str], variable: str, fallback: str) -> str:
    # XDG: "If either not set or empty"; and a relative path is to be ignored.
    value = environ.get(variable, "")
    return value if os.path.isabs(value) else os.path.join(os.path.expanduser("~"), fallback)
