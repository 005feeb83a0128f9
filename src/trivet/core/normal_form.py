"""Syntax in its normal form: without docstrings, and without what only a type checker reads."""

import ast
import copy

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (*FUNCTIONS, ast.ClassDef, ast.Module)
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

    Returns:
        The annotations that were taken away, by function.
    """
    _forget_docstrings(tree)
    taken: dict[ast.AST, str] = {}
    _ForgetAnnotations(taken).visit(tree)
    return taken


class _ForgetAnnotations(ast.NodeTransformer):
    """Takes annotations away wherever nothing but a type checker reads them.

    Those of local variables are never evaluated. Those of a function stay below a decorator that
    is not known to leave them alone, and in a class that inherits or is decorated so.
    """

    def __init__(self, taken: dict[ast.AST, str]) -> None:
        self._taken = taken
        self._in_function = False
        self._read_by_class = False

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:  # ast's own
        before = self._in_function, self._read_by_class
        self._in_function = False
        self._read_by_class = bool(node.bases or node.keywords) or not _is_inert(node)
        self.generic_visit(node)
        self._in_function, self._read_by_class = before
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # ast's own
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:  # ast's own
        return self._function(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:  # ast's own
        self.generic_visit(node)
        if not self._in_function or node.value is None:
            return node
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        before = self._in_function, self._read_by_class
        if not self._read_by_class and _is_inert(node):
            self._take(node)
        self._in_function, self._read_by_class = True, False
        self.generic_visit(node)
        self._in_function, self._read_by_class = before
        return node

    def _take(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        given = node.args
        extra = [one for one in (given.vararg, given.kwarg) if one]
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *extra]
        notes = [(one.arg, one.annotation) for one in named if one.annotation]
        if node.returns:
            notes.append(("return", node.returns))
        if notes:
            self._taken[node] = repr([(name, ast.dump(note)) for name, note in notes])
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


def _forget_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body[:1] = (
                [] if len(node.body) > 1 else [ast.copy_location(ast.Pass(), node.body[0])]
            )
