"""Statements that only show something: printing, plotting, a table at the end of a cell."""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import replace

from trivet.pipelines.notebooks import purity
from trivet.pipelines.notebooks.mutation import Surroundings
from trivet.pipelines.notebooks.pieces import Piece, range_of
from trivet.pipelines.notebooks.scopes import last_name, root_name

_PLOTTING = {"matplotlib", "seaborn", "plotly", "altair", "bokeh"}
_PLOTTING_METHODS = {"plot", "hist", "boxplot", "scatter", "show"}
_OFTEN_NONE = {"info", "glimpse", "match", "fullmatch", "search"}
"""Methods that leave their object alone, and print it themselves or may find nothing."""
_WRITING = ("to_", "write_", "save", "dump", "sink_")


def mark_shows(pieces: Sequence[Piece], around: Surroundings) -> tuple[list[Piece], frozenset[str]]:
    """Give the role `show` to what only shows; return also the names of figures and axes."""
    figures: set[str] = set()
    marked: list[Piece] = []
    for piece in pieces:
        if piece.role == "work" and _is_show(piece.node, around, figures):
            figures |= piece.effect.writes
            marked.append(replace(piece, role="show"))
        else:
            marked.append(piece)
    return marked, frozenset(figures)


def printed(piece: Piece, around: Surroundings) -> Piece:
    """Print the value that a notebook would show at the end of a cell.

    Only what surely has one to show: `df.head()`, a name, a sum; not the None of a call.
    """
    node = piece.node
    is_shown = piece.is_shown and isinstance(node, ast.Expr) and _has_value(node.value, around)
    if not is_shown:
        return piece
    line, column, end_line, end_column = range_of(node)
    opening, closing = (line, column, line, column), (end_line, end_column, end_line, end_column)
    return replace(piece.edited([(opening, "print("), (closing, ")")]), role=piece.role)


def _has_value(node: ast.expr, around: Surroundings) -> bool:
    """Say whether an expression surely is something: a notebook shows nothing for None."""
    match node:
        case ast.Constant():
            return node.value is not None
        case ast.IfExp():
            return _has_value(node.body, around) and _has_value(node.orelse, around)
        case ast.BoolOp():
            return all(_has_value(value, around) for value in node.values)
        case ast.NamedExpr():
            return _has_value(node.value, around)
        case ast.Call():
            name = last_name(node.func)
            is_method = isinstance(node.func, ast.Attribute) and not around.library(node.func)
            is_fresh = is_method and name in purity.FRESH_METHODS - _OFTEN_NONE
            return is_fresh and not name.startswith(_WRITING) and not _acts_in_place(node)
        case _:
            return True


def _acts_in_place(node: ast.Call) -> bool:
    """Say whether a call is told, or may be told, to change its object and return nothing."""
    told = [keyword.value for keyword in node.keywords if keyword.arg in {"inplace", None}]
    return any(not isinstance(one, ast.Constant) or one.value is not False for one in told)


def _is_show(node: ast.stmt, around: Surroundings, figures: set[str]) -> bool:
    match node:
        case ast.Expr():
            return _is_shown_value(node.value, around, figures)
        case ast.Assign():
            return _is_plot(node.value, around, figures)
        case ast.For() | ast.If() | ast.While():
            head = node.iter if isinstance(node, ast.For) else node.test
            body = [*node.body, *node.orelse]
            return _is_quiet(head, around, figures) and _all_show(body, around, figures)
        case ast.Pass():
            return True
        case _:
            return False


def _all_show(body: Iterable[ast.stmt], around: Surroundings, figures: set[str]) -> bool:
    return all(_is_show(statement, around, figures) for statement in body)


def _is_shown_value(node: ast.expr, around: Surroundings, figures: set[str]) -> bool:
    if isinstance(node, ast.Call) and last_name(node.func) in {"print", "display"}:
        return _is_quiet_call(node, around, figures)
    return _is_plot(node, around, figures) or _is_quiet(node, around, figures)


def _is_plot(node: ast.expr, around: Surroundings, figures: set[str]) -> bool:
    """Say whether a call draws: it goes to a plotting library, a figure, or `frame.plot`."""
    if not isinstance(node, ast.Call | ast.Attribute | ast.Subscript | ast.Name):
        return False
    if any(
        isinstance(n, ast.Call) and last_name(n.func).startswith(_WRITING) for n in ast.walk(node)
    ):
        return False
    root = root_name(node)
    library = around.imports.get(root, "").partition(".")[0]
    called = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    draws = isinstance(node, ast.Call) and bool(called & _PLOTTING_METHODS)
    return library in _PLOTTING or root in figures or draws


def _is_quiet(node: ast.expr, around: Surroundings, figures: set[str]) -> bool:
    """Say whether an expression changes nothing: all its calls are known to be harmless."""
    if any(isinstance(n, ast.NamedExpr | ast.Await | ast.Yield) for n in ast.walk(node)):
        return False
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
    return all(_is_quiet_call(call, around, figures) for call in calls)


def _is_quiet_call(node: ast.Call, around: Surroundings, figures: set[str]) -> bool:
    name = last_name(node.func)
    if name.startswith(_WRITING) and name not in {"to_list", "to_dict", "to_string", "to_numpy"}:
        return False
    if isinstance(node.func, ast.Attribute) and not around.library(node.func):
        return name in purity.PURE_METHODS and name not in {"pipe", "apply", "map", "transform"}
    if isinstance(node.func, ast.Name) and name == "open":
        return False
    arguments = [a for a in node.args if isinstance(a, ast.Call)]
    library = around.library(node.func).partition(".")[0]
    if library in {"os", "random", "csv", "pathlib"} or "seed" in name:
        return False
    return around.is_pure(node.func) and all(_is_quiet(a, around, figures) for a in arguments)
