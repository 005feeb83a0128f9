"""Statements of a module: in which blocks they stand, what they bind, and what they fill."""

import ast
from collections.abc import Iterator, Sequence

from trivet.core.fingerprints.normal_form import FUNCTIONS

_BLOCKS = (ast.stmt, ast.ExceptHandler)


def statements_in(body: Sequence[ast.AST]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, also those below `if`, `try`, `with` and loops."""
    return (statement for statement, _ in guarded(body))


def guarded(
    body: Sequence[ast.AST], heads: tuple[ast.stmt, ...] = ()
) -> Iterator[tuple[ast.stmt, tuple[ast.stmt, ...]]]:
    """Yield the statements of a module, each with the heads of the blocks that it stands in."""
    for node in body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node, heads
            continue
        inner = [n for n in ast.iter_child_nodes(node) if isinstance(n, _BLOCKS)]
        if inner:
            own = tuple(ast.copy_location(head, node) for head in _heads_of(node))
            yield from ((head, heads) for head in own)
            yield from guarded(inner, (*heads, *own))
        elif isinstance(node, ast.stmt):
            yield node, heads


def _heads_of(node: ast.AST) -> Iterator[ast.stmt]:
    match node:
        case ast.If(test=test) | ast.While(test=test):
            yield ast.Expr(test)
        case ast.For(target=target, iter=source):
            yield ast.Assign([target], source)
        case ast.With(items=items):
            for item in items:
                entered = item.optional_vars
                value = item.context_expr
                yield ast.Assign([entered], value) if entered else ast.Expr(value)
        case _:
            pass


def filled_names(statement: ast.stmt) -> Iterator[str]:
    """Yield what a statement changes in place: `a.b = 1`, `a["b"] = 1`, `a.update(b=1)`."""
    places: list[ast.expr] = []
    match statement:
        case ast.Assign():
            places = statement.targets
        case ast.AugAssign():
            places = [statement.target]
        case ast.Expr(value=ast.Call(func=ast.Attribute() as called)):
            places = [called]
        case _:
            pass
    for place in places:
        inner = place
        while isinstance(inner, ast.Attribute | ast.Subscript):
            inner = inner.value
        if isinstance(inner, ast.Name) and inner is not place:
            yield inner.id


def is_patch(statement: ast.stmt) -> bool:
    """Say whether a statement sets an attribute of something."""
    match statement:
        case ast.Assign(targets=targets):
            return any(isinstance(target, ast.Attribute) for target in targets)
        case ast.Expr(value=ast.Call(func=ast.Name(id="setattr"))):
            return True
        case _:
            return False


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement gives a value."""
    if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.split(".")[0]
    else:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
