"""Guests that are commands: each does one thing that a host has to bear, or to get right."""

from __future__ import annotations

from tests.wasm.building import LIBC, OPTIONS, Imports
from tests.wasm.shapes import DRAFT2

WASI = """
(import "wasi:io/error@0.2.0" (instance $io (export "error" (type (sub resource)))))
(alias export $io "error" (type $io-error))
(import "wasi:io/streams@0.2.0" (instance $streams
  (export "output-stream" (type $out (sub resource)))
  (export "input-stream" (type $in (sub resource)))
  (export "error" (type $e (eq $io-error)))
  (type $stream-error- (variant (case "last-operation-failed" (own $e)) (case "closed")))
  (export "stream-error" (type $stream-error (eq $stream-error-)))
  (export "[method]output-stream.blocking-write-and-flush"
    (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $stream-error)))))
  (export "[method]input-stream.blocking-read"
    (func (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $stream-error)))))))
(alias export $streams "output-stream" (type $the-out))
(alias export $streams "input-stream" (type $the-in))
(import "wasi:cli/stdout@0.2.0" (instance $stdout
  (export "output-stream" (type $out (eq $the-out))) (export "get-stdout" (func (result (own $out))))))
(import "wasi:cli/stdin@0.2.0" (instance $stdin
  (export "input-stream" (type $in (eq $the-in))) (export "get-stdin" (func (result (own $in))))))
(import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
(import "wasi:cli/environment@0.2.0" (instance $environment
  (export "get-environment" (func (result (list (tuple string string)))))
  (export "get-arguments" (func (result (list string))))))
(import "wasi:filesystem/types@0.2.0" (instance $files (export "descriptor" (type (sub resource)))))
(alias export $files "descriptor" (type $the-descriptor))
(import "wasi:filesystem/preopens@0.2.0" (instance $preopens
  (export "descriptor" (type $d (eq $the-descriptor)))
  (export "get-directories" (func (result (list (tuple (own $d) string)))))))
"""
WRITE, READ = "[method]output-stream.blocking-write-and-flush", "[method]input-stream.blocking-read"

# Where calls put their results, and where the second word of a result stands, if it is an ok.
R, OK = "(i32.const 16)", "(i32.load (i32.const 20))"
FAILED = "(i32.load8_u (i32.const 16))"


class Texts:
    """Texts in memory."""

    def __init__(self) -> None:
        """Begin behind the room for results."""
        self.data = ""
        self._next = 1024

    def __call__(self, text: str) -> str:
        """Place a text, and give its address and length as two constants."""
        at, size = self._next, len(text.encode())
        self.data += f'(data (i32.const {at}) "{text}")'
        self._next += size
        return f"(i32.const {at}) (i32.const {size})"


def command(body: str, texts: Texts, functions: str = "", exports: str = "") -> str:
    """Write a command whose core is `body`, which leaves 0 for ok and 1 for err; $b is the home bucket, opened."""
    imports = Imports(DRAFT2.imports() + WASI + LIBC)
    imports.add_shape(DRAFT2)
    for name, instance, function, kinds, answer in (
        ("get-stdout", "stdout", "get-stdout", [], "(result i32)"),
        ("get-stdin", "stdin", "get-stdin", [], "(result i32)"),
        ("write", "streams", WRITE, ["i32", "i32", "i32", "i32"], ""),
        ("read", "streams", READ, ["i32", "i64", "i32"], ""),
        ("exit", "exit", "exit", ["i32"], ""),
        ("get-environment", "environment", "get-environment", ["i32"], ""),
        ("get-arguments", "environment", "get-arguments", ["i32"], ""),
        ("get-directories", "preopens", "get-directories", ["i32"], ""),
    ):
        imports.add(name, kinds, f'canon lower (func ${instance} "{function}") {OPTIONS}', answer)
    core = f"""{functions}
      (func (export "run") (result i32)
        (local $b i32) (local $n i32) (local $cas i32) (local $at i32) (local $end i32)
        (call $open {texts("")} {R})
        (if {FAILED} (then (return (i32.const 1))))
        (local.set $b {OK})
        {body})"""
    lifted = (
        '(func $run (result (result)) (canon lift (core func $main "run")))\n(instance $run (export "run" (func $run)))'
    )
    return imports.component([core, texts.data], f'{lifted}\n(export "wasi:cli/run@0.2.0" (instance $run))\n{exports}')


