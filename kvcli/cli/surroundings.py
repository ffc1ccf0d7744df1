"""Surroundings: the variables that kvcli reads and the files that it keeps, each told of once, for help and man pages."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.cli.syntax import Syntax


class Surrounding:
    """A variable or a file: its name, what it is for, and whom it concerns."""

    __slots__ = ("name", "text", "whom")

    def __init__(self, name: str, text: str, *whom: str) -> None:
        """`whom` names commands, groups, or an option that commands have; nobody named is everybody."""
        self.name = name
        self.text = text
        self.whom = whom

    def concerns(self, syntax: Syntax) -> bool:
        """Tell whether a command has to do with it; kvcli as a whole has to do with all."""
        mine = {syntax.name, syntax.name.split(" ")[0], *[name for each in syntax.options for name in each.names]}
        return not (self.whom and syntax.name) or bool(mine & {*self.whom})


VARIABLES = (
    Surrounding(
        "KVCLI_STORE", "The store, unless --store says it. It wins over --profile and the config file.", "--store"
    ),
    Surrounding("KVCLI_BUCKET", "The bucket, unless --bucket says it; else it is `default`.", "--bucket"),
    Surrounding("KVCLI_REDIS_PASSWORD", "The password of a store on a server, unless its URL holds one.", "--store"),
    Surrounding(
        "KVCLI_REDIS_PASSWORD_FILE", "A file whose first line is that password. (KVCLI_REDIS_PASSWORD wins.)", "--store"
    ),
    Surrounding("KVCLI_REDIS_USERNAME", "The user of a store on a server, unless its URL names one.", "--store"),
    Surrounding("KVCLI_CACHE_MAX_SIZE", "The cap of the cache, as 64M or 1G, unless --max-size says it.", "cache"),
    Surrounding("KVCLI_CACHE_SCOPE", "The scope of `cache run`, unless --scope says it.", "cache run"),
    Surrounding("KVCLI_CACHE_TTL", "The time to live of `cache run`, unless --ttl says it.", "cache run"),
    Surrounding("KVCLI_HISTORY_VALUES", "1, yes, true or on: the history of the REPL keeps values too.", "repl"),
    Surrounding("KVCLI_EDITING_MODE", "vi or emacs: the keys of the REPL. Without it, emacs.", "repl"),
    Surrounding("KVCLI_DEBUG", "Not empty: errors come with the traceback that led to them."),
    Surrounding(
        "XDG_CONFIG_HOME",
        "Where the config file is looked for, as kvcli/config.toml. Unset, empty or relative, it is ~/.config.",
        "--store",
    ),
    Surrounding(
        "XDG_DATA_HOME",
        "Where the store is that nobody named, as kvcli/default. Unset, empty or relative, it is ~/.local/share.",
        "--store",
    ),
    Surrounding(
        "XDG_STATE_HOME",
        "Where the REPL keeps its history, as kvcli/history. Unset, empty or relative, it is ~/.local/state.",
        "repl",
    ),
    Surrounding(
        "XDG_CACHE_HOME",
        "Where compiled components are kept, as kvcli/compiled. Unset, empty or relative, it is ~/.cache.",
        "run",
    ),
    Surrounding("XDG_RUNTIME_DIR", "Where the pipes of `kv` are; else in TMPDIR.", "shell-init"),
    Surrounding("HOME", "What ~ stands for.", "--store"),
    Surrounding("VISUAL", "The editor, with its options if it needs any.", "edit", "repl"),
    Surrounding("EDITOR", "The editor where VISUAL is not set; without both it is vi.", "edit", "repl"),
    Surrounding(
        "TMPDIR", "Where files are made that do not last; else /tmp.", "edit", "batch", "check", "repl", "shell-init"
    ),
    Surrounding("NO_COLOR", "Not empty: no colours, and no boxes in help."),
    Surrounding("FORCE_COLOR", "Not empty: help has colours and boxes also where no terminal is."),
    Surrounding(
        "TERM", "dumb: no colours, no boxes, and a REPL of plain lines; that also where it is unknown, or not set."
    ),
    Surrounding("KVCLI_EVENT", "Set by kvcli for CMD: what happened, set or delete.", "watch"),
    Surrounding("KVCLI_KEY", "Set by kvcli for CMD: the key that it happened to.", "watch"),
    Surrounding("KVCLI_KEY_B64", "Set instead of KVCLI_KEY for a key that holds NUL: it, in base64.", "watch"),
)
FILES = (
    Surrounding(
        "$XDG_CONFIG_HOME/kvcli/config.toml",
        "Settings: store, cache_max_size, history_values, editing_mode; the same under [profiles.NAME], for --profile; and "
        "profile, the name of the one to use where none is said. A relative store is beside the file.",
        "--store",
    ),
    Surrounding("$XDG_DATA_HOME/kvcli/default", "The store that nobody named.", "--store"),
    Surrounding("STORE/data.mdb", "A store. Beside it LMDB keeps a table of those who read and write.", "--store"),
    Surrounding("STORE/cache", "Its cache, which may be removed at any time when nobody uses it.", "cache"),
    Surrounding(
        "$XDG_RUNTIME_DIR/kvcli-*", "Pipes to the process that answers a shell's `kv`; they end with it.", "shell-init"
    ),
    Surrounding(
        "$XDG_CACHE_HOME/kvcli/compiled",
        "Machine code of components, which may be removed at any time. It is used only if nobody else can write there.",
        "run",
    ),
    Surrounding("$XDG_STATE_HOME/kvcli/history", "What was typed in the REPL, without the values.", "repl"),
)
