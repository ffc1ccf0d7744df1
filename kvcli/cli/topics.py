"""Topics: what is true of all commands, at length. Help prints these texts, and the man pages are made of them.

Lines that are indented stay as they are; those behind a $ are run by a test, and print what stands below them.
"""

from __future__ import annotations

from textwrap import fill, wrap

import kvcli.errors as family
from kvcli.cli.surroundings import VARIABLES
from kvcli.errors import EXIT_CODES, KvError

COLUMNS = 78


def rows(pairs: dict[str, str], width: int = 20) -> str:
    """Lay out names, and what there is to say of each, in two columns."""
    lines = []
    for name, text in pairs.items():
        first, *others = wrap(text, COLUMNS - width - 4)
        lines += [f"  {name:<{width}}  {first}", *[f"  {'':<{width}}  {line}" for line in others]]
    return "\n".join(lines)


def is_kept(block: str) -> bool:
    """Tell whether the lines of a block stay as they are."""
    return block.startswith("  ")


def wrapped(text: str) -> str:
    """Lay out a topic for a terminal."""
    blocks = [block if is_kept(block) else fill(block, COLUMNS) for block in text.rstrip().split("\n\n")]
    return "\n\n".join(blocks) + "\n"


def error_codes() -> dict[str, str]:
    """Give the word in JSON of each kind of error, with its exit code."""
    kinds = [each for each in vars(family).values() if isinstance(each, type) and issubclass(each, KvError)]
    codes = {each.code: str(each.exit_code) for each in kinds if each.__name__ != "Other"}  # That is a family.
    return {**codes, "command-failed": "that of the command"}


