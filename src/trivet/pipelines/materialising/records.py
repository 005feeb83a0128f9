"""Records: dataclasses, msgspec structs, NamedTuples, Enums and pydantic models, as their fields.

A record is made again without its `__init__`: its fields are set as they were, so that what
`__post_init__` or a validator once did is neither done twice nor undone. Only classes that today's
code allows are made (see `readers`). One whose fields are others by now is not made: its value
counts as not known, and the step runs again.
"""

import dataclasses
import enum
import functools
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, cast

import msgspec

from trivet.core.errors import Corrupt, NotFound
from trivet.pipelines.materialisers import is_instance
from trivet.pipelines.materialising.readers import Reader, name_of
from trivet.pipelines.materialising.structure import NoForm

CLASS: Final = "@class"
_PYDANTIC: Final = ("__dict__", "__pydantic_extra__", "__pydantic_private__")
_MISSING: Final = object()
# What makes an empty object of any class, whatever the class itself says.
_NEW: Final = cast("Callable[[type], object]", object.__new__)
_NEW_TUPLE: Final[Any] = tuple[Any, ...].__new__

Parts = Mapping[str, object]


def kind_of(value: object) -> str | None:
    """Return the format of a record, None for what is no record."""
    kind = type(value)
    if issubclass(kind, type):
        return None
    if issubclass(kind, enum.Enum):
        return "enum"
    if issubclass(kind, msgspec.Struct):
        return "struct"
    if tuple in kind.__mro__ and hasattr(kind, "_fields"):
        return "named-tuple"
    if dataclasses.is_dataclass(kind):
        return "dataclass"
    return "pydantic" if is_instance(value, "pydantic", "BaseModel") else None


def parts_of(value: object, format_: str, reader: Reader) -> dict[str, object]:
    """Return the class and the fields of a record.

    Raises:
        NoForm: Its class could not be found again, or holds more than its fields.
    """
    kind = type(value)
    if not reader.may_make(kind):
        raise NoForm(value, _why_not(kind), _HOW)
    return {CLASS: name_of(kind), **_TAKE[format_](value)}


def fields_of(value: object) -> tuple[object, ...]:
    """Return what the fields of a record hold; nothing for what is no record."""
    format_ = kind_of(value)
    if format_ in {None, "enum", "pydantic"}:  # neither holds what it has not looked at
        return ()
    try:
        return tuple(_TAKE[str(format_)](value).values())
    except NoForm:
        return ()


def make(format_: str, parts: Parts, reader: Reader) -> object:
    """Make a record of its class and fields.

    Raises:
        NotFound: Its class is not there any more, is not allowed, or has other fields.
        Corrupt: The parts are no record.
    """
    name = parts.get(CLASS)
    if not isinstance(name, str) or format_ not in _MAKE:
        raise Corrupt("a stored record names no class", hint="Run `trivet fsck`.")
    kind = reader.find(name)
    if kind is None:
        raise NotFound(
            f"nothing here may make a {name!r}, of which a stored value is one",
            code="no-class",
            hint="Import the class in the module of the step, or name it in its annotations.",
        )
    fields = {key: part for key, part in parts.items() if key != CLASS}
    try:
        return _MAKE[format_](kind, fields)
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise NotFound(
            f"a stored {name!r} does not fit the class as it is now: {error}", code="no-class"
        ) from error


_HOW: Final = (
    "Define the class at the top of a module of your project, or name it in the step's return "
    "annotation."
)


def _why_not(kind: type) -> str:
    if "<locals>" in kind.__qualname__:
        return "its class is defined inside a function, where it cannot be found again"
    return "its class is neither of your project nor named in the step's annotations"


# ---------------------------------------------------------------- enums, tuples, structs


def _take_enum(value: Any) -> Parts:  # noqa: ANN401  # an Enum of any values
    members: Mapping[object, object] = getattr(_class_of(value), "__members__", {})
    if value.name in members:
        return {"name": value.name}
    return {"value": value.value}  # several flags at once


def _make_enum(kind: Any, fields: Parts) -> object:  # noqa: ANN401  # an Enum class
    bases: tuple[object, ...] = kind.__mro__
    if enum.Enum not in bases:
        raise TypeError("the class is no Enum")
    members: Mapping[object, object] = getattr(kind, "__members__", {})
    return members[fields["name"]] if "name" in fields else kind(fields["value"])


def _take_tuple(value: Any) -> Parts:  # noqa: ANN401  # any NamedTuple
    return dict(zip(value._fields, value, strict=True))