def simple(body: str) -> str:
    """Write a command that has no texts."""
    return command(body, Texts())


def wait_for(key: str) -> str:
    """Write a loop that ends once a key exists."""
    return f"(loop $wait (call $bucket-exists (local.get $b) {key} {R}) (br_if $wait (i32.eqz (i32.load8_u (i32.const 20)))))"


def write(key: str, value: str) -> str:
    """Write a call of set."""
    return f"(call $bucket-set (local.get $b) {key} {value} {R}) (if {FAILED} (then (return (i32.const 1))))"


def counting(times: int) -> str:
    """Add 1 to the key n, so many times."""
    t = Texts()
    return command(
        f"""(local.set $n (i32.const {times}))
        (loop $again
          (call $increment (local.get $b) {t("n")} (i64.const 1) {R})
          (if {FAILED} (then (return (i32.const 1))))
          (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i32.const 0)""",
        t,
    )


def swapping(times: int) -> str:
    """Add 1 to the number of 4 bytes under the key n by swaps, so many times; a lost one is done again with the fresh handle."""
    t = Texts()
    return command(
        f"""(local.set $n (i32.const {times}))
        (loop $again
          (call $cas-new (local.get $b) {t("n")} {R})
          (if {FAILED} (then (return (i32.const 1))))
          (local.set $cas {OK})
          (loop $retry
            (call $cas-current (local.get $cas) {R})
            (if {FAILED} (then (return (i32.const 1))))
            (i32.store (i32.const 64) (i32.const 1))
            (if (i32.load8_u (i32.const 20))
              (then (i32.store (i32.const 64) (i32.add (i32.load (i32.load (i32.const 24))) (i32.const 1)))))
            (call $swap (local.get $cas) (i32.const 64) (i32.const 4) {R})
            (if {FAILED} (then
              (if (i32.eqz (i32.load8_u (i32.const 20))) (then (return (i32.const 1))))
              (local.set $cas (i32.load (i32.const 24)))
              (br $retry))))
          (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i32.const 0)""",
        t,
    )


def aba_victim() -> str:
    """Make a handle on the key k, let the other one write, and swap: err unless that is cas-failed."""
    t = Texts()
    return command(
        f"""(call $cas-new (local.get $b) {t("k")} {R})
        (local.set $cas {OK})
        {write(t("ready"), t(""))} {wait_for(t("go"))}
        (call $swap (local.get $cas) {t("mine")} {R})
        (i32.eqz (i32.and {FAILED} (i32.eq (i32.load8_u (i32.const 20)) (i32.const 1))))""",
        t,
    )


def aba_writer() -> str:
    """Write another value to the key k, and the first one again, once the victim has its handle."""
    t = Texts()
    k, go, nothing = t("k"), t("go"), t("")
    return command(
        f"{wait_for(t('ready'))} {write(k, t('b'))} {write(k, t('a'))} {write(go, nothing)} (i32.const 0)", t
    )


def hello(text: str = "hello") -> str:
    """Print a text, without a newline."""
    t = Texts()
    return command(f"(call $write (call $get-stdout) {t(text)} {R}) (i32.const 0)", t)


def listing(function: str, size: int, offset: int, count: int) -> str:
    """Print the texts of a list that a function gives: `count` to an element of `size`, the first at `offset`; / behind each."""
    t = Texts()
    slash = t("/")
    place = "(i32.add (local.get $at) (i32.const {}))"
    writes = "".join(
        f"(call $write (local.get $n) (i32.load {place.format(offset + 8 * each)}) "
        f"(i32.load {place.format(offset + 8 * each + 4)}) {R}) (call $write (local.get $n) {slash} {R})"
        for each in range(count)
    )
    return command(
        f"""(local.set $n (call $get-stdout))
        (call ${function} {R})
        (local.set $at (i32.load {R}))
        (local.set $end (i32.add (local.get $at) (i32.mul {OK} (i32.const {size}))))
        (block $done (loop $each
          (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
          {writes}
          (local.set $at {place.format(size)})
          (br $each)))
        (i32.const 0)""",
        t,
    )


