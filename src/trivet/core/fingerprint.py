"""Fingerprints of code: what a function does, as far as it can reach.

A fingerprint covers the function, every function and class of the user's own code that it refers
to, theirs in turn, the module constants they read, closures and default arguments, and the
versions of the installed distributions they touch. Comments, docstrings, formatting and the
decorators of functions do not count; what a decorator *made* does. Plain data counts by its
present value, so that a registry or a list that code fills counts with what is in it; a live
object (a logger, a connection) counts by the statement that made it.

In a process that lives on after its sources were edited, each function is compared with what
really runs; statements and the bodies of classes are read from the file as it is now.

What it cannot see, and never claims to: names that are computed (`getattr(module, text)`,
`import_module(text)`), methods of objects that arrive as arguments, code that is changed in
memory, native code behind an unchanged version, and files that are read without being arguments.
For these there are `depends=` and `version=`.
"""

import enum
import functools
import inspect
import os
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, cast

import msgspec

from trivet.core.ids import sha256_hex
from trivet.core.modules import (
    Origin,
    distribution_of,
    file_of,
    label_of_module,
    meant_by_import,
    origin_of_file,
    origin_of_module,
    real_path,
)
from trivet.core.syntax import Reach, Source, bytecode, reach_of, read_statement, source_of

Digester = Callable[[object], str | None]
"""Asked for the content digest of a value of an installed library's type; None: not known."""

_EXACT = (type(None), bool, int, float, complex, str, bytes, range, slice, types.EllipsisType)
_SPOKEN = ("datetime", "decimal", "fractions", "ipaddress", "typing", "uuid", "zoneinfo")
"""Modules of the standard library whose values say everything in their repr."""
_AMBIENT = (
    *("_contextvars", "_io", "_thread", "_weakref", "asyncio", "concurrent", "contextvars", "io"),
    *("logging", "multiprocessing", "queue", "random", "select", "socket", "subprocess"),
    *("tempfile", "threading", "weakref"),
)
"""Modules whose objects have a life of their own: their state is no part of the code."""
_FURNITURE = {
    *("__abstractmethods__", "__annotations_cache__", "__dataclass_fields__", "__dict__"),
    *("__doc__", "__firstlineno__", "__module__", "__qualname__", "__static_attributes__"),
    *("__struct_config__", "__weakref__", "_abc_impl"),
}
_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType)
_DEEPEST = 100


class Fingerprint(msgspec.Struct, frozen=True):
    """The digest of all reachable code, and what went into it."""

    digest: str
    """SHA-256 over the parts."""
    parts: dict[str, str]
    """`module.name` of a function, class or constant to its digest; `package name` to a version."""
    opaque: tuple[str, ...]
    """Types of values that could be told apart by nothing but their type."""


