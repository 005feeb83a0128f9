"""Values in a few words: what `trivet why` shows of a step's arguments.

Plain values are written out up to a length, data sets and files by their version, everything else
by its type and shape. Nothing is called on a value but what its type is known to answer at once.
"""

import re
import types
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import cast

from trivet.pipelines.inputs import DataInput, InputFile, TableInput

_LONGEST = 200
_ITEMS = 20
_DEEPEST = 4
_LARGEST_BITS = 1024
_SHAPED = {"numpy", "pandas", "polars", "pyarrow", "scipy", "torch", "xarray"}
_SECRET = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|token|api_?key|credentials?)$", re.IGNORECASE
)


def show_arguments(arguments: Mapping[str, object]) -> dict[str, str]:
    """Describe arguments by parameter; those named like a secret are hidden.

    Returns:
        At most 200 characters each.
    """
    return {
        name: "(hidden)" if _SECRET.search(name) else show(value)
        for name, value in arguments.items()
    }


def show(value: object) -> str:
    """Describe a value in at most 200 characters."""
    text = _write(value, 0)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _write(value: object, depth: int) -> str:
    match value:
        case InputFile():
            said = f"{Path(value).name} (content {value.content[:12]})"
        case DataInput() | TableInput():
            said = value.label
        case None | bool() | float() | complex() | Path():
            said = str(value)
        case int():
            bits = value.bit_length()
            said = repr(value) if bits <= _LARGEST_BITS else f"an int of {bits} bits"
        case str() | bytes():
            said = repr(value[: _LONGEST + 1])
        case types.FunctionType() | type():
            said = f"{value.__module__}.{value.__qualname__}"
        case _:
            said = _write_container(value, depth)
    return said


def _write_container(value: object, depth: int) -> str:
    kind = type(value)
    if kind not in {dict, frozenset, list, set, tuple} or depth >= _DEEPEST:
        return _write_type(value)
    if kind is dict:
        pairs = cast("dict[object, object]", value)
        items = [
            f"{_write(key, depth + 1)}: {_write(item, depth + 1)}"
            for key, item in islice(pairs.items(), _ITEMS)
        ]
        return _enclose("{", items, len(pairs), "}")
    many = cast("list[object]", value)
    inner: Iterable[object] = islice(many, _ITEMS)
    if kind in {frozenset, set}:
        return _enclose("{", sorted(_write(item, depth + 1) for item in inner), len(many), "}")
    opening, closing = ("[", "]") if kind is list else ("(", ")")
    return _enclose(opening, [_write(item, depth + 1) for item in inner], len(many), closing)


def _enclose(opening: str, items: list[str], count: int, closing: str) -> str:
    rest = [f"… {count} in all"] if count > len(items) else []
    return f"{opening}{', '.join([*items, *rest])}{closing}"


def _write_type(value: object) -> str:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    library = kind.__module__.partition(".")[0]
    if library not in _SHAPED:
        return name
    shape: object = getattr(value, "shape", None)
    said = f" {cast('object', shape)}" if isinstance(shape, tuple) else ""
    return f"{library}.{kind.__qualname__}{said}"
