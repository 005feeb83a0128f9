"""In-memory twins of the stores: blobs, log, series and tables, for tests that need no disk.

They obey the same contract suites as the adapters, are safe between threads, and live and die
with the object. Nothing here is durable.
"""

import io
import re
import struct
import threading
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Literal, cast

import blake3

from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.core.ids import check_name
from trivet.core.ports import ArrowStream, Columns, Damage, Points, SeriesKey, Stores, TableVersion
from trivet.testing.memory_ledger import memory_database

_MAX_STREAM = 200
_SIGN_MASK = 0x7FFF_FFFF_FFFF_FFFF


class MemoryBlobWriter:
    """A blob on its way into a `MemoryBlobs`."""

    def __init__(self, store: "MemoryBlobs") -> None:
        self._store = store
        self._parts: list[bytes] | None = []

    def write(self, data: bytes) -> None:
        self._taken().append(bytes(data))

    def finish(self) -> str:
        digest = self._store.put(b"".join(self._taken()))
        self._parts = None
        return digest

    def discard(self) -> None:
        self._parts = None

    def _taken(self) -> list[bytes]:
        if self._parts is None:
            raise Invalid("the blob is finished or discarded", code="closed")
        return self._parts


class MemoryBlobs:
    """Bytes by digest, in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, data: bytes | BinaryIO) -> str:
        content = bytes(data) if isinstance(data, bytes | bytearray | memoryview) else data.read()
        digest = "b3:" + blake3.blake3(content).hexdigest()
        self._blobs.setdefault(digest, content)
        return digest

    def begin(self) -> MemoryBlobWriter:
        return MemoryBlobWriter(self)

    def open(self, digest: str) -> BinaryIO:
        content = self._blobs.get(_check_digest(digest))
        if content is None:
            raise NotFound(f"no blob has the digest {digest}", hint="Run `trivet fsck`.")
        if "b3:" + blake3.blake3(content).hexdigest() != digest:
            raise Corrupt(f"the bytes of blob {digest} do not match it", hint="Run `trivet fsck`.")
        return io.BytesIO(content)

    def has(self, digest: str) -> bool:
        return _check_digest(digest) in self._blobs

    def delete(self, digest: str) -> None:
        self._blobs.pop(_check_digest(digest), None)

    def list(self) -> Iterator[tuple[str, int]]:
        for digest, content in tuple(self._blobs.items()):
            yield digest, len(content)

    def verify(self) -> Iterator[Damage]:
        for digest, content in tuple(self._blobs.items()):
            if "b3:" + blake3.blake3(content).hexdigest() != digest:
                yield Damage(store="blobs", name=digest, problem="its bytes do not match")


def _check_digest(digest: str) -> str:
    if not re.fullmatch(r"b3:[0-9a-f]{64}", digest):
        raise Invalid(
            f"digest is a {type(digest).__name__} that is none; "
            "expected 'b3:' and 64 lower-case hexadecimal digits",
            code="bad-digest",
            hint="Copy the digest as Trivet printed it.",
        )
    return digest


class MemoryLog:
    """Records by stream, in lists. A position is the index of the next record.

    Args:
        buffer_bytes: How much `buffer` takes between two flushes; reading flushes, too.
    """

    def __init__(self, *, buffer_bytes: int = 1 << 20) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, list[bytes]] = {}
        self._waiting: list[tuple[str, bytes]] = []
        self._waiting_bytes = 0
        self._buffer_bytes = buffer_bytes
        self._dropped: dict[str, int] = {}

    def append(self, stream: str, records: Sequence[bytes]) -> None:
        _check_work(stream, records)
        with self._lock:
            self._streams.setdefault(stream, []).extend(records)

    def buffer(self, stream: str, records: Sequence[bytes]) -> bool:
        _check_work(stream, records)
        size = sum(map(len, records))
        with self._lock:
            if self._waiting_bytes + size > self._buffer_bytes:
                self._dropped[stream] = self._dropped.get(stream, 0) + len(records)
                return False
            self._waiting.extend((stream, record) for record in records)
            self._waiting_bytes += size
        return True

    def read(
        self,
        stream: str,
        *,
        after: str | None = None,
        first_ms: int | None = None,  # noqa: ARG002  # nothing is ever closed here, so nothing is skipped
    ) -> Iterator[tuple[str, bytes]]:
        _check_stream(stream)
        if after is not None and not after.isdecimal():
            raise Invalid("after is no position of this log", hint="Pass a position as yielded.")
        self.flush()
        with self._lock:
            records = tuple(self._streams.get(stream, ()))
        for index in range(int(after or 0), len(records)):
            yield str(index + 1), records[index]

    def flush(self) -> None:
        with self._lock:
            for stream, record in self._waiting:
                self._streams.setdefault(stream, []).append(record)
            self._waiting.clear()
            self._waiting_bytes = 0

    def dropped(self, stream: str) -> int:
        return self._dropped.get(stream, 0)

    def verify(self) -> Iterator[Damage]:
        return iter(())


def _check_stream(stream: str) -> None:
    for part in stream.split("/"):
        check_name(part, "stream")
    if len(stream) > _MAX_STREAM:
        raise Invalid(
            f"stream has {len(stream)} characters; expected at most {_MAX_STREAM}",
            code="bad-name",
            hint="Choose a shorter name.",
        )


def _check_work(stream: str, records: Sequence[object]) -> None:
    _check_stream(stream)
    for record in records:
        if type(record) is not bytes:
            raise Invalid(
                f"a record is a {type(record).__name__}; expected bytes",
                code="bad-record",
                hint="Encode the record, for example with msgspec.json.encode.",
            )


class MemorySeries:
    """Points by series, in a dictionary; read back as `array.array` columns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: dict[SeriesKey, list[tuple[int, int, int]]] = {}

    def append(self, chunks: Sequence[tuple[SeriesKey, Points]]) -> None:
        checked = [(_check_key(key), _as_rows(points)) for key, points in chunks]
        with self._lock:
            for key, rows in checked:
                if rows:
                    self._points.setdefault(key, []).extend(rows)

    def read(self, key: SeriesKey, *, first: int | None = None, last: int | None = None) -> Points:
        with self._lock:
            rows = tuple(self._points.get(key, ()))
        kept = sorted(
            (
                row
                for row in set(rows)
                if (first is None or first <= row[0]) and (last is None or row[0] <= last)
            ),
            key=lambda row: (row[0], row[1], row[2] ^ ((row[2] >> 63) & _SIGN_MASK)),
        )
        bits = array("q", [row[2] for row in kept])
        return Points(
            steps=array("q", [row[0] for row in kept]),
            times=array("q", [row[1] for row in kept]),
            values=array("d", bits.tobytes()),
        )

    def keys(self, owner: str) -> tuple[SeriesKey, ...]:
        with self._lock:
            return tuple(sorted(key for key in self._points if key.owner == owner))

    def compact(self) -> None:
        """Do nothing: memory is one segment."""

    def verify(self) -> Iterator[Damage]:
        return iter(())


