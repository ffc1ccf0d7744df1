"""The interfaces of wasi:keyvalue in the shapes that are in use, as component text, from one table.

Types stand as they do in the text; $bucket, $error and so on are named alike inside of an interface and outside.
"""

from __future__ import annotations

ERROR = '(variant (case "no-such-store") (case "access-denied") (case "other" string))'
BYTES, BUCKET, CAS = "(list u8)", "(borrow $bucket)", "(borrow $cas)"
PAIR = f"(tuple string {BYTES})"


def result(ok: str = "", error: str = "$error") -> str:
    """Write a result."""
    return f"(result {ok} (error {error}))"


Functions = dict[str, tuple[tuple[str, ...], str]]


class Shape:
    """One of the shapes."""

    def __init__(
        self,
        version: str,
        *,
        cursor: str = "string",
        number: str = "s64",
        many: str = f"(option {PAIR})",
        cas: bool = True,
        failed: str = "(own $cas)",
        with_read: bool = False,
    ) -> None:
        """Say where it differs from upstream's 0.2.0-draft2."""
        self.version = version
        self.page = f'(record (field "keys" (list string)) (field "cursor" (option {cursor})))'
        self.cas_error = f'(variant (case "store-error" $error) (case "cas-failed" {failed}))' if cas else ""
        self.store: Functions = {
            "open": (("string",), result("(own $bucket)")),
            "[method]bucket.get": ((BUCKET, "string"), result(f"(option {BYTES})")),
            "[method]bucket.set": ((BUCKET, "string", BYTES), result()),
            "[method]bucket.delete": ((BUCKET, "string"), result()),
            "[method]bucket.exists": ((BUCKET, "string"), result("bool")),
            "[method]bucket.list-keys": ((BUCKET, f"(option {cursor})"), result("$page")),
        }
        self.atomics: Functions = {"increment": ((BUCKET, "string", number), result(number))}
        if cas:
            self.atomics["[static]cas.new"] = ((BUCKET, "string"), result("(own $cas)"))
            self.atomics["swap"] = (("(own $cas)", BYTES), result(error="$cas-error"))
            if with_read:
                both = f"(tuple (own $cas) (option {BYTES}))"
                self.atomics["[static]cas.new-with-read"] = ((BUCKET, "string"), result(both))
            else:
                self.atomics["[method]cas.current"] = ((CAS,), result(f"(option {BYTES})"))
        self.batch: Functions = {
            "get-many": ((BUCKET, "(list string)"), result(f"(list {many})")),
            "set-many": ((BUCKET, f"(list {PAIR})"), result()),
            "delete-many": ((BUCKET, "(list string)"), result()),
        }

    @property
    def parts(self) -> dict[str, Functions]:
        """The functions of each interface."""
        return {"store": self.store, "atomics": self.atomics, "batch": self.batch}

    @property
    def functions(self) -> Functions:
        """All functions."""
        return {name: each for part in self.parts.values() for name, each in part.items()}

    @property
    def handles(self) -> tuple[str, ...]:
        """The kinds of handles that a guest drops."""
        return ("bucket", "cas") if self.cas_error else ("bucket",)

    def imports(self) -> str:
        """Write the imports, and names for their types."""
        text = self._instance("store", self.store, [("bucket", ""), ("error", ERROR), ("key-response", self.page)])
        text += _aliases("store", {"bucket": ("$bucket", "$the-bucket"), "error": ("$error", "$the-error")})
        text += _aliases("store", {"key-response": ("$page",)})
        used = [("bucket", "(eq)"), ("error", "(eq)")]
        with_cas = [("cas", ""), ("cas-error", self.cas_error)] if self.cas_error else []
        text += self._instance("atomics", self.atomics, used + with_cas)
        if with_cas:
            text += _aliases("atomics", {"cas": ("$cas",), "cas-error": ("$cas-error",)})
        return text + self._instance("batch", self.batch, used)

    def _instance(self, name: str, functions: Functions, types: list[tuple[str, str]]) -> str:
        parts = []
        for kind, definition in types:
            label = "$page" if kind == "key-response" else f"${kind}"
            if definition == "":
                parts.append(f'(export "{kind}" (type {label} (sub resource)))')
            elif definition == "(eq)":
                parts.append(f'(export "{kind}" (type {label} (eq $the-{kind})))')
            else:
                parts.append(f'(type {label}- {definition})(export "{kind}" (type {label} (eq {label}-)))')
        parts += [f'(export "{each}" {signature(functions[each], each)})' for each in functions]
        return f'(import "wasi:keyvalue/{name}@{self.version}" (instance ${name} {" ".join(parts)}))\n'


def _aliases(instance: str, names: dict[str, tuple[str, ...]]) -> str:
    return "".join(
        f'(alias export ${instance} "{name}" (type {label}))\n' for name, labels in names.items() for label in labels
    )


def signature(function: tuple[tuple[str, ...], str], name: str = "") -> str:
    """Write the type of a function. What its parameters are called nobody looks at, but for the first of a method."""
    parameters, answer = function
    answer = f"(result {answer})" if answer else ""
    first = "self" if name.startswith("[method]") else "p0"
    words = " ".join(f'(param "{f"p{at}" if at else first}" {kind})' for at, kind in enumerate(parameters))
    return f"(func {words} {answer})"


DRAFT = Shape("0.2.0-draft", cursor="u64", number="u64", cas=False)
DRAFT2 = Shape("0.2.0-draft2")
SPIN = Shape("0.2.0-draft2", many=f"(tuple string (option {BYTES}))")
NEWER = Shape("0.2.0-draft3", failed=f"(tuple (own $cas) (option {BYTES}))", with_read=True)
SHAPES = {"draft": DRAFT, "draft2": DRAFT2, "spin": SPIN, "newer": NEWER}
