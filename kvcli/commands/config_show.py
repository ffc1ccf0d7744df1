"""kvcli config show: the settings that hold here, and who said so."""

from __future__ import annotations

import os

from kvcli.cache import CACHE_BYTES
from kvcli.commands import Table
from kvcli.location import config_file, history_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context

# What may stand in the config file, or in KVCLI_NAME, and what holds where nobody says it.
SETTINGS = {"cache_max_size": str(CACHE_BYTES), "editing_mode": "emacs", "history_values": "0"}


def run(context: Context, *, origin: bool = False) -> Table:
    """Give each setting with its value; with `origin`, the option, variable or file that decided, or `default`."""
    location = context.location.absolute()
    rows = [
        ("store", location.shown, location.origin),
        ("bucket", context.bucket_name, context.bucket_origin),
        *((name, *(context.setting(name) or (fallback, "default"))) for name, fallback in SETTINGS.items()),
        ("config_file", config_file(), _origin("XDG_CONFIG_HOME")),
        ("history_file", history_file(), _origin("XDG_STATE_HOME")),
    ]
    return Table([{"name": name, "value": value, **({"origin": who} if origin else {})} for name, value, who in rows])


def _origin(variable: str) -> str:
    return variable if os.path.isabs(os.environ.get(variable, "")) else "default"