def _make_tuple(kind: Any, fields: Parts) -> object:  # noqa: ANN401  # a NamedTuple class
    if tuple not in kind.__mro__ or tuple(fields) != getattr(kind, "_fields", None):
        raise TypeError("the fields are others")
    return _NEW_TUPLE(kind, fields.values())


def _take_struct(value: Any) -> Parts:  # noqa: ANN401  # any Struct
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _make_struct(kind: Any, fields: Parts) -> object:  # noqa: ANN401  # a Struct class
    if msgspec.Struct not in kind.__mro__ or tuple(fields) != kind.__struct_fields__:
        raise TypeError("the fields are others")
    # A struct cannot be made empty; what its __post_init__ does with the fields is put right.
    made = kind(**{name: fields[name] for name in kind.__struct_fields__})
    for name, part in fields.items():
        msgspec.structs.force_setattr(made, name, part)
    return made


# ------------------------------------------------------------- dataclasses and pydantic


def _class_of(value: object) -> type:
    return type(value)


def _take_dataclass(value: Any) -> Parts:  # noqa: ANN401  # any dataclass
    kind = _class_of(value)
    try:
        _NEW(kind)
    except TypeError:
        raise NoForm(value, "its class also derives from a built-in type", "") from None
    names = [field.name for field in dataclasses.fields(value)]
    names += [name for item in kind.__mro__ for name in _slots(item)]
    names += [name for name in getattr(value, "__dict__", {}) if not _is_cache(kind, name)]
    found = {name: getattr(value, name, _MISSING) for name in names}
    return {name: part for name, part in found.items() if part is not _MISSING}


def _slots(kind: type) -> tuple[str, ...]:
    named = kind.__dict__.get("__slots__", ())
    names = (named,) if isinstance(named, str) else tuple(named)
    return tuple(name for name in names if name not in {"__dict__", "__weakref__"})


def _is_cache(kind: type, name: str) -> bool:
    found = (item.__dict__.get(name) for item in kind.__mro__)
    return any(isinstance(item, functools.cached_property) for item in found)


def _make_dataclass(kind: Any, fields: Parts) -> object:  # noqa: ANN401  # a dataclass
    if not dataclasses.is_dataclass(kind):
        raise TypeError("the class is no dataclass")
    names = {field.name for field in dataclasses.fields(kind)}
    # A field may be unset (init=False), and attributes may come on top; but no field may be new.
    if missing := sorted(name for name in names - fields.keys() if not _may_lack(kind, name)):
        raise TypeError(f"it has no {missing[0]!r}")
    made = _NEW(cast("type", kind))
    for name, part in fields.items():
        object.__setattr__(made, name, part)
    return made


def _may_lack(kind: Any, name: str) -> bool:  # noqa: ANN401  # a dataclass
    return any(field.name == name and not field.init for field in dataclasses.fields(kind))


def _take_pydantic(value: Any) -> Parts:  # noqa: ANN401  # any model
    state: dict[str, Any] = value.__getstate__()
    parts: dict[str, object] = {name: state.get(name) for name in _PYDANTIC}
    kind = _class_of(value)
    parts["__dict__"] = {
        name: part for name, part in state["__dict__"].items() if not _is_cache(kind, name)
    }
    return {**parts, "__pydantic_fields_set__": set(state["__pydantic_fields_set__"])}


def _make_pydantic(kind: Any, fields: Parts) -> object:  # noqa: ANN401  # a pydantic class
    model: Any = import_module("pydantic").BaseModel  # loaded, or the class would not be
    if model not in kind.__mro__:
        raise TypeError("the class is no pydantic model")
    values = cast("Mapping[str, object]", fields["__dict__"])
    if missing := sorted(kind.model_fields.keys() - values.keys()):
        raise TypeError(f"it has no {missing[0]!r}")
    made = _NEW(kind)
    model.__setstate__(made, dict(fields))
    return made


_TAKE: Final[Mapping[str, Callable[[Any], Parts]]] = {
    "enum": _take_enum,
    "named-tuple": _take_tuple,
    "struct": _take_struct,
    "dataclass": _take_dataclass,
    "pydantic": _take_pydantic,
}
_MAKE: Final[Mapping[str, Callable[[Any, Parts], object]]] = {
    "enum": _make_enum,
    "named-tuple": _make_tuple,
    "struct": _make_struct,
    "dataclass": _make_dataclass,
    "pydantic": _make_pydantic,
}
FORMATS: Final = frozenset(_MAKE)
"""The formats of records."""
