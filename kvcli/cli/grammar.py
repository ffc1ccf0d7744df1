"""How commands are declared: a signature with Typer's annotations, to which the options that all share are added."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from kvcli.commands import Invocation

GROUPS = ("bucket", "cache", "config")
KEYWORD = inspect.Parameter.KEYWORD_ONLY
SHIELD = "\0"  # No word of a command line can hold it.

Store = Annotated[
    str | None,
    typer.Option(
        "--store", "-s", metavar="PATH", help="The folder of the store. (Or KVCLI_STORE.)", show_default=False
    ),
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", "-p", metavar="NAME", help="A profile of the config file. (KVCLI_STORE wins.)"),
]
BucketName = Annotated[
    str | None,
    typer.Option("--bucket", "-b", metavar="NAME", help="The bucket, else `default`. (Or KVCLI_BUCKET.)"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line; errors too, on stderr.")]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Refuse to write anything.")]
LockTimeout = Annotated[
    float | None,
    typer.Option("--lock-timeout", metavar="SECONDS", min=0, help="Wait so long for other writers; 10 if not said."),
]
Create = Annotated[bool, typer.Option("--create", help="Make the bucket if it is not there.")]
Adopt = Annotated[bool, typer.Option("--adopt", help="Write to an environment that another program made.")]
Durability = Annotated[
    str | None,
    typer.Option("--durability", metavar="full|fast", help="fast: a power cut may take the last writes."),
]

READING = {
    "store": Store,
    "profile": Profile,
    "bucket": BucketName,
    "json": Json,
    "read_only": ReadOnly,
    "lock_timeout": LockTimeout,
}
WRITING = {**READING, "create": Create, "adopt": Adopt, "durability": Durability}


class NumbersAreWords(TyperCommand):
    """A command to which -5 is a number and no option, so that `incr k -5` works as typed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Shield negative numbers from the parser of options."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [shield(word) for word in args[:end]] + args[end:])


class CommandBehindDashes(TyperCommand):
    """A command whose optional words end at --, and what comes after that is a command to run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the command apart from the words."""
        end = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:end])
        if ctx.params["words"]:
            ctx.fail(f"Got unexpected extra argument ({ctx.params['words'][0]})")
        ctx.params["words"] = args[end + 1 :] or None
        return rest


def shield(word: str) -> str:
    """Hide the dash of a negative number."""
    return SHIELD + word if word[:1] == "-" and word[1:2].isdigit() else word


def unshield(value: object) -> object:
    """Give back what was typed."""
    if isinstance(value, list):
        return [unshield(each) for each in value]
    return value.removeprefix(SHIELD) if isinstance(value, str) else value


def said(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out what nobody said. By identity: 0 equals False, and is a time-out like others."""
    return {name: value for name, value in settings.items() if value is not None and value is not False}


def help_of(declared: Callable[..., object]) -> str:
    """Give a docstring in which the examples keep their lines: a backspace says so to Typer."""
    return inspect.cleandoc(declared.__doc__ or "").replace("Examples:\n", "\b\nExamples:\n")


def declare(
    app: typer.Typer,
    command: str,
    *,
    writing: bool = False,
    numbers: bool = False,
    takes_command: bool = False,
    dashes: bool = False,
    without: tuple[str, ...] = (),
) -> Callable[[Callable[..., None]], None]:
    """Declare a command by a function that has its signature and its help, and no body.

    One that `takes_command` ends its own options with the first word of that, also where no -- stands before; one with
    `dashes` takes a command only behind those. What it is `without` are shared options that mean nothing to it.
    What Typer calls instead gives an Invocation: the parsed words, less those that are the default anyway.
    """
    common = {name: kind for name, kind in (WRITING if writing else READING).items() if name not in without}

    def register(declared: Callable[..., None]) -> None:
        own = inspect.signature(declared, eval_str=True).parameters
        shared = {name: kind for name, kind in common.items() if name not in own}
        names = [name for name in own if name != "ctx"]
        flags = {Json, ReadOnly, Create, Adopt}

        def understood(ctx: typer.Context, **values: Any) -> Invocation:
            arguments = {name: unshield(values[name]) for name in names if values[name] != own[name].default}
            settings = said({name: unshield(values[name]) for name in shared})
            return Invocation(command, arguments, {**(ctx.obj or {}), **settings})

        parameters = [inspect.Parameter("ctx", KEYWORD, annotation=typer.Context)]
        parameters += [parameter.replace(kind=KEYWORD) for parameter in own.values()]
        parameters += [
            inspect.Parameter(name, KEYWORD, annotation=kind, default=False if kind in flags else None)
            for name, kind in shared.items()
        ]
        understood.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        understood.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        understood.__doc__ = help_of(declared)
        settings = {"allow_interspersed_args": False} if takes_command else None
        name = command.removesuffix("_")
        for group in GROUPS:
            name = name.removeprefix(f"{group}_")
        kind = NumbersAreWords if numbers else CommandBehindDashes if dashes else None
        app.command(name.replace("_", "-"), cls=kind, context_settings=settings)(understood)

    return register