def setting(size: int) -> str:
    """Set the key k to a value of so many zeros, and get it back."""
    t = Texts()
    k = t("k")
    return command(
        f"""(drop (memory.grow (i32.const {(size >> 16) + 1})))
        (call $bucket-set (local.get $b) {k} (i32.const 262144) (i32.const {size}) {R})
        (if {FAILED} (then (return (i32.const 1))))
        (call $bucket-get (local.get $b) {k} {R})
        (i32.or {FAILED} (i32.ne (i32.load (i32.const 28)) (i32.const {size})))""",
        t,
    )


def after_a_write(body: str) -> str:
    """Set the key k, and then do something bad."""
    t = Texts()
    return command(f"{write(t('k'), t('1'))} {body}", t)


def watching() -> str:
    """Set and delete keys of one letter; told of such a key, put what was told under `set` or `deleted`."""
    t = Texts()
    k, j = t("k"), t("j")
    body = (
        f"{write(k, t('1'))} {write(j, t('2'))} (call $bucket-delete (local.get $b) {j} {R}) "
        f"(call $increment (local.get $b) {k} (i64.const 5) {R}) (i32.const 0)"
    )
    functions = f"""
      (func (export "on-set") (param i32 i32 i32 i32 i32)
        (if (i32.eq (local.get 2) (i32.const 1))
          (then (call $bucket-set (local.get 0) {t("set")} (local.get 3) (local.get 4) {R})))
        (call $drop-bucket (local.get 0)))
      (func (export "on-delete") (param i32 i32 i32)
        (call $bucket-set (local.get 0) {t("deleted")} (local.get 1) (local.get 2) {R})
        (call $drop-bucket (local.get 0)))"""
    lifted = "".join(
        f"""(func ${name} (param "bucket" (own $bucket)) (param "key" string) {more}
          (canon lift (core func $main "{name}") {OPTIONS}))"""
        for name, more in (("on-set", '(param "value" (list u8))'), ("on-delete", ""))
    )
    instance = '(instance $w (export "on-set" (func $on-set)) (export "on-delete" (func $on-delete)))'
    return command(body, t, functions, f'{lifted}{instance}(export "wasi:keyvalue/watcher@0.2.0-draft2" (instance $w))')


def reading() -> str:
    """Read for ever, once the key `ready` is set."""
    t = Texts()
    get = f"(call $bucket-get (local.get $b) {t('k150')} {R})"
    return command(f"{write(t('ready'), t(''))} (loop $again {get} (br $again)) (i32.const 0)", t)


LOOP = "(loop $for-ever (br $for-ever)) (i32.const 0)"
COMMANDS = {
    "ok": simple("(i32.const 0)"),
    "err": simple("(i32.const 1)"),
    "exit": simple("(call $exit (i32.const 1)) (i32.const 0)"),
    "count": counting(50),
    "swap": swapping(50),
    "aba-victim": aba_victim(),
    "aba-writer": aba_writer(),
    "hello": hello(),
    "arguments": listing("get-arguments", 8, 0, 1),
    "environment": listing("get-environment", 16, 0, 2),
    "folders": listing("get-directories", 12, 4, 1),
    "trap": after_a_write("unreachable"),
    "divide": after_a_write("(i32.div_u (i32.const 1) (i32.load (i32.const 0)))"),
    "overflow": command("(call $deep) (i32.const 0)", Texts(), "(func $deep (call $deep) (call $deep))"),
    "loop": after_a_write(LOOP),
    "memory": after_a_write(
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable"
    ),
    "table": command(
        "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1)))) "
        "(i32.gt_u (table.size $t) (i32.const 131072))",
        Texts(),
        "(table $t 1 funcref)",
    ),
    "stdin": after_a_write(f"(call $read (call $get-stdin) (i64.const 10) {R}) (i32.const 0)"),
    "watch": watching(),
    "read": reading(),
    "two-megabytes": setting(2 << 20),
    "three-megabytes": setting(3_000_000),
}
UNKNOWN = """(component (import "acme:rocket/engine@1.0.0" (instance $i (export "start" (func))))
(core module $m (func (export "run") (result i32) (i32.const 0))) (core instance $m (instantiate $m))
(func $run (result (result)) (canon lift (core func $m "run"))) (instance $run (export "run" (func $run)))
(export "wasi:cli/run@0.2.0" (instance $run)))"""
BAD = {
    "core module": "(module)",
    "no text": "hello",
    "nothing": "",
    "no command": "(component)",
    "unknown import": UNKNOWN,
}
