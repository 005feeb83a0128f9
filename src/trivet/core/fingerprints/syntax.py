"""Source as it means, not as it looks: syntax trees without comments, docstrings or formatting.

A function that is running is found in its file by comparing *compiled code*: when the file was
edited after it was imported, the two differ, and the text of the file is not taken for the code
that runs. Then, and where there is no file, the byte code stands in.
"""

import ast
import os
from functools import cached_property, lru_cache
from types import CodeType

from trivet.core.fingerprints.normal_form import FUNCTIONS, dump, normalise
from trivet.core.fingerprints.reach import Reach, nested, reach_of
from trivet.core.fingerprints.settings import Loading, Setting, loadings_in, settings_in
from trivet.core.fingerprints.statements import (
    bound_names,
    filled_names,
    guarded,
    is_patch,
    statements_in,
)


class Source:
    """One file's syntax, indexed by the code it compiles to."""

    def __init__(self, text: bytes, file: str) -> None:
        tree = ast.parse(text, file)
        self._codes: dict[tuple[str, int], list[CodeType]] = {}
        for code in nested(compile(tree, file, "exec", dont_inherit=True)):
            self._codes.setdefault((code.co_name, code.co_firstlineno), []).append(code)
        self._nodes: dict[tuple[str, int], list[ast.AST]] = {}
        self._classes: dict[str, ast.ClassDef] = {}
        self._bindings: dict[str, list[ast.stmt]] = {}
        self._fillings: dict[str, list[ast.stmt]] = {}
        self._annotations = normalise(tree)
        self._dumped: dict[ast.AST, str] = {}
        self._tree = tree
        self._index(tree, "")
        for statement, heads in guarded(tree.body):
            for name in bound_names(statement):
                self._bindings.setdefault(name, []).extend((*heads, statement))
            for name in filled_names(statement):
                self._fillings.setdefault(name, []).extend((*heads, statement))
        self.patches = tuple(one for one in statements_in(tree.body) if is_patch(one))
        """Statements of the module that set an attribute of something."""

    def function(self, code: CodeType) -> str | None:
        """Return the normal form of a function, None when this text is not what runs."""
        return "".join(map(self._dump, self.nodes(code))) or None

    def annotations(self, code: CodeType) -> str:
        """Return the annotations of a function that are no part of its normal form."""
        return "".join(self._annotations.get(node, "") for node in self.nodes(code))

    def nodes(self, code: CodeType) -> list[ast.AST]:
        """Return the syntax of a function, empty when this text is not what runs."""
        place = (code.co_name, code.co_firstlineno)
        return self._nodes.get(place, []) if code in self._codes.get(place, ()) else []

    def class_(self, qualname: str) -> str | None:
        """Return the normal form of a class by its qualified name, None when there is none."""
        node = self._classes.get(qualname)
        return ast.dump(node) if node else None

    @property
    def tree(self) -> ast.Module:
        """The whole syntax."""
        return self._tree

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """What may set libraries up when the module is loaded."""
        return tuple(settings_in(self._tree))

    @cached_property
    def loadings(self) -> tuple[Loading, ...]:
        """What the module imports when it is loaded."""
        return tuple(loadings_in(self._tree))

    def binding(self, name: str) -> tuple[ast.stmt, ...]:
        """Return the statements of the module that give `name` a value, and what decides on them.

        That is the condition of an `if` around them, what a loop runs over, what `with` enters.
        """
        return tuple(dict.fromkeys(self._bindings.get(name, ())))

    def filling(self, name: str) -> tuple[ast.stmt, ...]:
        """Return the statements of the module that change in place what `name` holds."""
        return tuple(dict.fromkeys(self._fillings.get(name, ())))

    def member(self, qualname: str, name: str) -> tuple[ast.stmt, ...]:
        """Return the statements of a class that give an attribute its value."""
        body = self._classes[qualname].body if qualname in self._classes else []
        return tuple(one for one in statements_in(body) if name in bound_names(one))

    def whole(self) -> str:
        """Return the normal form of the whole file."""
        return ast.dump(self._tree)

    def reach(self) -> Reach:
        """Return what the file refers to, at any depth."""
        return reach_of(compile(self._tree, "<module>", "exec", dont_inherit=True))

    def _dump(self, node: ast.AST) -> str:
        if node not in self._dumped:
            self._dumped[node] = dump(node)
        return self._dumped[node]

    def _index(self, node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            below = prefix
            if isinstance(child, FUNCTIONS):
                line = min([child.lineno, *(d.lineno for d in child.decorator_list)])
                self._nodes.setdefault((child.name, line), []).append(child)
                below = f"{prefix}{child.name}.<locals>."
            elif isinstance(child, ast.Lambda):
                self._nodes.setdefault(("<lambda>", child.lineno), []).append(child)
                below = f"{prefix}<lambda>.<locals>."
            elif isinstance(child, ast.ClassDef):
                self._classes[prefix + child.name] = child
                below = f"{prefix}{child.name}."
            self._index(child, below)


@lru_cache(maxsize=1024)
def read_statement(statement: ast.stmt) -> tuple[str, Reach]:
    """Return a statement's normal form, decorators included, and what it refers to."""
    code = compile(ast.Module([statement], []), "<statement>", "exec", dont_inherit=True)
    return ast.dump(statement), reach_of(code)


def read_expression(text: str) -> Reach:
    """Return what an annotation that is written as text refers to; nothing when it is none."""
    try:
        return reach_of(compile(text, "<annotation>", "eval", dont_inherit=True))
    except (SyntaxError, ValueError):
        return reach_of(compile("None", "<annotation>", "eval"))


def source_of(file: str) -> Source | None:
    """Read and index a source file; None when it cannot be read or is no Python."""
    try:
        state = os.stat(file)  # noqa: PTH116  # called for every function; a Path costs more than the call
    except (OSError, ValueError):
        return None
    return _read_source(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=512)
def _read_source(file: str, _mtime_ns: int, _size: int) -> Source | None:
    try:
        with open(file, "rb") as stream:  # noqa: PTH123  # as above
            return Source(stream.read(), file)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
