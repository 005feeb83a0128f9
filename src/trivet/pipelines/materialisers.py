"""Values in files: frames as Parquet, arrays as npy, bytes as they are, records as JSON.

None of these formats can run anything when it is read. A library is loaded only once a value of
its types, or a file that holds one, is at hand.
"""

import io
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec

from trivet.core.errors import Corrupt, Invalid

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

T = TypeVar("T")
Files = Mapping[str, bytes]
"""A value's files: relative path to content."""


class Materialiser(msgspec.Struct, frozen=True, kw_only=True):
    """How values of some types become files and come back.

    Example:
        >>> import fractions
        >>> exact = Materialiser(
        ...     format="fraction",
        ...     accepts=lambda value: type(value) is fractions.Fraction,
        ...     save=lambda value: {"fraction.txt": str(value).encode()},
        ...     load=lambda files: fractions.Fraction(files["fraction.txt"].decode()),
        ... )
        >>> exact.load(exact.save(fractions.Fraction(1, 3)))
        Fraction(1, 3)
    """

    format: str
    """The name recorded with the files, for ever."""
    accepts: Callable[[object], bool]
    """Says whether it can store a value, without importing anything to find out."""
    save: Callable[[Any], Files]
    """Returns a value's files. Equal values give equal bytes."""
    load: Callable[[Files], object]
    """Returns an equal value of the same type. Nothing in the files is executed."""
    digest: Callable[[Any], str] | None = None
    """Digests a value's content where that is quicker than writing its files."""


def records(kind: type[T], format: str | None = None) -> Materialiser:
    """Make the materialiser of a msgspec struct or a dataclass with plain fields: JSON.

    Args:
        kind: The class. Nothing but this class is ever made from the files.
        format: A name that stays when the class moves; its module and name when omitted.
    """
    return Materialiser(
        format=format or f"record.{kind.__module__}.{kind.__qualname__}",
        accepts=lambda value: type(value) is kind,
        save=lambda value: {"record.json": msgspec.json.encode(value, order="deterministic")},
        load=lambda files: msgspec.json.decode(files["record.json"], type=kind),
    )


_registered: list[Materialiser] = []


def register(materialiser: Materialiser) -> None:
    """Let steps return, and take, values of further types, in this process.

    A later registration of a format takes the place of an earlier one.

    Example:
        >>> import dataclasses
        >>> @dataclasses.dataclass
        ... class Split:
        ...     train: list[int]
        ...     test: list[int]
        >>> register(records(Split))
    """
    _registered[:] = [item for item in _registered if item.format != materialiser.format]
    _registered.insert(0, materialiser)


def registered() -> tuple[Materialiser, ...]:
    """Return what was registered in this process, latest first."""
    return tuple(_registered)


def digest_files(files: Files) -> str:
    """Digest files by their paths and contents."""
    state = sha256()
    for path, content in sorted(files.items()):
        for part in (path.encode(), content):
            state.update(len(part).to_bytes(8, "big"))
            state.update(part)
    return state.hexdigest()


def content_of(materialiser: Materialiser, value: object) -> str:
    """Digest a value by its content."""
    if materialiser.digest is not None:
        return materialiser.digest(value)
    return digest_files(materialiser.save(value))


def read_with(materialiser: Materialiser, files: Files) -> object:
    """Load a value, and say so when the files do not hold one.

    Raises:
        Corrupt: They do not.
    """
    try:
        return materialiser.load(files)
    except (LookupError, ValueError, OSError, msgspec.MsgspecError) as error:
        raise Corrupt(
            f"a stored value of format {materialiser.format!r} does not read back: {error}",
            hint="Run `trivet fsck`.",
        ) from error


# --------------------------------------------------------------------- Polars


def _is_frame(value: object) -> bool:
    """Say whether a value is a table: a Polars frame, or anything else that speaks Arrow."""
    is_foreign = type(value).__module__.partition(".")[0] == "pandas"  # its index is no column
    is_table = hasattr(type(value), "__arrow_c_stream__") and not is_foreign
    return is_table and not _is(value, "polars", "Series")


