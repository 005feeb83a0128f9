"""Polars frames and series as Parquet; whatever else speaks Arrow comes back as a Polars frame."""

import io
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, cast

from trivet.core.errors import Corrupt
from trivet.core.trees import Content
from trivet.pipelines.materialisers import Files, Materialiser, is_instance, open_file, write_out
from trivet.pipelines.materialising.structure import NoForm

if TYPE_CHECKING:
    import polars as pl

_FOREIGN: Final = {"pandas", "pyarrow"}
"""Libraries whose tables speak Arrow, too, and come back as what they were."""
_DIGEST_ROWS: Final = 1 << 18


def is_frame(value: object) -> bool:
    """Say whether a value is a table: a Polars frame, or anything else that speaks Arrow."""
    kind = type(value)
    is_table = hasattr(kind, "__arrow_c_stream__")
    is_foreign = is_table and any(k.__module__.partition(".")[0] in _FOREIGN for k in kind.__mro__)
    return is_table and not is_foreign and not is_instance(value, "polars", "Series")


def frame_of(value: object) -> "pl.DataFrame":
    """Return a table as a Polars frame.

    Raises:
        NoForm: A column holds Python objects.
    """
    polars = import_module("polars")
    whole = is_instance(value, "polars", "DataFrame")
    frame = cast("pl.DataFrame", value if whole else polars.DataFrame(value))
    for name, kind in frame.schema.items():
        if kind == polars.Object:
            raise NoForm(
                value,
                f"column {name!r} holds Python objects; expected plain columns",
                "Cast the column to numbers, text, lists or structs.",
            )
    return frame


def write_parquet(frame: "pl.DataFrame") -> Content:
    """Write a frame. What lies under a null and how it is chunked leave no trace in Parquet."""
    whole = frame.rechunk() if frame.n_chunks() > 1 else frame

    def write(stream: BinaryIO) -> None:
        whole.write_parquet(stream, compression="zstd", statistics=False)

    return write_out(write, int(frame.estimated_size()))


def read_parquet(stream: BinaryIO) -> "pl.DataFrame":
    """Read a frame.

    Raises:
        Corrupt: The stream holds none.
    """
    polars = import_module("polars")
    try:
        return polars.read_parquet(stream)
    except polars.exceptions.PolarsError as error:
        raise Corrupt(
            f"a stored frame does not read back: {error}", hint="Run `trivet fsck`."
        ) from error


def digest_frame(frame: "pl.DataFrame") -> str:
    """Digest a frame by its content: equal frames alone have equal digests."""
    state = sha256(repr((frame.height, list(frame.schema.items()))).encode())
    for column in frame.get_columns():
        for block in _column_content(column):
            state.update(block)
    return state.hexdigest()


def _column_content(column: "pl.Series") -> Iterator[Any]:
    """Yield bytes that equal columns alone have; Arrow leaves those under a null open."""
    kind = column.dtype
    is_number = kind.is_integer() or kind.is_float() or kind.is_temporal()
    if not is_number or str(kind).endswith("128"):  # NumPy has no integers of 128 bits
        for part in (column,) if len(column) <= _DIGEST_ROWS else _slices(column):
            yield _uncompressed(part.to_frame())
        return
    physical = column.to_physical()
    if physical.null_count():
        yield physical.fill_null(0).to_numpy().data.cast("B")
        yield physical.is_null().to_numpy().data.cast("B")
    elif len(physical):
        yield physical.to_numpy().data.cast("B")


def _slices(column: "pl.Series") -> Iterator["pl.Series"]:
    for start in range(0, len(column), _DIGEST_ROWS):
        yield column.slice(start, _DIGEST_ROWS)


def _uncompressed(frame: "pl.DataFrame", how: Literal["uncompressed"] = "uncompressed") -> bytes:
    stream = io.BytesIO()
    frame.rechunk().write_parquet(stream, compression=how, statistics=False)
    return stream.getvalue()


def _load_frame(files: Files) -> object:
    with open_file(files, "frame.parquet") as stream:
        return read_parquet(stream)


def _load_series(files: Files) -> object:
    with open_file(files, "series.parquet") as stream:
        return read_parquet(stream).to_series(0)


FRAMES = Materialiser(
    format="frame.parquet",
    accepts=is_frame,
    save=lambda value: {"frame.parquet": write_parquet(frame_of(value))},
    load=_load_frame,
    digest=lambda value: digest_frame(frame_of(value)),
)

SERIES = Materialiser(
    format="series.parquet",
    library="polars",
    accepts=lambda value: is_instance(value, "polars", "Series"),
    save=lambda value: {"series.parquet": write_parquet(frame_of(value.to_frame()))},
    load=_load_series,
    digest=lambda value: digest_frame(frame_of(value.to_frame())),
)