def fingerprint(
    function: Callable[..., object],
    *,
    depends: Iterable[object] = (),
    version: str = "",
    digester: Digester | None = None,
) -> Fingerprint:
    """Digest a function together with everything it can reach.

    Args:
        function: The function. One that a decorator wrapped is followed to the original, and to
            the `__depends__` that the decorator left on it.
        depends: What it depends on without naming it: functions, classes, modules, plain values,
            or paths of files (by content).
        version: Any text; another text is another fingerprint.
        digester: Lets frames and arrays that are reached as constants count by their content.
    """
    walk = _Walk(_home_of(function), digester)
    walk.parts["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
    walk.parts["version"] = version
    walk.parts["root"] = walk.token(function)
    for number, item in enumerate(depends):
        walk.parts[f"depends[{number}]"] = _short(walk.dependency(item))
    walk.finish()
    parts = dict(sorted(walk.parts.items()))
    digest = sha256_hex(*(f"{name}\0{value}".encode() for name, value in parts.items()))
    return Fingerprint(digest, parts, tuple(sorted(walk.opaque)))


class _Walk:
    """One walk over everything reachable.

    A value is described by a token. Code and constants are *parts*: their token is their name,
    and their own digest is computed when their turn comes, so that no chain of calls is too deep
    and no circle is endless.
    """

    def __init__(self, home: str, digester: Digester | None) -> None:
        self.parts: dict[str, str] = {}
        self.opaque: set[str] = set()
        self._home = home
        self._digester = digester
        self._tokens: dict[int, str] = {}
        self._kept: list[object] = []  # what was seen stays alive, or its id() could be reused
        self._waiting: deque[tuple[str, Callable[[], Iterable[str]]]] = deque()
        self._depth = 0

    def finish(self) -> None:
        """Compute the digests of all parts, also of those found on the way."""
        while self._waiting:
            label, describe = self._waiting.popleft()
            self.parts[label] = _short(*describe())

    def token(self, value: object) -> str:
        """Describe a value in one text: equal texts, equal behaviour."""
        if type(value) in _EXACT:
            return f"{type(value).__name__}:{value!r}"
        known = self._tokens.get(id(value))
        if known is not None:
            return known
        if self._depth >= _DEEPEST:
            self.opaque.add(_type_name(value))
            return f"deep:{_type_name(value)}"
        self._depth += 1
        try:
            return self._code_token(value) or self._data_token(value)
        finally:
            self._depth -= 1

    def dependency(self, item: object) -> str:
        """Describe what a user named as a dependency: a file counts by its content."""
        if isinstance(item, Path) and item.is_file():
            return sha256_hex(item.read_bytes())
        return self.token(item)

    # -------------------------------------------------------------------- data

    def _data_token(self, value: object) -> str:
        # A container that holds itself is named by its type from the second time on.
        self._know(value, f"again:{_type_name(value)}")
        try:
            return self._items(value) or self._instance(value)
        finally:
            del self._tokens[id(value)]

    def _items(self, value: object) -> str | None:
        kind = type(value)
        match value:
            case enum.Enum():
                said = f"{value.name}={self.token(value.value)}"
            case bytearray() | str() | int() | float() | PurePath():
                said = repr(value)
            case tuple() | list() | deque():
                items = cast("Iterable[object]", value)
                said = str([self.token(item) for item in items])
            case set() | frozenset():
                members = cast("Iterable[object]", value)
                said = str(sorted(self.token(item) for item in members))
            case dict() | types.MappingProxyType():
                pairs = cast("Mapping[object, object]", value).items()
                said = str([(self.token(k), self.token(v)) for k, v in pairs])
            case re.Pattern():
                said = repr((cast("re.Pattern[str]", value).pattern, value.flags))
            case _:
                return None
        return f"{self.token(kind)}:{said}"

    def _instance(self, value: object) -> str:
        kind = type(value)
        top = kind.__module__.partition(".")[0]
        if top in _SPOKEN or isinstance(value, types.GenericAlias | types.UnionType):
            return f"{_type_name(value)}:{value!r}"
        if top in _AMBIENT:
            return f"instance:{_type_name(value)}"
        digest = self._digester(value) if self._digester else None
        if digest is not None:
            return f"content:{_type_name(value)}:{digest}"
        state = _state_of(value)
        if state is None:
            said = "" if self._origin(kind.__module__) == "project" else repr(value)
            self.opaque.add(_type_name(value))
            return f"instance:{self.token(kind)}:{'' if ' at 0x' in said else said}"
        return f"instance:{self.token(kind)}:{self.token(state)}"

    # -------------------------------------------------------------------- code

    def _code_token(self, value: object) -> str | None:
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return self._module(value.__name__)
        if isinstance(value, types.BuiltinFunctionType):
            self._touch(str(value.__module__ or "builtins"))
            return f"builtin:{value.__module__}.{value.__qualname__}"
        inner = _inside(value)
        if inner is None:
            return None
        return f"{type(value).__name__}:{[self.token(item) for item in inner]}"

    def _function(self, function: types.FunctionType) -> str:
        if self._origin_of_code(function) == "project":
            label = f"{label_of_module(function.__module__)}.{function.__qualname__}"
            return self._part(function, label, lambda: self._function_parts(function))
        wrapped = cast("object", getattr(function, "__wrapped__", None))
        if not callable(wrapped):
            self._touch(str(function.__globals__.get("__name__", "")))
            return f"function:{function.__module__}.{function.__qualname__}"
        # A library's decorator around the user's function, with what it was given.
        self._know(function, f"again:{function.__qualname__}")
        left = (*_cells(function), cast("object", getattr(function, "__depends__", ())))
        return f"wrapper:{[self.token(item) for item in (wrapped, *filter(_is_data, left))]}"

    def _function_parts(self, function: types.FunctionType) -> Iterator[str]:
        code = function.__code__
        source = source_of(code.co_filename)
        yield (source.function(code) if source else None) or bytecode(code)
        yield self.token(function.__defaults__)
        yield self.token(function.__kwdefaults__)
        yield from (self.token(item) for item in _cells(function))
        yield from self._follow(reach_of(code), function.__globals__)

    def _class(self, kind: type) -> str:
        if self._origin(kind.__module__) == "project":
            label = f"{label_of_module(kind.__module__)}.{kind.__qualname__}"
            return self._part(kind, label, lambda: self._class_parts(kind))
        self._touch(kind.__module__)
        return f"class:{kind.__module__}.{kind.__qualname__}"

    def _class_parts(self, kind: type) -> Iterator[str]:
        source = _source_of_module(kind.__module__)
        yield (source.class_(kind.__qualname__) if source else None) or ""
        yield from (self.token(base) for base in (*kind.__bases__, type(kind)))
        for name, member in sorted(vars(kind).items()):
            is_told_by_text = isinstance(member, _DESCRIPTORS) or not _is_data(member)
            if name not in _FURNITURE and not is_told_by_text:
                yield f"{name}={self.token(member)}"

    def _module(self, name: str) -> str:
        """Take a module whole: it was handed on as a value, or imported inside a function."""
        if self._origin(name) != "project":
            self._touch(name)
            return f"module:{name}"
        label = f"{label_of_module(name)} (whole)"
        if label not in self.parts:
            self._wait(label, lambda: self._module_parts(name))
        return f"part:{label}"

    def _module_parts(self, name: str) -> Iterator[str]:
        source = _source_of_module(name)
        yield source.whole() if source else ""
        if source:
            names = vars(sys.modules[name]) if name in sys.modules else {}
            yield from self._follow(source.reach(), names, place=name)

    # --------------------------------------------------------------- references

    def _follow(self, reach: Reach, names: Mapping[str, object], place: str = "") -> Iterator[str]:
        """Yield what each reference is bound to, and meet it on the way."""
        for chain in reach.chains:
            if chain[0] in names:
                yield f"{'.'.join(chain)}={self._resolve(chain, names)}"
        place = str(names.get("__package__") or names.get("__name__") or place)
        for module, taken in reach.imports:
            for found in meant_by_import(module, taken, place):
                yield f"import {found}={self._module(found)}"

    def _resolve(self, chain: tuple[str, ...], names: Mapping[str, object]) -> str:
        name, value = chain[0], names[chain[0]]
        for below in chain[1:]:
            if not isinstance(value, types.ModuleType) or self._origin(value.__name__) != "project":
                break
            path = f"{value.__name__}.{below}"
            name, names = below, vars(value)
            value = names[below] if below in names else sys.modules.get(path)
            if value is None and below not in names:
                return f"missing:{path}"
        if _is_code(value):
            return self.token(value)
        owner = str(names.get("__name__", ""))
        label = f"{label_of_module(owner)}.{name}"
        if label not in self.parts:
            self._wait(label, lambda: self._constant_parts(owner, name, value))
        return f"part:{label}"

    def _constant_parts(self, owner: str, name: str, value: object) -> Iterator[str]:
        digest = self._digester(value) if self._digester else None
        if digest is not None:
            yield f"content:{_type_name(value)}:{digest}"
            return
        statements = () if _is_data(value) else _statements_of(owner, name)
        if not statements:
            yield self.token(value)
        for text, reach in statements:
            yield text
            yield from self._follow(reach, vars(sys.modules[owner]), place=owner)

    # -------------------------------------------------------------------- names

    def _origin(self, module: str) -> Origin:
        file = file_of(module)
        return "project" if self._is_home(file) else origin_of_module(module)

    def _origin_of_code(self, function: types.FunctionType) -> Origin:
        file = function.__code__.co_filename
        return "project" if self._is_home(file) else origin_of_file(file)

    def _is_home(self, file: str | None) -> bool:
        return bool(self._home and file) and real_path(str(file)).startswith(self._home)

    def _touch(self, module: str) -> None:
        """Note the version of the distribution that a module belongs to."""
        top = module.partition(".")[0]
        if top and self._origin(top) == "package":
            name, version = distribution_of(top)
            self.parts[f"package {name}"] = version

    def _part(self, item: object, wanted: str, describe: Callable[[], Iterable[str]]) -> str:
        label, number = wanted, 1
        while label in self.parts:
            number += 1
            label = f"{wanted}#{number}"
        self._know(item, f"part:{label}")
        self._wait(label, describe)
        return f"part:{label}"

    def _wait(self, label: str, describe: Callable[[], Iterable[str]]) -> None:
        self.parts[label] = ""
        self._waiting.append((label, describe))

    def _know(self, item: object, token: str) -> None:
        self._tokens[id(item)] = token
        self._kept.append(item)


def _home_of(function: object) -> str:
    """Return the folder that counts as the user's although it was installed: the function's own.

    Empty for code that is the user's anyway.
    """
    function = inspect.unwrap(cast("Any", function))
    if not isinstance(function, types.FunctionType):
        return ""
    file = function.__code__.co_filename
    if origin_of_file(file) != "package":
        return ""
    path = Path(real_path(file))
    return str(path) if path.parent.name.endswith("-packages") else f"{path.parent}{os.sep}"


def _source_of_module(name: str) -> Source | None:
    file = file_of(name)
    return source_of(file) if file else None


def _statements_of(module: str, name: str) -> tuple[tuple[str, Reach], ...]:
    source = _source_of_module(module)
    if source is None or module not in sys.modules:
        return ()
    return tuple(map(read_statement, source.binding(name)))


def _cells(function: types.FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            yield None


def _inside(value: object) -> tuple[object, ...] | None:
    """Return what a callable is made of, when it is made of other callables."""
    match value:
        case types.MethodType():
            return (value.__func__, value.__self__)
        case functools.partial():
            return (value.func, value.args, value.keywords)
        case property():
            return (value.fget, value.fset, value.fdel)
        case staticmethod() | classmethod():
            return (cast("Any", value).__func__,)
        case _:  # lru_cache, and whoever else follows functools.wraps
            wrapped = cast("object", inspect.getattr_static(value, "__wrapped__", None))
            return (wrapped,) if callable(wrapped) else None


def _is_code(value: object) -> bool:
    """Say whether a value is code: it becomes parts under its own name, not a constant."""
    kinds = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
    return isinstance(value, kinds) or _inside(value) is not None


def _is_data(value: object) -> bool:
    """Say whether a value's token tells all about it: code, plain data, the user's own objects."""
    kind = type(value)
    if kind in _EXACT or _is_code(value):
        return True
    plain = (enum.Enum, str, int, float, bytearray, tuple, list, set, frozenset, dict, deque)
    if isinstance(value, (*plain, types.MappingProxyType, re.Pattern, PurePath)):
        return True
    top = kind.__module__.partition(".")[0]
    return top in _SPOKEN or origin_of_module(kind.__module__) == "project"


def _state_of(value: object) -> dict[str, object] | None:
    """Return an object's attributes, None when it has none that can be listed."""
    slots = [
        name
        for kind in type(value).__mro__
        for name in _names(vars(kind).get("__slots__", ()))
        if name not in {"__dict__", "__weakref__"}
    ]
    slots += _names(getattr(type(value), "__struct_fields__", ()))
    own: object = getattr(value, "__dict__", None)
    if not slots and not isinstance(own, dict):
        return None
    state = {name: cast("object", getattr(value, name, None)) for name in slots}
    return state | (cast("dict[str, object]", own) if isinstance(own, dict) else {})


def _names(slots: object) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(cast("Iterable[str]", slots))


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _short(*texts: str) -> str:
    return sha256_hex(*(text.encode(errors="surrogatepass") for text in texts))[:24]
