"""What a module does to libraries when it is loaded, and which modules it loads.

`pd.set_option(...)`, `decimal.getcontext().prec = 5`, `random.seed(1)`, a class below
`@register_dataframe_accessor`: nothing that a function refers to leads there, and yet it decides
what libraries do for it. What only shows, times or notes something is left out.
"""

import ast
from collections.abc import Iterator

import msgspec

from trivet.core.fingerprints.statements import guarded

SETTINGS = " (settings)"
"""The end of the name of the part of a fingerprint that holds a module's settings."""

_OWN_NAME = __name__.partition(".")[0]
_NOTING = {
    *("atexit", "click", "faulthandler", "gc", "logging", "loguru", "mlflow", "pprint", "rich"),
    *("sentry_sdk", "structlog", "time", "tracemalloc", "typer", "wandb", _OWN_NAME),
}
"""Modules whose calls alter no result."""
_PASSING = {
    *(("os", "makedirs"), ("os", "mkdir"), ("sys", "exit"), ("sys", "path"), ("sys", "stderr")),
    ("sys", "stdout"),
}
_DRAWING = {"IPython", "bokeh", "matplotlib", "plotly", "seaborn", "streamlit"}
"""Modules that notebooks and scripts call to show something."""
_STYLING = {
    *("rc", "rcParams", "rcdefaults", "set_context", "set_palette", "set_style", "set_theme"),
    *("style", "templates", "use"),
}
"""Names in what sets those up."""


class Setting(msgspec.Struct, frozen=True, eq=False):
    """A statement that sets a library up, if its module turns out to be a library's."""

    top: str
    """The top-level module on which it acts."""
    statements: tuple[ast.stmt, ...]
    """What decides on it, such as the condition around it, and itself."""


class Loading(msgspec.Struct, frozen=True):
    """An import at the top of a module."""

    module: str
    """As written, without leading dots."""
    level: int
    """The number of leading dots."""
    taken: tuple[str, ...]
    """The names behind `from ... import`."""


def settings_in(tree: ast.Module) -> Iterator[Setting]:
    """Yield the statements of a module that may set libraries up.

    None below `if __name__ == "__main__":`, which does not run when the module is imported.
    """
    known = dict(_imported(tree))
    found = list(guarded(tree.body))
    deciding = {id(head) for _, heads in found for head in heads}
    for statement, heads in found:
        if id(statement) in deciding or _is_apart(heads):
            continue
        for place in _acted_on(statement):
            chain = _chain_of(place)
            path = (*known[chain[0]].split("."), *chain[1:]) if chain and chain[0] in known else ()
            if path and not _is_harmless(path):
                yield Setting(path[0], (*heads, statement))
                break


def loadings_in(tree: ast.Module) -> Iterator[Loading]:
    """Yield what a module imports when it is loaded, but for what only a type checker reads."""
    for statement, heads in guarded(tree.body):
        if _is_apart(heads):
            continue
        if isinstance(statement, ast.Import):
            yield from (Loading(alias.name, 0, ()) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            taken = tuple(alias.name for alias in statement.names)
            yield Loading(statement.module or "", statement.level, taken)


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names that a module imports, with what they stand for; not those with dots."""
    for statement, _ in guarded(tree.body):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            for alias in statement.names:
                yield alias.asname or alias.name, f"{statement.module}.{alias.name}"


def _is_apart(heads: tuple[ast.stmt, ...]) -> bool:
    """Say whether a block does not run when its module is imported."""
    names = {
        str(getattr(node, "id", getattr(node, "attr", "")))
        for head in heads
        for node in ast.walk(head)
    }
    return not names.isdisjoint({"TYPE_CHECKING", "__name__"})


def _acted_on(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield what a statement calls for its effect, sets, or registers with."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[owner, *_])):
            yield owner
        case ast.Expr(value=ast.Call(func=called)):
            yield called
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            yield from map(_owner_of, targets)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            yield _owner_of(target)
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _registers(statement)
        case _:
            pass


def _owner_of(target: ast.expr) -> ast.expr:
    """Return what an assignment changes: `decimal.getcontext` of `decimal.getcontext().prec`."""
    if not isinstance(target, ast.Attribute | ast.Subscript):
        return ast.Constant(None)
    inner: ast.expr = target
    while isinstance(inner, ast.Subscript | ast.Call) or _is_of_call(inner):
        match inner:
            case ast.Subscript(value=value) | ast.Attribute(value=value) | ast.Call(func=value):
                inner = value
            case _:
                break
    return inner


def _is_of_call(place: ast.expr) -> bool:
    """Say whether there is a call or an index below the attributes of something."""
    while isinstance(place, ast.Attribute):
        place = place.value
    return isinstance(place, ast.Call | ast.Subscript)


def _registers(made: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    for decorator in made.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if any("register" in name for name in _chain_of(called)):
            yield called


def _chain_of(place: ast.expr) -> tuple[str, ...]:
    """Return the names of `a.b.c`; nothing of what is anything else."""
    names: list[str] = []
    while isinstance(place, ast.Attribute):
        names.append(place.attr)
        place = place.value
    return (place.id, *reversed(names)) if isinstance(place, ast.Name) else ()


def _is_harmless(path: tuple[str, ...]) -> bool:
    if path[0] in _DRAWING:
        return _STYLING.isdisjoint(path)
    return path[0] in _NOTING or path[:2] in _PASSING
