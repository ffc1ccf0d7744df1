"""The public link: the same as the fast one by the binding's own conversions, for a wasmtime that selftest does not pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wasmtime import WasmtimeError, component
from wasmtime.component import _types

from kvcli.errors import KvError
from kvcli.wasm.border.link import Function, Link


class PublicLink(Link):
    """A link whose values the binding converts, byte by byte."""

    def define(
        self, instance: component.LinkerInstance, name: str, kind: component.FuncType, function: Function
    ) -> None:
        """See Link.define."""
        answer = kind.result

        def call(store: Any, *values: Any) -> Any:
            try:
                self.check()
                arguments = [lifted(value, store) for value in values]
                try:
                    given, failed = function(*arguments), False
                except KvError as error:
                    given, failed = error, True
                return self._lowered_result(answer, given, failed=failed)
            except BaseException as error:  # What is no WasmtimeError would go into a global, or end the process.
                self.failure = self.failure or error
                raise WasmtimeError("the host failed") from error

        instance.add_func(name, call)

    def call(self, function: Any, store: Any, arguments: Sequence[Any]) -> None:
        """See Link.call."""
        kinds = [kind for _, kind in function.type(store).params]
        function(store, *[self._lowered(kind, each) for kind, each in zip(kinds, arguments, strict=True)])

    def _lowered_result(self, kind: Any, given: Any, *, failed: bool) -> Any:
        if not isinstance(kind, component.ResultType):
            if failed:
                raise given
            return None if kind is None else self._lowered(kind, given)
        return self._lowered(kind, ("err", self.refuse(given)) if failed else ("ok", given))

    def _case(self, kind: Any, cases: dict[str, Any], case: tuple[str, Any]) -> Any:
        name, payload = case
        value = None if cases[name] is None else self._lowered(cases[name], payload)
        return component.Variant(name, value) if kind._tagged() else value  # noqa: SLF001

    def _lowered(self, kind: Any, value: Any) -> Any:  # noqa: PLR0911 - a table of types
        if isinstance(kind, component.OptionType):
            return self._case(kind, dict(kind._cases()), ("none" if value is None else "some", value))  # noqa: SLF001
        if isinstance(kind, component.VariantType | component.ResultType):
            return self._case(kind, dict(kind._cases()), value)  # noqa: SLF001
        if isinstance(kind, component.RecordType):
            record = component.Record()
            for (name, each), field in zip(kind.fields, value, strict=True):
                setattr(record, name, self._lowered(each, field))
            return record
        if isinstance(kind, component.TupleType):
            return tuple(self._lowered(each, item) for each, item in zip(kind.elements, value, strict=True))
        if isinstance(kind, component.ListType) and not isinstance(value, bytes):
            return [self._lowered(kind.element, item) for item in value]
        if isinstance(kind, component.OwnType) and isinstance(value, int):
            number = next(number for resource, number in self.resources if resource == kind.ty)
            return component.ResourceHost.own(value, number)
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def lifted(value: Any, store: Any) -> Any:
    """Give a value of the binding's as the host's functions take it: a handle is a number."""
    if isinstance(value, component.ResourceAny):
        return value.to_host(store).rep
    return value


def mend() -> None:
    """Let the binding tell a case without payload from all others.

    It takes `object` for the class of such a case, so that in a result of an option every value seems to be the ok case, and
    an error cannot be returned: "value not valid for this variant". None is what such a case is, so its class is None's.
    """
    nothing = type(None)

    def add_classes(self: Any, classes: set[type]) -> None:
        if self._tagged():
            classes.add(component.Variant)
            return
        for _, kind in self._cases():
            classes.add(nothing) if kind is None else kind.add_classes(classes)

    def tagged(self: Any) -> bool:
        seen: set[type] = set()
        for _, kind in self._cases():
            case: set[type] = set()
            case.add(nothing) if kind is None else kind.add_classes(case)
            if case & seen:
                return True
            seen |= case
        return False

    _types.VariantLikeType.add_classes = add_classes  # type: ignore[method-assign,assignment]
    _types.VariantLikeType._tagged = tagged  # type: ignore[method-assign]  # noqa: SLF001
