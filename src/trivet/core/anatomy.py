"""The anatomy of live objects: what a callable is made of, and what tells a value apart."""

import enum
import functools
import inspect
import re
import types
from argparse import Namespace
from collections import UserDict, UserList, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from configparser import RawConfigParser
from pathlib import PurePath
from typing import cast

from trivet.core.modules import origin_of_module

EXACT = (type(None), bool, int, float, complex, str, bytes, range, slice, types.EllipsisType)
"""Types whose repr says everything."""
SPOKEN = ("datetime", "decimal", "fractions", "ipaddress", "typing", "uuid", "zoneinfo")
"""Modules of the standard library whose values say everything in their repr."""
AMBIENT = (
    *("_contextvars", "_io", "_thread", "_weakref", "asyncio", "concurrent", "contextvars", "io"),
    *("logging", "multiprocessing", "queue", "random", "select", "socket", "subprocess"),
    *("tempfile", "threading", "weakref"),
)
"""Modules whose objects have a life of their own: their state is no part of the code."""
SETTINGS = (types.SimpleNamespace, Namespace, RawConfigParser, UserDict, UserList)
"""Types of the standard library that hold plain values in their attributes."""
FURNITURE = {
    *("__abstractmethods__", "__annotations_cache__", "__dataclass_fields__", "__dict__"),
    *("__doc__", "__firstlineno__", "__module__", "__qualname__", "__static_attributes__"),
    *("__struct_config__", "__weakref__", "_abc_impl"),
}
"""Attributes of a class that Python puts there."""
_MADE_OF: tuple[tuple[type | tuple[type, ...], tuple[str, ...]], ...] = (
    (types.MethodType, ("__func__", "__self__")),
    ((functools.partial, functools.partialmethod), ("func", "args", "keywords")),
    (property, ("fget", "fset", "fdel")),
    ((staticmethod, classmethod), ("__func__",)),
    (functools.cached_property, ("func",)),
    (functools.singledispatchmethod, ("func", "dispatcher")),
)
DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType)


def inside(value: object) -> tuple[object, ...] | None:
    """Return what a callable is made of, when it is made of other callables."""
    made_of = next((names for kinds, names in _MADE_OF if isinstance(value, kinds)), None)
    if made_of is not None:
        return tuple(cast("object", getattr(value, name)) for name in made_of)
    # lru_cache, and whoever else follows functools.wraps
    wrapped = cast("object", inspect.getattr_static(value, "__wrapped__", None))
    return (wrapped,) if callable(wrapped) else None


def cells_of(function: types.FunctionType) -> Iterator[object]:
    """Yield what a function's closure holds."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            yield None


def attributes_of(function: types.FunctionType) -> dict[str, object]:
    """Return the plain values that somebody hung on a function: `f.rate = 2`."""
    return {
        name: value
        for name, value in vars(function).items()
        if not name.startswith("__") and is_data(value)
    }


def callables_held(function: types.FunctionType) -> Iterator[object]:
    """Yield what a library's closure holds of other code: functions, and registries of them."""
    for held in cells_of(function):
        if isinstance(held, types.FunctionType):
            yield held
        elif isinstance(held, dict):
            items = cast("dict[object, object]", held)
            if any(isinstance(item, types.FunctionType) for item in items.values()):
                yield items


def subclasses_of(kind: type) -> Iterator[type]:
    """Yield the classes below a class, at any depth."""
    for below in type.__subclasses__(kind):
        yield below
        yield from subclasses_of(below)


def is_code(value: object) -> bool:
    """Say whether a value is code: it becomes parts under its own name, not a constant."""
    kinds = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
    return isinstance(value, kinds) or inside(value) is not None


def is_data(value: object) -> bool:
    """Say whether a value's token tells all about it: code, plain data, the user's own objects."""
    kind = type(value)
    if kind in EXACT or is_code(value):
        return True
    plain = (enum.Enum, str, int, float, bytearray, tuple, list, set, frozenset, dict, deque)
    if isinstance(value, (*plain, types.MappingProxyType, re.Pattern, PurePath)):
        return True
    if isinstance(value, SETTINGS):
        return True
    top = kind.__module__.partition(".")[0]
    return top in SPOKEN or origin_of_module(kind.__module__) == "project"


def state_of(value: object) -> dict[str, object] | None:
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


def describe_items(value: object, token: Callable[[object], str]) -> str | None:
    """Describe plain data by what is in it; None when it is none.

    Args:
        value: The value.
        token: Describes what is inside.
    """
    kind = type(value)
    match value:
        case enum.Enum():
            said = f"{value.name}={token(value.value)}"
        case bytearray() | str() | int() | float() | PurePath():
            said = repr(value)
        case tuple() | list() | deque():
            items = cast("Iterable[object]", value)
            said = str([token(item) for item in items])
        case set() | frozenset():
            members = cast("Iterable[object]", value)
            said = str(sorted(token(item) for item in members))
        case dict() | types.MappingProxyType():
            pairs = cast("Mapping[object, object]", value).items()
            said = str([(token(k), token(v)) for k, v in pairs])
        case re.Pattern():
            said = repr((cast("re.Pattern[str]", value).pattern, value.flags))
        case _:
            return None
    return f"{token(kind)}:{said}"


def type_name(value: object) -> str:
    """Return `module.Type` of a value."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _names(slots: object) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(cast("Iterable[str]", slots))
