"""What is stored without being told: leaves with files of their own, and values made of parts."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trivet.core.errors import NotFound
from trivet.pipelines.materialisers import Materialiser, is_instance
from trivet.pipelines.materialising import arrays, pandas, records, tensors
from trivet.pipelines.materialising.arrow import ARROW
from trivet.pipelines.materialising.boosters import XGBOOST
from trivet.pipelines.materialising.frames import FRAMES, SERIES
from trivet.pipelines.materialising.images import IMAGES
from trivet.pipelines.materialising.paths import PATHS
from trivet.pipelines.materialising.readers import Reader

BYTES = Materialiser(
    format="bytes",
    accepts=lambda value: type(value) in {bytes, bytearray},
    save=lambda value: {type(value).__name__: bytes(value)},
    load=lambda files: files["bytes"] if "bytes" in files else bytearray(files["bytearray"]),
)
"""Bytes, as one file."""

LEAVES: Final = (
    BYTES,
    arrays.ARRAYS,
    arrays.MANY_ARRAYS,
    arrays.SPARSE,
    FRAMES,
    SERIES,
    ARROW,
    PATHS,
    IMAGES,
    tensors.TENSORS,
    XGBOOST,
)
"""Materialisers that need no word from the user."""


class Made(msgspec.Struct, frozen=True):
    """A value as its named parts."""

    format: str
    parts: Mapping[str, object]


def take_made(value: object, reader: Reader) -> Made | None:
    """Return a value as its parts, None when it is not made of any that are known.

    Raises:
        NoForm: It would be, but something about this one has no form.
    """
    found = pandas.format_of(value)
    if found is not None:
        return Made(found, pandas.parts_of(value, found))
    found = arrays.array_kind(value)
    if found is not None:
        return Made(found, arrays.array_parts(value))
    found = records.kind_of(value)
    return None if found is None else Made(found, records.parts_of(value, found, reader))


def put_made(format_: str, parts: dict[str, Any], reader: Reader) -> object:
    """Put a value's parts together.

    Raises:
        NotFound: Nothing here knows the format, or today's code does not allow its class.
        Corrupt: The parts are none.
    """
    if format_.startswith("pandas."):
        return pandas.make(format_, parts)
    if format_ in arrays.FORMATS:
        return arrays.array_of(format_, parts)
    if format_ in records.FORMATS:
        return records.make(format_, parts, reader)
    raise NotFound(f"nothing here reads values of format {format_!r}", code="no-materialiser")


_ADVICE: Final = (
    ("polars", "LazyFrame", "Collect it: return frame.collect()."),
    ("numpy", "ndarray", "Give the array a plain type: one of Python objects cannot be stored."),
    ("matplotlib.figure", "Figure", "Save it and return its path: figure.savefig(path)."),
    ("jax", "Array", "Return numpy.asarray(array)."),
    ("builtins", "generator", "Return a list."),
)


def advice_for(value: object) -> str:
    """Say what to return instead of a value that cannot be stored; empty when nothing is known."""
    kind = type(value)
    for library, name, words in _ADVICE:
        if is_instance(value, library, name) or (kind.__module__, kind.__name__) == (library, name):
            return words
    return tensors.advice_for(value)
