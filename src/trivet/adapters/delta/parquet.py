"""A version's data as Parquet files: written durably in the order of the rows, read after a check.

Delta's own writer spreads batches over threads, so that the same table written twice would come
back in another order; models trained on it would differ. These files keep the order.
"""

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, Final, cast

import arro3.core as arro3
import msgspec
import polars as pl
from deltalake.transaction import AddAction
from polars.selectors import by_name

from trivet.adapters.delta import types, versions
from trivet.adapters.delta.versions import DataFile
from trivet.core import disk
from trivet.core.errors import Corrupt, Invalid, Unavailable
from trivet.core.ids import new_id
from trivet.core.ports import ArrowStream

_FILE_BYTES: Final = 128 << 20


def schema_of(data: ArrowStream) -> tuple[dict[str, pl.DataType], Iterator[pl.DataFrame]]:
    """Open a stream: the types under which its columns are kept, and its rows in parts.

    Raises:
        Invalid: It is no stream, has no columns, or has a column that no table can hold.
    """
    if isinstance(data, pl.DataFrame):
        schema, frames = data.schema, iter([data])
    elif hasattr(data, "__arrow_c_stream__"):
        reader = arro3.RecordBatchReader.from_arrow(cast("Any", data))
        schema = pl.DataFrame(arro3.Table.from_batches([], schema=reader.schema)).schema
        frames = (pl.DataFrame(batch) for batch in reader)
    else:
        raise Invalid(
            f"data is a {type(data).__name__}; expected an Arrow stream",
            code="no-stream",
            hint="Pass a Polars, pandas (3 or newer), PyArrow or DuckDB table.",
        )
    if not schema:
        raise Invalid(
            "the table has no columns",
            code="no-columns",
            hint="Write at least one column; it may have no rows.",
        )
    return {name: types.kept_type(name, kind) for name, kind in schema.items()}, frames


def write(
    folder: Path, frames: Iterator[pl.DataFrame], kept: Mapping[str, pl.DataType]
) -> list[tuple[DataFile, AddAction]]:
    """Write frames to new files of a table's folder, durably.

    Raises:
        Invalid: A value does not fit its column's type.
        Unavailable: The disk is full or broken; the files are removed again.
    """
    prefix = new_id()
    written: list[tuple[DataFile, AddAction]] = []
    try:
        for frame in _parts(frames, kept):
            place = folder / f"part-{prefix}-{len(written):05d}.parquet"
            with disk.translated(f"writing table {folder.name}"):
                _write_file(frame, place)
            written.append(_described(frame, place))
        if written:
            disk.sync_folder(folder)
    except BaseException:
        with suppress(Unavailable):
            remove(folder, [f"part-{prefix}-{i:05d}.parquet" for i in range(len(written) + 1)])
        raise
    return written


def remove(folder: Path, names: Sequence[str]) -> None:
    """Remove files that no version names."""
    with disk.translated("removing files"):
        for name in names:
            (folder / name).unlink(missing_ok=True)


def _parts(
    frames: Iterator[pl.DataFrame], kept: Mapping[str, pl.DataType]
) -> Iterator[pl.DataFrame]:
    """Join and cut frames to parts of about the size of a file."""
    waiting = [types.store(pl.DataFrame(schema=kept), kept)]  # a table without rows has a file
    waiting_bytes = 0.0
    for frame in frames:
        size_bytes = frame.estimated_size()
        rows = max(1, frame.height * _FILE_BYTES // max(_FILE_BYTES, int(size_bytes)))
        for part in frame.iter_slices(rows):
            waiting.append(types.store(part, kept))
            waiting_bytes += size_bytes * part.height / max(1, frame.height)
            if waiting_bytes >= _FILE_BYTES:
                yield pl.concat(waiting)
                waiting, waiting_bytes = [], 0.0
    if waiting:
        yield pl.concat(waiting)


def _write_file(frame: pl.DataFrame, place: Path) -> None:
    try:
        frame.write_parquet(place, compression="zstd")
    except pl.exceptions.PolarsError as error:
        raise Unavailable(
            f"writing {place.name} failed: {str(error).splitlines()[0]}",
            code="disk",
            hint="Free space on the disk or repair it, then try again.",
        ) from error
    place.chmod(0o600)
    disk.sync_file(place)


def _described(frame: pl.DataFrame, place: Path) -> tuple[DataFile, AddAction]:
    size_bytes = place.stat().st_size
    file = DataFile(place.name, size_bytes, frame.height, versions.digest_of(place))
    added = AddAction(
        path=place.name,
        size=size_bytes,
        partition_values={},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=_statistics(frame),
    )
    return file, added


def _statistics(frame: pl.DataFrame) -> str:
    """Write what lets other engines skip the file: counts, and least and greatest values.

    Only of types whose text is exact; a bound that was rounded would hide rows.
    """
    least: dict[str, Any] = {}
    greatest: dict[str, Any] = {}
    for column in frame:
        low, high = (column.min(), column.max()) if _is_exact(column.dtype) else (None, None)
        if low is not None and not _has_nan(column):
            least[column.name] = low.isoformat() if isinstance(low, date) else low
            greatest[column.name] = high.isoformat() if isinstance(high, date) else high
    statistics = {
        "numRecords": frame.height,
        "minValues": least,
        "maxValues": greatest,
        "nullCount": {c.name: c.null_count() for c in frame if not c.dtype.is_nested()},
    }
    return msgspec.json.encode(statistics).decode()


def _is_exact(kind: pl.DataType) -> bool:
    return kind.is_integer() or isinstance(kind, pl.Float64 | pl.Date)


def _has_nan(column: pl.Series) -> bool:
    if not column.dtype.is_float():
        return False
    bounds = (column.min(), column.max())
    return column.is_nan().any() or not all(math.isfinite(cast("float", b)) for b in bounds)


class Reader:
    """Reads files after checking their bytes; a file that did not change is checked once.

    Safe between threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._checked: dict[Path, tuple[int, int, int, str]] = {}

    def read(self, folder: Path, files: Sequence[DataFile], columns: Sequence[str]) -> pl.DataFrame:
        """Return columns of at least one file, in the stored types.

        Raises:
            Corrupt: A file is missing, or its bytes are not those that were recorded.
        """
        for file in files:
            self._check(folder, file)
        places = [folder / file.path for file in files]
        with disk.translated(f"reading table {folder.name}"):
            # Exact names: a plain string that looks like a pattern would be taken for one.
            return pl.scan_parquet(places, glob=False).select(by_name(*columns)).collect()

    def _check(self, folder: Path, file: DataFile) -> None:
        place = folder / file.path
        with disk.translated(f"reading table {folder.name}"):
            try:
                state = place.stat()
                seen = (state.st_size, state.st_mtime_ns, state.st_ino, file.digest)
                found = file.digest if self._knows(place, seen) else versions.digest_of(place)
            except FileNotFoundError:
                raise _corrupt(folder, file, "is missing") from None
        if found != file.digest:
            raise _corrupt(folder, file, "does not match its digest")
        with self._lock:
            self._checked[place] = seen

    def _knows(self, place: Path, seen: tuple[int, int, int, str]) -> bool:
        with self._lock:
            return self._checked.get(place) == seen


def _corrupt(folder: Path, file: DataFile, problem: str) -> Corrupt:
    return Corrupt(
        f"file {file.path} of table {folder.name} {problem}",
        code="corrupt-table",
        hint="Run `trivet fsck`, then restore the table from a backup.",
        detail={"table": folder.name, "file": file.path},
    )