def _check_key(key: SeriesKey) -> SeriesKey:
    for field, text in (("owner", key.owner), ("name", key.name)):
        if (
            not isinstance(cast("object", text), str)
            or not 0 < len(text) <= 250
            or not text.isprintable()
        ):
            raise Invalid(
                f"the {field} of a series is a {type(text).__name__} that is no valid one; "
                "expected 1 to 250 printable characters",
                code="bad-key",
                hint="Use a short text without line breaks, for example 'loss/train'.",
            )
    return key


def _as_rows(points: Points) -> list[tuple[int, int, int]]:
    steps = _column(points.steps, "steps", "q")
    times = _column(points.times, "times", "q")
    values = _column(points.values, "values", "d")
    if not len(steps) == len(times) == len(values):
        raise Invalid(
            f"steps, times and values have {len(steps)}, {len(times)} and {len(values)} items; "
            "expected equal lengths",
            code="ragged-points",
            hint="Pass one step, one time and one value per point.",
        )
    # Values travel as their bits, so that equal means the same bytes, also for NaN and -0.0.
    bits = struct.unpack(f"={len(values)}q", values.tobytes())
    return list(zip(steps.tolist(), times.tolist(), bits, strict=True))


def _column(column: Columns, field: str, kind: Literal["q", "d"]) -> Any:
    wanted = "int64" if kind == "q" else "float64"
    try:
        view = memoryview(column)
    except TypeError:
        view = memoryview(b"")
        fits = False
    else:
        formats = ("q", "l") if kind == "q" else ("d",)
        fits = view.ndim == 1 and view.itemsize == 8 and view.format.lstrip("=<@") in formats
    if not fits:
        raise Invalid(
            f"{field} is a {type(column).__name__}; expected a one-dimensional buffer of {wanted}",
            code="bad-column",
            hint=f"Pass array('{kind}', ...) or a NumPy array of {wanted}.",
        )
    return view


