"""Statements of a module: in which blocks they stand, what they bind, and what they fill."""

import ast
from collections.abc import Iterator, Sequence

from trivet.core.fingerprints.normal_form import FUNCTIONS

_LOOKING = {
    *("bool", "dir", "hasattr", "hash", "help", "id", "isinstance", "len", "log", "logger"),
    *("logging", "print", "repr", "str", "type", "vars"),
}
"""Names of what changes nothing that it is given."""
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
    """Yield what a statement changes in place, or may.

    `a.b = 1`, `a["b"] = 1`, `a.update(b=1)`, `fill(a)`, `@a.register` above a function.
    """
    calls: Sequence[ast.expr] = ()
    places: Sequence[ast.expr] = ()
    match statement:
        case ast.Assign():
            calls, places = [statement.value], statement.targets
        case ast.AugAssign():
            places = [statement.target]
        case ast.Expr(value=ast.Call() as call):
            calls, places = [call], [call.func]
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            calls = statement.decorator_list
            places = [one.func if isinstance(one, ast.Call) else one for one in calls]
        case _:
            pass
    for call in calls:
        if isinstance(call, ast.Call):
            yield from _names_given(call)
    for place in places:
        root = _root_of(place)
        if isinstance(root, ast.Name) and root is not place:
            yield root.id


def _root_of(place: ast.expr) -> ast.expr:
    while isinstance(place, ast.Attribute | ast.Subscript):
        place = place.value
    return place


def _names_given(call: ast.Call) -> Iterator[str]:
    """Yield the names in what a call is given, unless it only shows or describes it."""
    called = _root_of(call.func)
    if isinstance(called, ast.Name) and called.id in _LOOKING:
        return
    for given in (*call.args, *(keyword.value for keyword in call.keywords)):
        for node in ast.walk(given):
            if isinstance(node, ast.Name):
                yield node.id


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
