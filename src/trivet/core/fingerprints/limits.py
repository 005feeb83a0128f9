"""What a fingerprint cannot see: code that finds other code by a name it computes.

Reading the syntax is slower than reading byte code, so it is done only for functions whose names
give reason to (`SUSPICIOUS`). Where the name turns out to be written down after all, what it means
is followed instead of reported.
"""

import ast
import builtins
import importlib
import importlib.util
import os
import runpy
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from trivet.core.fingerprints.modules import origin_of_module

Meaning = Callable[[tuple[str, ...]], object]
"""What a dotted chain of names stands for in the code that is read; None when nobody knows."""

SUSPICIOUS = frozenset(
    {
        *("__import__", "delattr", "environ", "eval", "exec", "getattr", "getenv", "globals"),
        *("import_module", "modules", "reload", "run_module", "run_path", "setattr"),
        *("spec_from_file_location", "__subclasses__"),
    }
)
"""Names for which a function's syntax is looked at."""
READS_ANNOTATIONS = frozenset(
    {"__annotations__", "get_annotations", "get_type_hints", "signature", "getfullargspec"}
)
"""Names of what makes annotations count."""
READS_DOCSTRINGS = frozenset({"__doc__", "getdoc"})
"""Names of what makes docstrings count."""
READS_SOURCE = frozenset({"getsource", "getsourcelines", "getcomments"})
"""Names of what makes the text of files count, comments and all."""

UNREADABLE = frozenset({"__import__", "eval", "exec", "import_module"})
"""Names that are a limit wherever there is no source to say what they are used for."""

_TEXT_AS_CODE = {id(vars(builtins)[name]): name for name in ("eval", "exec")}
_ATTRIBUTES = (builtins.getattr, builtins.setattr, builtins.delattr)
_IMPORTS = (importlib.import_module, builtins.__import__)
_FILES_AS_CODE = (runpy.run_path, runpy.run_module, importlib.util.spec_from_file_location)
WATCHED = frozenset(
    {
        *map(id, (*_ATTRIBUTES, builtins.globals)),
        *map(id, (*_IMPORTS, *_FILES_AS_CODE, importlib.reload, os.getenv, os.environ)),
        *_TEXT_AS_CODE,
    }
)
"""The same by what a name stands for, for those who import them under another one."""


class Limit(msgspec.Struct, frozen=True, order=True):
    """Something that a fingerprint could not follow."""

    part: str
    """`module.name` of the function, class or constant in which it is."""
    what: str
    """The rest of a sentence that begins with the part."""
    line: int = 0
    """In the part's file, from 1; 0 when there is none."""

    @property
    def text(self) -> str:
        """The whole sentence."""
        place = f" (line {self.line})" if self.line else ""
        return f"{self.part} {self.what}{place}"


class Looked(msgspec.Struct):
    """What was found in some syntax."""

    found: list[tuple[str, int]] = []
    """Limits: what, and the line."""
    imports: list[str] = []
    """Modules that are imported by a name that is written down."""
    uses_globals: bool = False
    """Whether its own module is taken as a dictionary."""


def look(nodes: Iterable[ast.AST], meaning: Meaning) -> Looked:
    """Read some syntax for names that are computed.

    Args:
        nodes: Functions, classes or statements.
        meaning: What names stand for there.
    """
    looked = Looked()
    for node in nodes:
        reader = _Reader(node, meaning, looked)
        for inner in ast.walk(node):
            reader.read(inner)
    return looked


def patches_of(nodes: Sequence[ast.stmt], meaning: Meaning) -> Iterator[tuple[str, int, object]]:
    """Yield what statements of a module replace in other modules and classes.

    Yields:
        What is replaced, the line, and whose it is.
    """
    for node in nodes:
        reader = _Reader(node, meaning, Looked())
        for name, owner in reader.replaced(node):
            yield name, node.lineno, owner


