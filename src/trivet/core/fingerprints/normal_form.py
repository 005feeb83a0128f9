"""Syntax in its normal form: without docstrings, and without what only a type checker reads."""

import ast
import copy

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (*FUNCTIONS, ast.ClassDef, ast.Module)
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_INERT = {
    *("abstractmethod", "cache", "cached_property", "classmethod", "contextmanager", "dataclass"),
    *("effect", "flow", "lru_cache", "override", "property", "setter", "staticmethod", "step"),
    *("total_ordering", "wraps"),
}
"""Decorators that never look at the annotations of functions."""


def dump(node: ast.AST) -> str:
    """Write a node as text; a function without its decorators.

    What a decorator makes is looked at as the object it made.
    """
    if isinstance(node, FUNCTIONS):
        node = copy.copy(node)
        node.decorator_list = []
    return ast.dump(node)


def normalise(tree: ast.Module) -> dict[ast.AST, str]:
    """Bring a file's syntax into its normal form, in place.

    Annotations go wherever nothing but a type checker reads them. Those of local variables are
    never evaluated. Those of a function stay below a decorator that is not known to leave them
    alone, and in a class that inherits or is decorated so.

    Returns:
        The annotations that were taken away, by function.
    """
    normaliser = _Normaliser()
    normaliser.enter(tree, in_function=False, reader=False)
    return normaliser.taken


class _Normaliser:
    """Walks over statements alone: expressions hold neither docstrings nor annotations."""

    def __init__(self) -> None:
        self.taken: dict[ast.AST, str] = {}

    def enter(self, node: ast.AST, *, in_function: bool, reader: bool) -> None:
        """Normalise what is inside a node.

        Args:
            node: Something with statements in it.
            in_function: Whether these are statements of a function.
            reader: Whether it is a class that may read the annotations of its methods.
        """
        if isinstance(node, _DOCUMENTED):
            _forget_docstring(node)
        for field in _BLOCKS:
            inner: list[ast.AST] | None = getattr(node, field, None)
            if isinstance(inner, list):
                inner[:] = [self._visit(one, in_function, reader) for one in inner]

    def _visit(self, node: ast.AST, in_function: bool, reader: bool) -> ast.AST:  # noqa: FBT001  # where it is
        if isinstance(node, FUNCTIONS):
            if not reader and _is_inert(node):
                self._take(node)
            self.enter(node, in_function=True, reader=False)
        elif isinstance(node, ast.ClassDef):
            reads = bool(node.bases or node.keywords) or not _is_inert(node)
            self.enter(node, in_function=False, reader=reads)
        elif isinstance(node, ast.AnnAssign):
            if in_function and node.value is not None:
                return ast.copy_location(ast.Assign([node.target], node.value), node)
        else:
            self.enter(node, in_function=in_function, reader=reader)
        return node

    def _take(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        given = node.args
        extra = [one for one in (given.vararg, given.kwarg) if one]
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *extra]
        notes = [(one.arg, one.annotation) for one in named if one.annotation]
        if node.returns:
            notes.append(("return", node.returns))
        if notes:
            self.taken[node] = repr([(name, ast.dump(note)) for name, note in notes])
        for one in named:
            one.annotation = None
        node.returns = None


def _is_inert(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name not in _INERT:
            return False
    return True


def _forget_docstring(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module,
) -> None:
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str())) as said]:
            node.body[:] = [ast.copy_location(ast.Pass(), said)]
        case [ast.Expr(value=ast.Constant(value=str())), *_]:
            del node.body[0]
        case _:
            pass