EXIT_STATUS = f"""\
An exit code says how it went, so that a script need not read messages. 1 to 5 are answers about the data; with 64 and
more there was no answer.

{rows({str(code): meaning for code, meaning in EXIT_CODES.items()}, 3)}

What failed is told on stderr in one line: what is wrong and what to do next. That a key is missing is told only where
stdout and stderr are both terminals, with --json, and in scripts of the REPL; 130 and 141 say nothing.

A command that kvcli runs and that fails passes its own code on: CMD of `cas --update`, `cache get-or-set` and `cache
run`, and the editor of `edit`. One that cannot be run is 126, one that is not there 127, and one that a signal has ended
is 128 and the number of the signal.

`run` passes on what its component ends with, 1 if that says no more than that it failed. A trap, which is also the end of
one that has no memory or fuel left, is 134, and a time-out 124; what is no component is 65, and one that imports what
kvcli does not have 66.

`batch` ends with the code of the operation that ended it; with --keep-going it is 4 if any failed. A script of the REPL
ends with the code of the first line that failed.
"""
JSON = f"""\
With --json, what is printed is JSON, one object a line. Every value is a string, that of `incr` too: 64 bits are more
than the numbers of many readers hold. Only figures, as those of `stat`, are numbers.

  $ kvcli set a 41 --json
  {{"key":"a","ok":true}}
  $ kvcli incr a --json
  {{"key":"a","value":"42"}}
  $ kvcli get a --json
  {{"key":"a","value":"42"}}
  $ kvcli exists b --json
  {{"key":"b","exists":false}}
  [exit 1]
  $ kvcli set b 7; kvcli list --values --limit 1 --json
  {{"key":"a","value":"42"}}
  {{"cursor":"k6Le-Q2E"}}
  $ kvcli cas a 43 --expect 42 --json
  {{"key":"a","swapped":true}}
  $ kvcli delete a --json
  {{"deleted":1}}

With --limit the last line of `list` is the cursor of the next page, null where there is none. A swap that is lost prints
"swapped":false, "found", the current "value", and a fresh "token". `get --token` adds a "token".

Bytes that are no UTF-8 stand as base64 in a field with another name, "key_b64" or "value_b64", instead of the plain one
and never beside it. `batch` and `import` read the same names.

  $ printf '\\377' | kvcli set b -; kvcli get b --json
  {{"key":"b","value_b64":"/w=="}}

Errors are objects too, on stderr, and so are warnings:

  $ kvcli get c --json
  {{"error":{{"code":"no-such-key","message":"no key 'c' in bucket 'default'"}}}}
  [exit 1]

The codes, with the exit code of each:

{rows(error_codes())}

On a terminal everything beyond ASCII is escaped, and it is the same JSON all the same.
"""
BATCH = """\
The input of `batch` is one JSON object a line, or one JSON array of them; the output is an answer a line, in the same
order. Blank lines, CRLF and a byte order mark are fine. A line may have 64 MiB, an element of an array 16 MiB, and an operation some 500,000 keys or 100,000 items.

  $ printf '%s\\n' '{"op":"incr","key":"n","id":7}' '{"op":"get","key":"m"}' | kvcli batch
  {"i":0,"id":7,"op":"incr","ok":true,"value":"1"}
  {"i":1,"op":"get","ok":true,"found":false}

The operations, with their fields, and what their answers have besides "i", "op" and "ok":

  get          key, [token]                  found, value, [token]
  set          key, value
  delete       key
  exists       key                           exists
  incr         key, [delta]                  value
  cas          key, new, expect or token     (if lost: found, value, token)
  list         [prefix], [limit], [cursor]   keys, cursor
  get_many     keys                          items: key, found, value
  set_many     items: key, value
  delete_many  keys

Each may have a "bucket", and an "id" of any kind, which its answer gives back as it came. "delta" is a number or a
string, 1 if not said; "expect" null is an absent key; "token":true asks for one; "limit" is 1 to 100000, 1000 if not
said. Bytes that are no UTF-8 come and go as base64: "key_b64", "value_b64", "keys_b64" and so on. An unknown field, and
one that is there twice, is malformed.

An answer with "ok":true is on disk. Input that pauses is answered at once, so a program can write a line and wait for
its answer; input that does not is taken in transactions of many operations, or of --chunk N.

A failure is answered too, and ends the batch, with its exit code. What was answered before stays. A missing key is no
failure.

  $ printf '%s\\n' '{"op":"set","key":"t","value":"x"}' '{"op":"incr","key":"t"}' | kvcli batch --results errors
  {"i":1,"op":"incr","ok":false,"error":{"code":"not-an-integer","message":"the value of 't' is not a decimal integer of 64 bits"}}
  kvcli: the value of 't' is not a decimal integer of 64 bits
  [exit 5]

With --keep-going it goes on after a failure. With --atomic all is one transaction: everything happens, or nothing, and
nothing is answered ok before all of it is on disk. With --dry-run it only looks whether the input is well formed.
"""
TOKENS = """\
A token says: this key, with what it held, at this moment. `cas --token` swaps only if nobody wrote the key since, in any
way: another value and back, deleted and made again, or, where it was absent, made and deleted.

  $ kvcli set leader ann
  $ token=$(kvcli get leader --token 2>&1 >/dev/null)
  $ kvcli set leader bob; kvcli set leader ann
  $ kvcli cas leader eve --token "$token"
  kvcli: the swap of 'leader' was lost: the key changed meanwhile; look at its value and try again
  [exit 3]
  $ kvcli cas leader eve --expect ann

As the last line shows, --expect looks at the value alone, and does not see what happened between.

`get --token` prints the token to stderr, and with --json as a field; in a batch, a get with "token":true answers one.
That of an absent key is printed too, beside exit code 1. A swap that was lost gives a fresh one, in its JSON. The token
of a swap that was won is used up: the swap wrote the key.

  $ token=$(kvcli get nobody --token 2>&1)
  [exit 1]
  $ kvcli cas nobody somebody --token "$token"
  $ kvcli cas nobody else --token "$token"
  kvcli: the swap of 'nobody' was lost: the key changed meanwhile; look at its value and try again
  [exit 3]

A token is for its key, bucket and store: elsewhere it loses, and so it does in a copy of the store that was put in its
place, and after `compact`. What is no token at all is a usage error.

Now and then a token loses though nobody wrote its key: keys share 4096 counters, and another key of the same counter was
written, or very many keys at once. So a program that swaps takes the fresh token and tries again, as `cas --update` does by
itself.

Of a store on a server (redis://HOST) a token knows the value alone: nobody notes there that a key was written. It loses to
another value, and wins where the same one was put back, like --expect. The handles of the library, and `cas --update`, miss
nothing there either: they watch the key.
"""
ENVIRONMENT = f"""\
An option wins over the variable of the same purpose, and that over the config file. One of KVCLI_* and XDG_* that is
empty counts as not set.

{rows({each.name: each.text for each in VARIABLES})}

In the REPL, what is behind | and > runs with KVCLI_STORE and KVCLI_BUCKET set to the store and bucket of the session.
"""
ESCAPING = """\
A value is bytes, and is printed as it is: to a pipe or a file nothing is added, left out or escaped. (With --values,
`list` puts a tab between key and value and a newline behind; with -0, NUL.)

On a terminal, what could act on it or deceive the eye is shown instead of sent: control characters, those that turn the
direction of text, and those that take no place.

  \\t \\n \\r \\e     tab, newline, carriage return, escape
  \\x07            another control character, or a byte that is no UTF-8
  \\u{202e}        any other character

Newlines of a value stay, except in `list`. A backslash stays one backslash, so this is for eyes: what is to be read back
takes a pipe, or --json. `get --raw` escapes nothing. Messages on stderr are always escaped. JSON on a terminal has
\\u202e and the like instead, which every reader of JSON undoes.

The other way round, VALUE on a command line is taken as it is, but for its first character:

  -                stdin, to its end
  @FILE            what FILE holds
  @@x              the text @x

A newline at the end belongs to the value; --chomp strips one. Behind -- nothing is an option, so keys may start with a
dash; a negative number needs no -- in `set`, `incr`, `cas` and `cache set`.

  $ kvcli set -- -v @@home; kvcli get -- -v; echo
  @home
  $ date | kvcli set now - --chomp
"""
RUN = f"""\
A component gets what it imports of wasi:keyvalue from buckets of the store, which it opens by identifiers:

{
    rows(
        {
            "'' and default": "the bucket of --bucket NAME, else of KVCLI_BUCKET, else `default`",
            "NAME": "BUCKET, where --bucket NAME=BUCKET says so; with :ro behind it, for reading alone",
            "what --deny names": "access-denied, whether or not there is such a bucket",
            "all else": "no-such-store, whether or not there is such a bucket",
        }
    )
}

store, atomics and batch are there as 0.2.0-draft has them, as 0.2.0-draft2 does, upstream's and Spin's, and with
new-with-read; cache as 0.1.0 has it, without streams. Which it is, is told by the types that a component imports. What
goes wrong with the store is an error of the interface, and no trap.

It has the three streams, its arguments, and what --env and --dir give it; it has no network. --timeout, --memory and
--fuel are limits. A value has at most 2 MiB, and so have all values of a batch together.

With --watch, a component that exports wasi:keyvalue/watcher is told of what it wrote, once its run has returned, and then
of what it writes on being told.

It is compiled when it is run first. The machine code is kept for the next time, in a folder that nobody else can write.
"""
TEXTS = {
    "exit-codes": ("What each exit code means.", EXIT_STATUS),
    "json": ("What --json prints, and how bytes stand in it.", JSON),
    "batch": ("The operations of batch, and their answers.", BATCH),
    "run": ("What a component is given.", RUN),
    "tokens": ("Swaps that no change escapes.", TOKENS),
    "environment": ("The variables that kvcli reads.", ENVIRONMENT),
    "escaping": ("What a terminal shows, and how a value is written.", ESCAPING),
}
TOPICS = {name: (summary, wrapped(text)) for name, (summary, text) in TEXTS.items()}
