"""Source as it means, not as it looks: syntax trees without comments, docstrings or formatting.

A function that is running is found in its file by comparing *compiled code*: when the file was
edited after it was imported, the two differ, and the text of the file is not taken for the code
that runs. Then, and where there is no file, the byte code stands in.
"""

import ast
import copy
import dis
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import CodeType
from typing import cast

import msgspec

from trivet.core.ids import sha256_hex

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (*_FUNCTIONS, ast.ClassDef, ast.Module)
_BLOCKS = (ast.stmt, ast.ExceptHandler)
_ROOTS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_PARTS = {"LOAD_ATTR", "LOAD_METHOD"}


class Reach(msgspec.Struct, frozen=True):
    """What a code object refers to: dotted chains from a global name, and imports inside it."""

    chains: tuple[tuple[str, ...], ...]
    imports: tuple[tuple[str, tuple[str, ...]], ...]
    """Pairs (module as written, names taken from it)."""


class Source:
    """One file's syntax, indexed by the code it compiles to."""

    def __init__(self, text: bytes, file: str) -> None:
        tree = ast.parse(text, file)
        self._codes: dict[tuple[str, int], list[CodeType]] = {}
        for code in _nested(compile(tree, file, "exec", dont_inherit=True)):
            self._codes.setdefault((code.co_name, code.co_firstlineno), []).append(code)
        self._nodes: dict[tuple[str, int], list[ast.AST]] = {}
        self._classes: dict[str, ast.ClassDef] = {}
        self._bindings: dict[str, list[ast.stmt]] = {}
        _forget_docstrings(tree)
        self._tree = tree
        self._index(tree, "")
        for statement in _statements(tree.body):
            for name in _bound_names(statement):
                self._bindings.setdefault(name, []).append(statement)

    def function(self, code: CodeType) -> str | None:
        """Return the normal form of a function, None when this text is not what runs."""
        place = (code.co_name, code.co_firstlineno)
        if code not in self._codes.get(place, ()):
            return None
        return "".join(_dump(node) for node in self._nodes.get(place, ())) or None

    def class_(self, qualname: str) -> str | None:
        """Return the normal form of a class by its qualified name, None when there is none."""
        node = self._classes.get(qualname)
        return ast.dump(node) if node else None

    def binding(self, name: str) -> tuple[ast.stmt, ...]:
        """Return the statements of the module that give `name` a value."""
        return tuple(self._bindings.get(name, ()))

    def whole(self) -> str:
        """Return the normal form of the whole file."""
        return ast.dump(self._tree)

    def reach(self) -> Reach:
        """Return what the file refers to, at any depth."""
        return reach_of(compile(self._tree, "<module>", "exec", dont_inherit=True))

    def _index(self, node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            below = prefix
            if isinstance(child, _FUNCTIONS):
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


def read_statement(statement: ast.stmt) -> tuple[str, Reach]:
    """Return a statement's normal form, decorators included, and what it refers to."""
    code = compile(ast.Module([statement], []), "<statement>", "exec", dont_inherit=True)
    return ast.dump(statement), reach_of(code)


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


def bytecode(code: CodeType) -> str:
    """Digest what a code object does, without its name and its lines."""
    described = [
        bytecode(item) if isinstance(item, CodeType) else _constant(item) for item in code.co_consts
    ]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return sha256_hex(code.co_code, repr((described, names, counts)).encode())


def _constant(value: object) -> str:
    if isinstance(value, frozenset):  # its order differs from process to process
        return f"frozenset:{sorted(map(repr, cast('frozenset[object]', value)))}"
    return f"{type(value).__name__}:{value!r}"


@lru_cache(maxsize=4096)
def reach_of(code: CodeType) -> Reach:
    """List what a code object, and those nested in it, refer to."""
    chains: dict[tuple[str, ...], None] = {}
    imports: dict[tuple[str, tuple[str, ...]], None] = {}
    for inner in _nested(code):
        _read_instructions(inner, chains, imports)
    return Reach(tuple(chains), tuple(imports))


def _read_instructions(
    code: CodeType,
    chains: dict[tuple[str, ...], None],
    imports: dict[tuple[str, tuple[str, ...]], None],
) -> None:
    chain: tuple[str, ...] = ()
    module, taken = "", ()
    for instruction in dis.get_instructions(code):
        name, argument = instruction.opname, instruction.argval
        if name in _PARTS and chain:
            chain = (*chain, str(argument))
            continue
        if chain:
            chains[chain] = None
        chain = (str(argument),) if name in _ROOTS else ()
        if name == "IMPORT_NAME":
            module, taken = str(argument), ()
            imports[module, taken] = None
        elif name == "IMPORT_FROM":
            imports.pop((module, taken), None)
            taken = (*taken, str(argument))
            imports[module, taken] = None
    if chain:
        chains[chain] = None


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for item in code.co_consts:
        if isinstance(item, CodeType):
            yield from _nested(item)


def _dump(node: ast.AST) -> str:
    if isinstance(node, _FUNCTIONS):
        node = copy.copy(node)
        node.decorator_list = []  # what a decorator makes is looked at as the object it made
    return ast.dump(node)


def _forget_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body[:1] = (
                [] if len(node.body) > 1 else [ast.copy_location(ast.Pass(), node.body[0])]
            )


def _statements(body: Sequence[ast.AST]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, also those below `if`, `try`, `with` and loops."""
    for node in body:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node
            continue
        inner = [n for n in ast.iter_child_nodes(node) if isinstance(n, _BLOCKS)]
        if inner:
            yield from _statements(inner)
        elif isinstance(node, ast.stmt):
            yield node


def _bound_names(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.split(".")[0]
    else:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
