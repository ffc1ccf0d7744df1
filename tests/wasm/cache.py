"""The older text with `cache`, its `types` and its `error`, as component text: seed 004, and version 0.1.0 of wasi:keyvalue."""

from __future__ import annotations

from tests.wasm.shapes import BYTES, Functions, signature

INCOMING, OUTGOING, ERROR = "(own $incoming-value)", "(own $outgoing-value)", "(own $error)"
FUTURES = {
    "future-get-result": f"(option {INCOMING})",
    "future-exists-result": "bool",
    "future-result": "",
    "future-get-or-set-result": "$get-or-set-entry",
}
ENTRY = f'(variant (case "occupied" {INCOMING}) (case "vacant" (own $vacancy)))'


def result(ok: str = "") -> str:
    """Write a result with the error of this text, which is a resource."""
    return f"(result {ok} (error {ERROR}))"


class CacheShape:
    """All that a guest of this text imports."""

    handles = ("error", "incoming-value", "outgoing-value", "pollable", "vacancy", *FUTURES)

    def __init__(self) -> None:
        """List the functions."""
        self.parts: dict[str, Functions] = {
            "poll": {
                "[method]pollable.ready": (("(borrow $pollable)",), "bool"),
                "[method]pollable.block": (("(borrow $pollable)",), ""),
            },
            "wasi-keyvalue-error": {"[method]error.trace": (("(borrow $error)",), "string")},
            "types": {
                "[static]outgoing-value.new-outgoing-value": ((), OUTGOING),
                "[method]outgoing-value.outgoing-value-write-body-sync": (
                    *(("(borrow $outgoing-value)", BYTES), result()),
                ),
                "[method]outgoing-value.outgoing-value-write-body-async": (
                    *(("(borrow $outgoing-value)",), result("(own $output-stream)")),
                ),
                "[method]incoming-value.incoming-value-consume-sync": (("(borrow $incoming-value)",), result(BYTES)),
                "[method]incoming-value.incoming-value-size": (("(borrow $incoming-value)",), result("u64")),
            },
            "cache": {
                "get": (("string",), "(own $future-get-result)"),
                "exists": (("string",), "(own $future-exists-result)"),
                "set": (("string", "(borrow $outgoing-value)", "(option u32)"), "(own $future-result)"),
                "delete": (("string",), "(own $future-result)"),
                "get-or-set": (("string",), "(own $future-get-or-set-result)"),
                "[method]vacancy.vacancy-fill": (("(borrow $vacancy)", "(option u32)"), OUTGOING),
            },
        }
        for name, ok in FUTURES.items():
            self.parts["cache"][f"[method]{name}.{name}-get"] = ((f"(borrow ${name})",), f"(option {result(ok)})")
            self.parts["cache"][f"[method]{name}.listen-to-{name}"] = ((f"(borrow ${name})",), "(own $pollable)")

    @property
    def functions(self) -> Functions:
        """All functions."""
        return {name: each for part in self.parts.values() for name, each in part.items()}

    def imports(self) -> str:
        """Write the imports, and names for their types."""
        text = self._instance("poll", "wasi:io/poll@0.2.0", ["pollable"], [])
        text += """(import "wasi:io/streams@0.2.0" (instance $streams (export "output-stream" (type (sub resource)))))
          (alias export $streams "output-stream" (type $output-stream))
          (alias export $streams "output-stream" (type $the-output-stream))"""
        text += self._instance("wasi-keyvalue-error", "wasi:keyvalue/wasi-keyvalue-error@0.1.0", ["error"], [])
        own = ["incoming-value", "outgoing-value"]
        text += self._instance("types", "wasi:keyvalue/types@0.1.0", own, ["error", "output-stream"])
        text += self._instance(
            "cache", "wasi:keyvalue/cache@0.1.0", ["vacancy", *FUTURES], ["pollable", "error", *own], entry=True
        )
        return text + '(alias export $cache "get-or-set-entry" (type $get-or-set-entry))'

    def _instance(self, name: str, full: str, own: list[str], used: list[str], *, entry: bool = False) -> str:
        parts = [f'(export "{each}" (type ${each} (eq $the-{each})))' for each in used]
        parts += [f'(export "{each}" (type ${each} (sub resource)))' for each in own]
        if entry:
            parts.append(f'(type $entry- {ENTRY}) (export "get-or-set-entry" (type $get-or-set-entry (eq $entry-)))')
        parts += [f'(export "{each}" {signature(kind, each)})' for each, kind in self.parts[name].items()]
        aliases = "".join(
            f'(alias export ${name} "{each}" (type ${each})) (alias export ${name} "{each}" (type $the-{each}))'
            for each in own
        )
        return f'(import "{full}" (instance ${name} {" ".join(parts)}))\n{aliases}\n'


def caching() -> str:
    """Write a command that sets the key k of the cache."""
    from tests.wasm.building import LIBC, Imports

    imports = Imports(CacheShape().imports() + LIBC)
    imports.add_shape(CacheShape())
    body = """(data (i32.const 1024) "kvalue")
      (func (export "run") (result i32) (local $v i32)
        (local.set $v (call $outgoing-value-new-outgoing-value))
        (call $outgoing-value-outgoing-value-write-body-sync (local.get $v) (i32.const 1025) (i32.const 5) (i32.const 16))
        (if (i32.load8_u (i32.const 16)) (then (return (i32.const 1))))
        (call $drop-future-result
          (call $set (i32.const 1024) (i32.const 1) (local.get $v) (i32.const 0) (i32.const 0)))
        (i32.const 0))"""
    lifted = (
        '(func $run (result (result)) (canon lift (core func $main "run")))\n(instance $run (export "run" (func $run)))'
    )
    return imports.component([body], f'{lifted}\n(export "wasi:cli/run@0.2.0" (instance $run))')
