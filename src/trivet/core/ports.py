"""What Trivet needs from the world: narrow ports, each with at most seven methods.

Every port has a contract suite in `trivet.testing.contracts` that all its adapters pass, with
four processes at once. "Durable" means: survives `kill -9` and a power cut from the moment the
call returns.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Literal, Protocol

import msgspec

from trivet.core.catalog import Catalog
from trivet.core.facts import Batch, Entry, Head, Limit, Link, Receipt
from trivet.core.points import Changes, Columns, Curve, Points, SeriesKey, Summary


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Entries in the order asked for; `after` continues the search, None when it is over."""

    entries: tuple[Entry, ...]
    after: int | None


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was recorded. `fsck` prints these."""

    store: str
    """Which store: `ledger`, `blobs`, `series`, `log`, `tables`, `views` or `journal`."""
    name: str
    """The fact, digest, segment or file that is damaged."""
    problem: str
    hint: str = ""


class Ledger(Protocol):
    """Small immutable facts and movable heads."""

    def commit(self, batch: Batch, *, synced: bool = True) -> Receipt:
        """Write a batch durably, all or none. Committing the same draft again changes nothing.

        With `synced=False` the call does not wait for the disk: what it wrote survives `kill -9`
        at once and a power cut from 200 ms later. A power cut before that takes the newest such
        commits and never one that a later commit which survived was built on; a synced commit
        makes all before it durable, too.

        Heads are checked against their `expect` inside the transaction. Each head move also
        records a `head.moved` fact, each forgotten payload a `forgotten` fact.

        Raises:
            Conflict: A head is not where it was expected (code `head-moved`), a task is held by
                another epoch (`fenced`), an inbox row exists (`seen`), a fact's identifier exists
                with another payload (`other-fact`), a row stands in a stretch that was to be
                free (`row-exists`), or is not what it was expected to be (`row-changed`).
            NotFound: A parent, a head's target or a fact to forget does not exist.
            Unavailable: The disk is full or the store is busy beyond its patience.
        """
        ...

    def get(self, id: str) -> Entry | None:  # the field's own name
        """Return the entry with this identifier, or None."""
        ...

    def find(
        self,
        kind: str | None = None,
        *,
        where: Mapping[str, str] | None = None,
        parent: str | None = None,
        project: str | None = None,
        after: int | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> Page:
        """Find entries by kind, equality of indexed fields (at most one), parent and project.

        Args:
            kind: The kind of fact; required together with `where`.
            where: One indexed field and its value as text.
            parent: Only facts that name this identifier among their parents.
            project: Only facts of this project.
            after: Continue behind this `seq` (a page's `after`).
            limit: 1 to 1,000.
            newest_first: Order by `seq`, falling or rising.
        """
        ...

    def head(self, project: str, name: str) -> Head | None:
        """Return the head of this name, or None."""
        ...

    def heads(self, project: str, prefix: str = "") -> tuple[Head, ...]:
        """Return all heads of the project whose names begin with `prefix`, by name."""
        ...

    def since(self, seq: int, limit: int = 1000) -> tuple[Entry, ...]:
        """Return entries with a greater `seq`, rising: the feed others follow."""
        ...

    def verify(self) -> Iterator[Damage | Link]:
        """Walk the whole audit chain; yield each link that holds and every damage found."""
        ...


TaskState = Literal["ready", "running", "done", "failed", "cancelled"]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Work in the journal. Every write about it must carry `owner` and `epoch`."""

    key: str
    queue: str
    body: bytes
    state: TaskState
    attempts: int
    max_attempts: int
    epoch: int
    owner: str | None = None
    due: datetime | None = None
    leased_until: datetime | None = None
    result: bytes | None = None
    limit: Limit | None = None


class Journal(Protocol):
    """Work that must survive. New tasks and transitions go through `Ledger.commit`."""

    def claim(self, queue: str, *, owner: str, lease_s: float, limit: int = 1) -> tuple[Task, ...]:
        """Take due tasks, oldest first; each gets a higher epoch. Expired leases are taken over.

        A task whose attempts are used up turns `failed` instead of being handed out; one whose
        concurrency limit is reached waits, and those behind it come first.
        """
        ...

    def extend(self, task: Task, lease_s: float) -> Task:
        """Prolong the lease of a claimed task.

        The longer lease survives `kill -9`; after a power cut nobody is left to hold one.

        Raises:
            Conflict: Somebody else holds it by now (code `fenced`).
        """
        ...

    def task(self, key: str) -> Task | None:
        """Return the task with this key, or None."""
        ...

    def tasks(
        self, queue: str | None = None, *, state: TaskState | None = None, limit: int = 100
    ) -> tuple[Task, ...]:
        """Return tasks, newest first."""
        ...

    def lease(self, name: str, *, owner: str, lease_s: float) -> int | None:
        """Take or prolong a named lease; return its epoch, or None while another holds it."""
        ...


ColumnType = Literal["text", "integer", "real", "blob"]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The declaration of a projection: typed columns, a key, and the columns to index."""

    name: str
    columns: dict[str, ColumnType]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()


Row = dict[str, Any]


class Views(Protocol):
    """Typed, indexed, mutable projections that rooms declare."""

    def declare(self, view: View) -> None:
        """Make the view exist. A declaration that changed empties it: it is rebuilt by its room."""
        ...

    def put(self, view: str, rows: Iterable[Row]) -> None:
        """Insert or replace rows by key, durably, all or none."""
        ...

    def find(
        self,
        view: str,
        *,
        where: Mapping[str, Any] | None = None,
        order: str | None = None,
        after: tuple[Any, ...] | None = None,
        limit: int = 100,
    ) -> tuple[Row, ...]:
        """Return rows by equality, ordered by a column (`"-x"` falls) and then by key.

        `after` is (value of the order column, *key) of the last row seen; only (*key) when no
        order is given.
        """
        ...

    def remove(self, view: str, where: Mapping[str, Any]) -> int:
        """Delete the rows that match by equality; return how many they were."""
        ...


class Series(Protocol):
    """Numbers over time."""

    def append(self, chunks: Sequence[tuple[SeriesKey, Points]], *, synced: bool = True) -> None:
        """Append points of any number of series, durably, all or none.

        With `synced=False` the call does not wait for the disk: what it wrote survives `kill -9`
        at once and a power cut from 200 ms later. A power cut before that takes the newest such
        appends; a synced append makes all before it durable, too. Other processes see the points
        once they are durable.

        Raises:
            Invalid: Columns differ in length or type, or a key is malformed.
            Unavailable: The disk is full or broken.
        """
        ...

    def read(self, key: SeriesKey, *, first: int | None = None, last: int | None = None) -> Points:
        """Return the points with first <= step <= last; empty columns for an unknown series."""
        ...

    def curve(
        self,
        key: SeriesKey,
        *,
        points: int = 1000,
        first: int | None = None,
        last: int | None = None,
        by: Literal["step", "order"] = "step",
    ) -> Curve:
        """Reduce the points with first <= step <= last for a chart, or to an even sample.

        A chart draws the band from `least` to `greatest` and a line through `first` and `last`:
        no peak is lost. A sample of at most n points that always has the first and the last one
        is `curve(key, points=n, by="order").sample`.

        Args:
            key: The series; an unknown one has an empty curve.
            points: How many buckets at most, 1 to 100,000.
            first: Leave out points of lower steps.
            last: Leave out points of higher steps.
            by: `step` cuts the range of steps into buckets of equal width, and leaves empty
                ones out; `order` puts equally many points into each, however far apart.

        Raises:
            Invalid: `points` or `by` is none of the above.
        """
        ...

    def summaries(self, owner: str) -> Mapping[str, Summary]:
        """Return the summary of each series of an owner, by name and in its order.

        It reads no points. A point that was appended twice counts twice until both are merged into
        one segment, for which small segments wait until there are more of them.
        """
        ...

    def since(self, position: str | None, limit: int = 1000) -> Changes:
        """Return what any process appended behind a position: the feed that projections follow.

        Every durable append is told at least once. A position that was left behind by merges is
        not lost: the feed then tells the series of the merged segments again. It may tell points
        twice (also counts), never drop any.

        Args:
            position: As an earlier call returned it; None for everything there is.
            limit: Stop after about so many chunks of points, at least 1; one append is never cut.

        Raises:
            Invalid: The position or the limit is none.
        """
        ...

    def compact(self, *, without: Collection[str] = ()) -> None:
        """Merge sealed segments of all processes; readers and writers go on meanwhile.

        Args:
            without: Owners whose series are left out for good. What another process has appended
                and not sealed yet stays until a later call.
        """
        ...

    def verify(self) -> Iterator[Damage]:
        """Check every byte of every segment; yield what is damaged."""
        ...


class BlobWriter(Protocol):
    """A blob on its way in. It is nothing to anybody until it is finished."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        ...

    def finish(self) -> str:
        """Store what was written durably and return its digest. Call it once."""
        ...

    def discard(self) -> None:
        """Leave nothing behind. After `finish`, or a second time, it does nothing."""
        ...


class Blobs(Protocol):
    """Bytes by digest: `b3:` and 64 hexadecimal digits of BLAKE3."""

    def put(self, data: bytes | BinaryIO) -> str:
        """Store bytes durably and return their digest. Bytes that exist are not written again."""
        ...

    def begin(self) -> BlobWriter:
        """Begin a blob whose bytes arrive piece by piece, and need no thread while they do not.

        Whoever begins one finishes or discards it.
        """
        ...

    def open(self, digest: str) -> BinaryIO:
        """Open stored bytes for reading. The whole content was checked before it returns.

        Raises:
            NotFound: No blob has this digest.
            Corrupt: The bytes do not match the digest.
        """
        ...

    def has(self, digest: str, *, renew: bool = False) -> bool:
        """Say whether the blob exists, without reading it.

        Args:
            digest: The blob.
            renew: Let it count as put now (see `delete`), for a fact that is about to name it.
        """
        ...

    def delete(self, digest: str, *, unless_put_for_s: float | None = None) -> bool:
        """Remove a blob, durably; one that does not exist is fine.

        Args:
            digest: The blob.
            unless_put_for_s: It stays when anybody put it within so many seconds, even if it was
                there already: who puts bytes has so long to commit the fact that names them.

        Returns:
            Whether it is gone.
        """
        ...

    def list(self, *, unless_put_for_s: float | None = None) -> Iterator[tuple[str, int]]:
        """Yield every blob's digest and size in bytes, in no order.

        Args:
            unless_put_for_s: Leave out those that anybody put within so many seconds.
        """
        ...

    def verify(self) -> Iterator[Damage]:
        """Read every blob and yield those whose bytes do not match."""
        ...


class ArrowStream(Protocol):
    """Anything that speaks the Arrow C stream protocol (PyCapsule interface)."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the table as an `arrow_array_stream` capsule."""
        ...


class TableVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one table, complete and immutable. `digest` covers its files' contents."""

    name: str
    version: int
    digest: str
    rows: int
    size_bytes: int
    columns: dict[str, str]
    """Column names and their Arrow types, in order."""


class Tables(Protocol):
    """Rows in versions. A name is a name, never a path."""

    def write(
        self, name: str, data: ArrowStream, *, mode: Literal["append", "overwrite"] = "overwrite"
    ) -> TableVersion:
        """Write a new version durably. Nothing reads it until a fact names it.

        Raises:
            Invalid: The appended columns differ from the table's.
            Conflict: Another writer won repeatedly.
        """
        ...

    def read(self, name: str, version: int, *, columns: Sequence[str] | None = None) -> ArrowStream:
        """Return a version's rows as an Arrow stream.

        Raises:
            NotFound: There is no such version.
            Corrupt: A file's bytes do not match what was recorded.
        """
        ...

    def version(self, name: str, version: int | None = None) -> TableVersion | None:
        """Describe a version (the newest when None), or None when it does not exist."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return the names of all tables, sorted."""
        ...

    def location(self, name: str) -> str:
        """Return where other engines find the table. Never shown to remote clients."""
        ...

    def verify(self) -> Iterator[Damage]:
        """Check every file of every version; yield what is damaged."""
        ...


class Log(Protocol):
    """An append-only log of opaque records (predictions, labels): per-process segments."""

    def append(self, stream: str, records: Sequence[bytes]) -> None:
        """Append records to a stream, durably, in order. Concurrent calls share one sync."""
        ...

    def buffer(self, stream: str, records: Sequence[bytes]) -> bool:
        """Take records without blocking; False (and counted) when the bounded buffer is full."""
        ...

    def read(
        self, stream: str, *, after: str | None = None, first_ms: int | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """Yield (position, record) of every process's segments, each in its own order.

        Args:
            stream: The stream's name.
            after: A position as yielded before: only what came later in any segment.
            first_ms: Skip segments that were closed before this time (milliseconds UTC).
        """
        ...

    def flush(self) -> None:
        """Make everything buffered durable."""
        ...

    def dropped(self, stream: str) -> int:
        """Count the records this process refused in `buffer`."""
        ...

    def verify(self) -> Iterator[Damage]:
        """Check every byte of every segment; yield what is damaged."""
        ...


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """The stores of one workspace, as every room receives them."""

    ledger: Ledger
    journal: Journal
    views: Views
    catalog: Catalog
    series: Series
    blobs: Blobs
    tables: Tables
    log: Log


class Listed(msgspec.Struct, frozen=True):
    """One file or object as a listing shows it."""

    name: str
    """Below the place that was listed, with `/` between folders."""
    size_bytes: int
    stamp: str
    """Changes whenever the content may have: an ETag, or a time of modification."""


class Listing(Protocol):
    """What lies in a folder or a bucket, by name and stamp. Nothing is opened."""

    def list(self, place: str, *, deep: bool = True) -> Iterator[Listed]:
        """Yield what lies in a place, in no order; hidden names and links are left out.

        Args:
            place: A folder, one file, or the URL of a bucket and a prefix.
            deep: Whether to look into folders below it, too.

        Raises:
            Invalid: The place is malformed, or not one that may be looked into.
            NotFound: There is no such folder or bucket.
            Unavailable: It does not answer.
        """
        ...


class Converted(msgspec.Struct, frozen=True, kw_only=True):
    """A trained model in the two forms a package carries."""

    source: bytes
    """The exact form, in a format that executes nothing when loaded."""
    source_format: str
    """File suffix of the exact form, for example `lightgbm.txt`."""
    onnx: bytes
    """The serving form: float32 input `X` of shape (n, k), one float32 output of shape (n, m)."""


class Flavour(Protocol):
    """One machine-learning library: recognises its models and turns them into packages."""

    name: str

    def accepts(self, model: object) -> bool:
        """Say whether the object is a fitted model of this library, without importing it."""
        ...

    def convert(self, model: object, *, features: int, task: str) -> Converted:
        """Convert a fitted model. `task` is `binary`, `multiclass` or `regression`.

        Raises:
            Unsupported: The library cannot express this model in ONNX.
        """
        ...

    def load(self, source: bytes) -> object:
        """Load the exact form back. Nothing in it is executed.

        Raises:
            Corrupt: The bytes are not what `convert` wrote.
        """
        ...

    def predict(self, model: object, matrix: Columns) -> Columns:
        """Predict with the original: float32 (n, k) in, float64 (n, m) out.

        Columns are probabilities of all classes for `multiclass`, of the positive class alone for
        `binary`, and the value itself for `regression`.
        """
        ...


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Something that people asked to be told."""

    key: str
    """The same whenever this very message is sent again: its receiver may recognise it."""
    event: str
    """`finished`, `failed`, `approval` or `test`."""
    project: str
    title: str
    """One line."""
    text: str
    """A few lines for a person."""
    time: datetime
    """When it happened, UTC."""
    detail: dict[str, Any] = {}
    """JSON-ready values for a program: the run, the flow, the status, the figures."""


class Notifier(Protocol):
    """A way to tell people: a web hook, a mail, a program of theirs."""

    def send(self, message: Message, *, timeout_s: float) -> None:
        """Hand the message over; return once its receiver has taken it.

        Args:
            message: The message. It may arrive twice, with the same key.
            timeout_s: After so long without an answer the attempt counts as failed.

        Raises:
            Unavailable: It may go better later.
            Invalid: The receiver refuses it; sending it again will not help.
        """
        ...
