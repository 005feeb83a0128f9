"""The anatomy of live objects: what a callable is made of, and what tells a value apart."""

import builtins
import enum
import functools
import inspect
import io
import re
import types
from argparse import Namespace
from collections import UserDict, UserList, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from configparser import RawConfigParser
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePath
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from trivet.core.fingerprints.modules import origin_of_module
from trivet.core.ids import sha256_hex

EXACT = (
    *(type(None), bool, int, float, complex, str, bytes, range, slice),
    *(types.EllipsisType, types.NotImplementedType),
)
"""Types whose repr says everything."""
SPOKEN = ("array", "datetime", "decimal", "fractions", "ipaddress", "typing", "uuid", "zoneinfo")
"""Modules of the standard library whose values say everything in their repr."""
TELLING = ("polars",)
"""Libraries whose objects say in their repr what their attributes hide: an expression's terms."""
AMBIENT = (
    *("_contextvars", "_io", "_thread", "_weakref", "asyncio", "concurrent", "contextvars", "io"),
    *("logging", "multiprocessing", "queue", "random", "select", "socket", "subprocess"),
    *("tempfile", "threading", "weakref"),
)
"""Modules whose objects have a life of their own: their state is no part of the code."""
MEMORY_FILES = (io.BytesIO, io.StringIO)
"""Types of files that are nothing but what is in them."""
SETTINGS = (types.SimpleNamespace, Namespace, RawConfigParser, UserDict, UserList)
"""Types of the standard library that hold plain values in their attributes."""
FURNITURE = {
    *("__abstractmethods__", "__annotations_cache__", "__dataclass_fields__", "__dict__"),
    *("__doc__", "__firstlineno__", "__module__", "__qualname__", "__static_attributes__"),
    *("__struct_config__", "__weakref__", "_abc_impl"),
    # What pydantic works out from fields and validators: it holds addresses, or fills with use.
    *("__pydantic_complete__", "__pydantic_core_schema__", "__pydantic_parent_namespace__"),
    *("__pydantic_serializer__", "__pydantic_setattr_handlers__", "__pydantic_validator__"),
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
_FIXED = frozenset(
    {
        *("Ellipsis", "False", "None", "NotImplemented", "True", "_", "__debug__", "__doc__"),
        *("__loader__", "__name__", "__package__", "__spec__"),
    }
)
_SCALARS = (bytearray, bytes, str, int, float)
_REDUCED = {BaseException, date, time, datetime, timedelta, timezone, Decimal}
"""Built-in types that keep their content out of sight of a class that derives from them."""
_ALIAS = (
    *("__origin__", "__args__", "__metadata__", "__bound__", "__constraints__", "__supertype__"),
    *("__value__",),
)
_WORKED_OUT = frozenset(
    {
        *("__pydantic_validator__", "__return_pydantic_validator__", "core_schema", "ns_resolver"),
        *("schema_type", "serializer", "validator"),
    }
)
"""Attributes that objects of pydantic work out from a function or type that they also hold."""
_WEAK = (WeakSet, WeakKeyDictionary, WeakValueDictionary)
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
    if isinstance(value, types.BuiltinFunctionType):
        return owner_of(value) is None
    kinds = (type, types.FunctionType, types.ModuleType)
    return isinstance(value, kinds) or inside(value) is not None


def is_pythons_own(name: str) -> bool:
    """Say whether a built-in name stands for what Python gave it, and for nothing put there."""
    value = vars(builtins).get(name)
    made_in = getattr(value, "__module__", None) or type(value).__module__
    return name in _FIXED or (callable(value) and made_in in {"builtins", "_io", "_sitebuiltins"})


def owner_of(function: types.BuiltinFunctionType) -> object | None:
    """Return the object whose method a built-in function is; None for one of a module or class."""
    owner = cast("object", function.__self__)
    return None if isinstance(owner, types.ModuleType | type) else owner


def is_data(value: object) -> bool:
    """Say whether a value's token tells all about it: code, plain data, the user's own objects."""
    kind = type(value)
    if kind in EXACT or is_code(value):
        return True
    if isinstance(value, types.BuiltinFunctionType):
        return is_data(owner_of(value))
    plain = (enum.Enum, str, int, float, bytes, bytearray, tuple, list, set, frozenset, dict, deque)
    if isinstance(value, (*plain, types.MappingProxyType, re.Pattern, PurePath)):
        return True
    if isinstance(value, (*SETTINGS, *_WEAK)):
        return True
    top = kind.__module__.partition(".")[0]
    return top in SPOKEN or origin_of_module(kind.__module__) == "project"


def state_of(value: object) -> dict[str, object] | None:
    """Return an object's attributes, None when it has none that can be listed."""
    slots = [
        _mangled(name, kind)
        for kind in type(value).__mro__
        for name in _names(vars(kind).get("__slots__", ()))
        if name not in {"__dict__", "__weakref__"}
    ]
    slots += _names(getattr(type(value), "__struct_fields__", ()))
    own = _attributes(value)
    built = _built_of(value)
    if not slots and own is None and not built:
        return None
    if type(value).__module__.partition(".")[0] == "pydantic":
        slots = [name for name in slots if name not in _WORKED_OUT]
        own = {name: item for name, item in (own or {}).items() if name not in _WORKED_OUT}
    state = {name: cast("object", getattr(value, name, None)) for name in slots}
    return state | (own or {}) | built


def noted_in(kind: type) -> Iterator[tuple[str, object]]:
    """Yield what a class knows beside its attributes: the defaults and options of a Struct."""
    for default in cast("tuple[object, ...]", getattr(kind, "__struct_defaults__", ())):
        yield "default", getattr(default, "factory", default)
    yield "fields", getattr(kind, "__struct_encode_fields__", None)
    config: object = getattr(kind, "__struct_config__", None)
    for name in dir(config) if config is not None else ():
        if not name.startswith("_"):
            yield name, getattr(config, name)


def alias_parts(value: object) -> list[object]:
    """Return what a type that was put together is made of: `list[Row]`, `Annotated[int, check]`."""
    found = (cast("object", getattr(value, name, None)) for name in _ALIAS)
    return [part for part in found if part is not None and part != ()]


def describe_items(value: object, token: Callable[[object], str]) -> str | None:
    """Describe plain data by what is in it; None when it is none.

    A class that derives from a plain one may say and give out what it likes: the plain one is
    asked, and what hangs on the value comes on top.

    Args:
        value: The value.
        token: Describes what is inside.
    """
    kind = type(value)
    match value:
        case enum.Enum():
            return f"{token(kind)}:{value.name}={token(value.value)}"
        case PurePath():
            return f"{token(kind)}:{value!r}"
        case re.Pattern():
            return f"{token(kind)}:{(cast('re.Pattern[str]', value).pattern, value.flags)!r}"
        case _:
            said = _said_in_items(value, token)
    more = state_of(value) if kind.__module__ != "builtins" and kind not in _WEAK else None
    return None if said is None else f"{token(kind)}:{said}{token(more) if more else ''}"


def _base_of(value: object, kinds: tuple[type, ...]) -> Any:  # noqa: ANN401  # a built-in type
    return next(kind for kind in kinds if isinstance(value, kind))


def _said_in_items(value: object, token: Callable[[object], str]) -> str | None:
    said: str | None = None
    match value:
        case bytearray() | bytes() | str() | int() | float():
            said = str(_base_of(value, _SCALARS).__repr__(value))
        case tuple() | list() | deque():
            base = _base_of(cast("object", value), (tuple, list, deque))
            said = str([token(item) for item in base.__iter__(value)])
            said += f" {cast('deque[object]', value).maxlen}" if base is deque else ""
        case set() | frozenset():
            base = _base_of(cast("object", value), (set, frozenset))
            said = str(sorted(token(item) for item in base.__iter__(value)))
        case dict():
            items: Any = dict
            pairs = cast("Iterable[tuple[object, object]]", items.items(value))
            said = str([(token(k), token(v)) for k, v in pairs])
            if isinstance(value, defaultdict):
                said += token(cast("defaultdict[object, object]", value).default_factory)
        case WeakSet():
            said = str(sorted(token(item) for item in cast("Iterable[object]", value)))
        case WeakKeyDictionary() | WeakValueDictionary():
            live = cast("Mapping[object, object]", value).items()
            said = str(sorted((token(k), token(v)) for k, v in live))
        case types.MappingProxyType():
            shown = cast("Mapping[object, object]", value).items()
            said = str([(token(k), token(v)) for k, v in shown])
        case _:
            pass
    return said


def type_name(value: object) -> str:
    """Return `module.Type` of a value."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _built_of(value: object) -> dict[str, object]:
    """Return what the built-in type keeps from which a class derives: the day of a date."""
    for kind in type(value).__mro__[:-1]:
        if kind in _REDUCED:
            return {f"<{kind.__name__}>": kind.__reduce__(cast("Any", value))[1:2]}
    return {}


def _mangled(name: str, kind: type) -> str:
    """Return the name under which Python keeps a slot: one like `__rate` is the class's own."""
    is_private = name.startswith("__") and not name.endswith("__")
    return f"_{kind.__name__.lstrip('_')}{name}" if is_private else name


def _attributes(value: object) -> dict[str, object] | None:
    own: object = getattr(value, "__dict__", None)
    return cast("dict[str, object]", own) if isinstance(own, dict) else None


def _names(slots: object) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(cast("Iterable[str]", slots))


def digest_memory_file(value: object) -> str:
    """Digest what is in a file in memory."""
    file = cast("io.BytesIO | io.StringIO", value)
    content = "closed" if file.closed else file.getvalue()
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return sha256_hex(data)
