"""In-memory twins of the stores: blobs, log, series and tables, for tests that need no disk.

They obey the same contract suites as the adapters, are safe between threads, and live and die
with the object. Nothing here is durable.
"""

import io
import math
import re
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Literal

import blake3

from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.core.ids import check_name
from trivet.core.ports import ArrowStream, Damage, Stores, TableVersion
from trivet.testing.memory_ledger import memory_database
from trivet.testing.memory_series import MemorySeries

_MAX_STREAM = 200


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
        self._put: dict[str, float] = {}

    def put(self, data: bytes | BinaryIO) -> str:
        content = bytes(data) if isinstance(data, bytes | bytearray | memoryview) else data.read()
        digest = "b3:" + blake3.blake3(content).hexdigest()
        self._put[digest] = time.monotonic()
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

    def renew(self, digest: str) -> bool:
        if not self.has(digest):
            return False
        self._put[digest] = time.monotonic()
        return True

    def delete(self, digest: str, *, unless_put_for_s: float | None = None) -> bool:
        if self._is_young(_check_digest(digest), unless_put_for_s):
            return False
        self._blobs.pop(digest, None)
        return True

    def list(self, *, unless_put_for_s: float | None = None) -> Iterator[tuple[str, int]]:
        for digest, content in tuple(self._blobs.items()):
            if not self._is_young(digest, unless_put_for_s):
                yield digest, len(content)

    def _is_young(self, digest: str, seconds: float | None) -> bool:
        put = self._put.get(digest, -math.inf)
        return seconds is not None and digest in self._blobs and put > time.monotonic() - seconds

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
