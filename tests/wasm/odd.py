"""Guests that are odd: of types that nobody foresaw, with names that mislead, and watchers that ask for trouble."""

from __future__ import annotations

from tests.wasm.building import OPTIONS
from tests.wasm.commands import FAILED, R, Texts, command, write

ON_SET = '(param "bucket" (own $bucket)) (param "key" string) (param "value" (list u8))'


def export(core: str, kind: str) -> str:
    """Write a component whose run has some type."""
    return f"""(component (core module $m (func (export "run") {core})) (core instance $m (instantiate $m))
      (func $run {kind} (canon lift (core func $m "run"))) (instance $run (export "run" (func $run)))
      (export "wasi:cli/run@0.2.0" (instance $run)))"""


def importing(function: str, kind: str) -> str:
    """Write a component that imports a function of wasi:keyvalue/store that has some type."""
    return f"""(component (import "wasi:keyvalue/store@0.2.0-draft2" (instance (export "bucket" (type $bucket (sub resource)))
      (type $error- (variant (case "no-such-store") (case "access-denied") (case "other" string)))
      (export "error" (type $error (eq $error-))) (export "{function}" (func {kind})))))"""


def importing_cache(kind: str) -> str:
    """Write a component that imports `exists` of wasi:keyvalue/cache, with some type."""
    return f"""(component (import "wasi:keyvalue/cache@0.1.0" (instance
      (export "future-exists-result" (type $future (sub resource))) (export "exists" (func {kind})))))"""


def watcher(body: str, on_set: str, texts: Texts, kind: str = ON_SET, flat: str = "i32 i32 i32 i32 i32") -> str:
    """Write a command with a watcher."""
    functions = f"""(func (export "on-set") (param {flat}) {on_set})
      (func (export "on-delete") (param i32 i32 i32) (call $drop-bucket (local.get 0)))"""
    lifted = f"""(func $s {kind} (canon lift (core func $main "on-set") {OPTIONS}))
      (func $d (param "bucket" (own $bucket)) (param "key" string) (canon lift (core func $main "on-delete") {OPTIONS}))
      (instance $w (export "on-set" (func $s)) (export "on-delete" (func $d)))
      (export "wasi:keyvalue/watcher@0.2.0-draft2" (instance $w))"""
    return command(body, texts, functions, lifted)


def named(name: str) -> str:
    """Write a command that traps in a function of some name."""
    return command(f'(call $"{name}") (i32.const 0)', Texts(), f'(func $"{name}" unreachable)')


def watching(end: str, on_set: str) -> str:
    """Set the key k, and end; told of that, do something, where N and TOLD are keys to use."""
    t = Texts()
    for name in ("n", "told"):
        on_set = on_set.replace(name.upper(), t(name))
    return watcher(f"{write(t('k'), t('1'))} {end}", f"{on_set} (call $drop-bucket (local.get 0))", t)


def printing(failed: str) -> str:
    """Print for ever, but do something once that fails."""
    t = Texts()
    stdout = "(local.set $n (call $get-stdout))"
    written = f"(call $write (local.get $n) {t('y')} {R})"
    return command(f"{stdout} (loop $again {written} (if {FAILED} (then {failed})) (br $again)) (i32.const 0)", t)


INCREMENT = f"(call $increment (local.get 0) N (i64.const 1) {R})"
TELL = f"(call $bucket-set (local.get 0) TOLD (local.get 3) (local.get 4) {R})"
NAME = Texts()
ODD = {
    "run without a result": export("", ""),
    "run with a number": export("(result i32) (i32.const 3)", "(result u32)"),
    "run with a parameter": export("(param i32) (result i32) (i32.const 0)", '(param "x" u32) (result (result))'),
    "misnamed": named("matching implementation was not found in the linker `a`"),
    "named as a cause": named("x Caused by: something else"),
    "watcher without a value": watcher(
        "(i32.const 0)", "", Texts(), '(param "bucket" (own $bucket)) (param "key" string)', "i32 i32 i32"
    ),
    "watcher of text": watcher("(i32.const 0)", "", Texts(), ON_SET.replace("(list u8)", "string")),
    "watcher that borrows": watcher("(i32.const 0)", "", Texts(), ON_SET.replace("own", "borrow")),
    "watcher that writes": watching("(i32.const 0)", INCREMENT),
    "watcher after an exit": watching("(call $exit (i32.const 1)) (i32.const 0)", TELL),
    "watcher that traps": watching("(i32.const 0)", "unreachable"),
    "printer that fails": printing("(return (i32.const 1))"),
    "printer that traps": printing("unreachable"),
    "hoarder": command(
        f"(loop $more (call $open {NAME('')} {R}) (br_if $more (i32.eqz {FAILED}))) (i32.const 0)", NAME
    ),
    "get with a number": importing(
        "[method]bucket.get",
        '(param "self" (borrow $bucket)) (param "key" string) (result (result (option u32) (error $error)))',
    ),
    "exists of a number": importing_cache('(param "k" u32) (result (own $future))'),
    "exists of two": importing_cache('(param "k" string) (param "l" string) (result (own $future))'),
    "open without an error": importing("open", '(param "identifier" string) (result (own $bucket))'),
}