class _Reader:
    def __init__(self, node: ast.AST, meaning: Meaning, looked: Looked) -> None:
        self._outer = meaning
        self._looked = looked
        self._local = dict(_imported(node))

    def read(self, node: ast.AST) -> None:
        match node:
            case ast.Call():
                self._read_call(node)
            case ast.Assign() | ast.AugAssign() | ast.Delete():
                for name, _ in self.replaced(node):
                    self._note(f"changes {name} while it runs", node)
            case ast.Subscript() if self._mean(node.value) is sys.modules:
                if self._text(node.slice) is None:
                    self._note("takes a module out of sys.modules by a computed name", node)
            case ast.Attribute(attr="environ") if self._mean(node) is os.environ:
                self._note("reads the environment's variables; pass them as arguments", node)
            case ast.Attribute(attr="__subclasses__"):
                if not isinstance(self._mean(node.value), type):
                    self._note("looks for subclasses while it runs", node)
            case _:
                pass

    def replaced(self, node: ast.AST) -> Iterator[tuple[str, object]]:
        """Yield names of modules' and classes' attributes that a statement sets, and the owner."""
        targets: list[ast.expr] = []
        match node:
            case ast.Assign() | ast.Delete():
                targets = node.targets
            case ast.AugAssign():
                targets = [node.target]
            case ast.Expr(value=ast.Call(func=ast.Name(id="setattr"), args=[owner, *_])):
                found = self._mean(owner)
                if isinstance(found, type | types.ModuleType):
                    yield f"an attribute of {found.__name__}", found
            case _:
                pass
        for target in targets:
            if isinstance(target, ast.Attribute):
                found = self._mean(target.value)
                if isinstance(found, type | types.ModuleType):
                    yield f"{found.__name__}.{target.attr}", found

    def _read_call(self, call: ast.Call) -> None:
        called = self._mean(call.func)
        first = self._text(call.args[0]) if call.args else None
        if id(called) in _TEXT_AS_CODE:
            self._note(f"runs text as code ({_TEXT_AS_CODE[id(called)]})", call)
        elif any(called is item for item in _IMPORTS):
            if first is None:
                self._note("imports a module by a computed name", call)
            else:
                self._looked.imports.append(first.lstrip("."))
        elif any(called is item for item in _FILES_AS_CODE):
            self._note("runs a file as code", call)
        elif called is importlib.reload:
            self._note("loads a module anew while it runs", call)
        elif called is builtins.globals:
            self._looked.uses_globals = True
        elif called is os.getenv:
            self._note("reads the environment's variables; pass them as arguments", call)
        elif any(called is item for item in _ATTRIBUTES):
            self._read_attribute(call, called)

    def _read_attribute(self, call: ast.Call, called: object) -> None:
        owner = self._mean(call.args[0]) if call.args else None
        if called is not builtins.getattr:
            if isinstance(owner, type | types.ModuleType):
                self._note(f"changes an attribute of {owner.__name__} while it runs", call)
            return
        # A module's own attributes are watched, all of them: it was taken whole. So is a class.
        if not isinstance(owner, types.ModuleType) or "__path__" not in vars(owner):
            return
        if origin_of_module(owner.__name__) != "project":  # known by its version
            return
        if len(call.args) > 1 and self._text(call.args[1]) is None:
            self._note(f"takes a part of package {owner.__name__} by a computed name", call)

    def _note(self, what: str, node: ast.AST) -> None:
        self._looked.found.append((what, int(getattr(node, "lineno", 0))))

    def _text(self, node: ast.expr) -> str | None:
        """Return a name that is written down, here or as a constant."""
        value = node.value if isinstance(node, ast.Constant) else self._mean(node)
        return value if isinstance(value, str) else None

    def _mean(self, node: ast.AST) -> object:
        chain: list[str] = []
        while isinstance(node, ast.Attribute):
            chain.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        if node.id not in self._local:
            return self._outer((node.id, *reversed(chain)))
        value = self._local[node.id]
        for name in reversed(chain):
            value = vars(value).get(name) if isinstance(value, types.ModuleType) else None
        return value


def _imported(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Yield the names that imports inside a function bind, with what they stand for."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            for alias in inner.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or name, sys.modules.get(name)
        elif isinstance(inner, ast.ImportFrom) and not inner.level:
            module = sys.modules.get(inner.module or "")
            known: Mapping[str, object] = vars(module) if module else {}
            for alias in inner.names:  # never by getattr: a lazy module would load what it names
                yield alias.asname or alias.name, known.get(alias.name)