class MemoryTables:
    """Tables as data frames. Needs Polars; loads it with the first table."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[str, list[tuple[TableVersion, Any]]] = {}

    def write(
        self, name: str, data: ArrowStream, *, mode: Literal["append", "overwrite"] = "overwrite"
    ) -> TableVersion:
        import polars as pl  # a test without tables shall not pay for it

        check_name(name, "table")
        frame = pl.DataFrame(data if hasattr(data, "__arrow_c_stream__") else None)
        if not frame.columns:
            raise Invalid(
                f"data is a {type(data).__name__}; expected an Arrow stream with columns",
                code="no-stream",
                hint="Pass a Polars, pandas (3 or newer), PyArrow or DuckDB table.",
            )
        columns = {column: _type_word(kind) for column, kind in frame.schema.items()}
        with self._lock:
            versions = self._tables.setdefault(name, [])
            if mode == "append" and versions:
                described, before = versions[-1]
                if described.columns != columns:
                    raise Invalid(
                        f"the appended columns of table {name} differ from its own",
                        code="other-columns",
                        hint="Append the same columns, or overwrite the table.",
                        detail={"table": described.columns, "appended": columns},
                    )
                frame = pl.concat([before, frame[before.columns]])
                columns = described.columns
            content = frame.write_ipc(None).getvalue()
            version = TableVersion(
                name=name,
                version=len(versions),
                digest="b3:" + blake3.blake3(content).hexdigest(),
                rows=frame.height,
                size_bytes=len(content),
                columns=columns,
            )
            versions.append((version, frame))
        return version

    def read(self, name: str, version: int, *, columns: Sequence[str] | None = None) -> ArrowStream:
        versions = self._tables.get(name, [])
        if not 0 <= version < len(versions):
            raise NotFound(
                f"table {name} has no version {version}", hint="List what exists with `version`."
            )
        described, frame = versions[version]
        if columns is None:
            return frame
        _check_columns(columns, described)
        return frame[list(columns)]

    def version(self, name: str, version: int | None = None) -> TableVersion | None:
        versions = self._tables.get(name, [])
        place = len(versions) - 1 if version is None else version
        return versions[place][0] if 0 <= place < len(versions) else None

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, versions in self._tables.items() if versions))

    def location(self, name: str) -> str:
        return f"memory:{check_name(name, 'table')}"

    def verify(self) -> Iterator[Damage]:
        return iter(())


def _check_columns(columns: Sequence[str], described: TableVersion) -> None:
    for column in columns:
        if column not in described.columns:
            raise Invalid(
                f"table {described.name} has no column {column!r}",
                code="no-column",
                hint=f"It has: {', '.join(described.columns)}.",
            )


_WORDS = {"String": "string", "Boolean": "bool", "Date": "date32", "Binary": "binary"}


def _type_word(kind: Any) -> str:
    """Name a Polars type in Arrow's words, as the port's descriptions do."""
    if hasattr(kind, "time_zone"):
        return f"timestamp[us, tz={kind.time_zone}]" if kind.time_zone else "timestamp[us]"
    return _WORDS.get(str(kind), str(kind).lower())


def memory_stores() -> Stores:
    """Return a set of empty stores, none of them on a disk."""
    database = memory_database()
    return Stores(
        ledger=database.ledger,
        journal=database.journal,
        views=database.views,
        catalog=database.catalog,
        series=MemorySeries(),
        blobs=MemoryBlobs(),
        tables=MemoryTables(),
        log=MemoryLog(),
    )