def _frame_of(value: object) -> "pl.DataFrame":
    polars = import_module("polars")
    is_frame = _is(value, "polars", "DataFrame")
    frame = cast("pl.DataFrame", value if is_frame else polars.DataFrame(value))
    for name, kind in frame.schema.items():
        if kind == polars.Object:
            raise Invalid(
                f"column {name!r} of a frame holds Python objects; expected plain columns",
                code="no-materialiser",
                hint="Cast the column to numbers, text, lists or structs.",
            )
    return frame


def _parquet(frame: "pl.DataFrame", compression: Literal["zstd", "uncompressed"]) -> bytes:
    """Write a frame. What lies under a null and how it is chunked leave no trace in Parquet."""
    stream = io.BytesIO()
    frame.rechunk().write_parquet(stream, compression=compression, statistics=False)
    return stream.getvalue()


def _read_parquet(content: bytes) -> "pl.DataFrame":
    polars = import_module("polars")
    try:
        return polars.read_parquet(io.BytesIO(content))
    except polars.exceptions.PolarsError as error:
        raise Corrupt(
            f"a stored frame does not read back: {error}", hint="Run `trivet fsck`."
        ) from error


def _digest_frame(value: object) -> str:
    frame = _frame_of(value)
    state = sha256(repr((frame.height, list(frame.schema.items()))).encode())
    for column in frame.get_columns():
        state.update(_column_content(column))
    return state.hexdigest()


def _column_content(column: "pl.Series") -> bytes:
    """Return bytes that equal columns alone have; Arrow leaves those under a null open."""
    kind = column.dtype
    is_number = kind.is_integer() or kind.is_float() or kind.is_temporal()
    if not is_number or str(kind).endswith("128"):  # NumPy has no integers of 128 bits
        return _parquet(column.to_frame(), "uncompressed")
    physical = column.to_physical()
    gaps = physical.is_null().to_numpy().tobytes() if physical.null_count() else b""
    return physical.fill_null(0).to_numpy().tobytes() + gaps


FRAMES = Materialiser(
    format="frame.parquet",
    accepts=_is_frame,
    save=lambda value: {"frame.parquet": _parquet(_frame_of(value), "zstd")},
    load=lambda files: _read_parquet(files["frame.parquet"]),
    digest=_digest_frame,
)
"""Polars frames, and whatever else speaks Arrow: it comes back as a Polars frame."""

SERIES = Materialiser(
    format="series.parquet",
    accepts=lambda value: _is(value, "polars", "Series"),
    save=lambda value: {"series.parquet": _parquet(_frame_of(value.to_frame()), "zstd")},
    load=lambda files: _read_parquet(files["series.parquet"]).to_series(0),
)
"""Polars series."""


# ---------------------------------------------------------------------- NumPy


def _is_array(value: object) -> bool:
    if not (_is(value, "numpy", "ndarray") or _is(value, "numpy", "generic")):
        return False
    array = cast("np.ndarray[Any, np.dtype[Any]]", value)
    return type(value).__module__ == "numpy" and not array.dtype.hasobject


def _save_array(value: object) -> Files:
    numpy = import_module("numpy")
    stream = io.BytesIO()
    numpy.lib.format.write_array(stream, numpy.asarray(value), allow_pickle=False)
    return {"scalar.npy" if _is(value, "numpy", "generic") else "array.npy": stream.getvalue()}


def _load_array(files: Files) -> object:
    name, content = next(iter(files.items()))
    array = import_module("numpy").load(io.BytesIO(content), allow_pickle=False)
    return array[()] if name == "scalar.npy" else array


ARRAYS = Materialiser(format="array.npy", accepts=_is_array, save=_save_array, load=_load_array)
"""NumPy arrays and scalars, without pickle."""


# ----------------------------------------------------------------------- rest

BYTES = Materialiser(
    format="bytes",
    accepts=lambda value: type(value) is bytes,
    save=lambda value: {"bytes": value},
    load=lambda files: files["bytes"],
)
"""Bytes, as one file."""

STANDARD = (FRAMES, SERIES, ARRAYS, BYTES)
"""What is stored without being told."""


def _is(value: object, library: str, name: str) -> bool:
    """Say whether a value is of a library's class, without loading the library."""
    kind = getattr(sys.modules.get(library), name, None)
    return isinstance(kind, type) and isinstance(value, kind)
