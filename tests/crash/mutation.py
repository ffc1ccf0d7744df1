"""Mutation: a module's source with one small thing in it wrong, in every way that the rules know.

A mutant has a name, `place: before -> after`, which outlives changes of the code elsewhere.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from copy import copy

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}
SCOPES = (ast.FunctionDef, ast.ClassDef)
UNSEEN = {"annotation", "returns", "decorator_list"}


def mutants(tree: ast.Module) -> Iterator[str]:
    """Make the mutants one after the other, in the tree itself: while the name of one is given, the tree is that one."""
    known: Counter[str] = Counter()
    for scope, parent, field, at, node in places(tree, ""):
        for other in variants(node):
            name = f"{scope or 'module'}: {text(node)} -> {text(other)}"
            known[name] += 1
            replace(parent, field, at, other)
            yield name if known[name] == 1 else f"{name} #{known[name]}"
            replace(parent, field, at, node)


def text(node: ast.AST) -> str:
    """Write a node down on a line; of what holds others, its head."""
    return ast.unparse(node).partition("\n")[0]


def places(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.AST, str, int | None, ast.AST]]:
    """Give whatever runs below a node: its scope, and where it hangs."""
    for field, value in ast.iter_fields(node):
        if field in UNSEEN:
            continue
        for at, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or is_idle(child):
                continue
            yield scope, node, field, at, child
            inner = f"{scope}.{child.name}".lstrip(".") if isinstance(child, SCOPES) else scope
            yield from places(child, inner)


def is_idle(node: ast.AST) -> bool:
    """Tell whether a node does nothing when it is run, or only tells people something."""
    match node:
        case ast.If(test=ast.Name("TYPE_CHECKING")) | ast.Assign(targets=[ast.Name("TYPE_CHECKING")]):
            return True
        case ast.FunctionDef(name="__repr__") | ast.JoinedStr() | ast.keyword(arg="strict"):
            return True
        case ast.Raise():
            return ast.unparse(node).startswith(("raise NotImplementedError", "raise AssertionError"))
    return False


def replace(parent: ast.AST, field: str, at: int | None, node: ast.AST) -> None:
    """Hang a node somewhere."""
    if at is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[at] = node


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """Give what may stand in a node's place."""
    match node:
        case ast.Compare(ops=[operator, *others]) if type(operator) in SWAPPED:
            yield changed(node, ops=[SWAPPED[type(operator)](), *others])
        case ast.BoolOp() | ast.BinOp() if type(node.op) in SWAPPED:
            yield changed(node, op=SWAPPED[type(node.op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Call():
            yield from calls(node)
        case ast.If() | ast.While() | ast.IfExp() if not isinstance(node.test, ast.Compare | ast.UnaryOp):
            yield changed(node, test=ast.UnaryOp(ast.Not(), node.test))
        case _:
            yield from statements(node)


def calls(node: ast.Call) -> Iterator[ast.AST]:
    """Give a call of the opposite, or one with its first two arguments swapped, where their order says something."""
    if isinstance(node.func, ast.Name) and node.func.id in OPPOSITES:
        yield changed(node, func=ast.Name(OPPOSITES[node.func.id], ast.Load()))
        if node.func.id in {"min", "max"}:
            return
    if len(node.args) > 1 and not any(isinstance(word, ast.Starred) for word in node.args[:2]):
        yield changed(node, args=[node.args[1], node.args[0], *node.args[2:]])


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Give nothing for a statement, and None for what it returns."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Delete() | ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) not in {"None", "False"}:
            yield ast.Return(ast.Constant(None))


def changed(node: ast.AST, **fields: object) -> ast.AST:
    """Give a node with some of its fields changed."""
    other = copy(node)
    for field, value in fields.items():
        setattr(other, field, value)
    return other
