"""The server's side: what arrives is recorded once, however often it is sent."""

from collections.abc import Callable, Sequence
from functools import singledispatchmethod
from typing import Final, Self

import msgspec

from trivet.core.catalog import Amendment
from trivet.core.clock import SystemClock, to_micros
from trivet.core.errors import Conflict, Corrupt, Forbidden, Invalid, NotFound, Refused
from trivet.core.facts import Batch, Scope
from trivet.core.facts import Receipt as LedgerReceipt
from trivet.core.ports import BlobWriter, Ledger, Points, SeriesKey, Stores, View
from trivet.core.trees import read_tree
from trivet.tracking.artifacts import Artifacts, owner_of
from trivet.tracking.reporting.experiments import Experiments, check_key
from trivet.tracking.reporting.facts import Report
from trivet.tracking.reporting.points import Chunks, Metrics
from trivet.tracking.reporting.runs import Opening, ReportedRuns
from trivet.tracking.reporting.sampling import last_step
from trivet.tracking.shelves import Artifact
from trivet.tracking.syncing.wire import (
    Delivery,
    Entry,
    FileKept,
    FilesGone,
    LastStep,
    Outcome,
    Receipt,
    RunBegun,
    RunMoved,
    RunSeen,
    RunTold,
    Series,
    Taken,
    columns_of,
)

FILES: Final = View(
    name="sync-files",
    columns={"project": "text", "digest": "text", "size_bytes": "integer"},
    key=("project", "digest"),
)
"""Which files were sent to a project. Whoever names one by its digest alone has sent it, or might
read it there: a digest is no right to bytes of another project, or of its data sets."""
_NEW: Final = Outcome(state="new")
_KNOWN: Final = Outcome(state="known")
_MOST_NAME: Final = 500
_MOST_STEP: Final = 2**63 - 1


class Receiver:
    """Takes deliveries for one project, in the name of whoever sends them.

    Args:
        stores: Where everything is kept.
        scope: Project, and who sends.
        artifacts: The files of its runs.
    """

    def __init__(self, stores: Stores, scope: Scope, artifacts: Artifacts) -> None:
        stores.views.declare(FILES)
        self._stores = stores
        self._project = scope.project
        swift = msgspec.structs.replace(stores, ledger=_Unwaiting(stores.ledger))
        self._artifacts = artifacts.acting_for(scope.actor, swift)
        self._experiments = Experiments(swift, scope, SystemClock())
        self._runs = ReportedRuns(swift, scope, self._experiments, Metrics(swift))

    def last_step(self, run: str) -> LastStep:
        """Return how far a run has come here.

        Raises:
            NotFound: There is no such run in this project.
        """
        return LastStep(step=last_step(self._runs.get(run).metrics))

    def missing(self, digests: Sequence[str]) -> tuple[str, ...]:
        """Return those of some files that have not been sent to this project."""
        return tuple(digest for digest in dict.fromkeys(digests) if self._size(digest) is None)

    def begin(self, digest: str) -> "FileWriter":
        """Begin to take a file whose bytes arrive piece by piece."""
        return FileWriter(self._stores.blobs.begin(), digest, self._know)

    def put(self, digest: str, content: bytes) -> Taken:
        """Take a whole file.

        Raises:
            Invalid: Its bytes have another digest (code `other-bytes`).
        """
        with self.begin(digest) as writer:
            writer.write(content)
            return writer.finish()

    def take(self, delivery: Delivery) -> Receipt:
        """Record a delivery durably. What cannot be recorded is refused, and the rest is taken."""
        sizes = {self._stores.blobs.put(content): len(content) for content in delivery.files}
        self._know(sizes)
        outcomes = tuple(self._outcome(entry) for entry in delivery.entries)
        if outcomes:
            self._wait_for_the_disk()
        refused = self._append(delivery.points)
        for sign in delivery.signs:
            if self._runs.knows(sign.run):
                self._runs.liveness.beat(sign.run, age_ms=sign.age_ms)
        return Receipt(entries=outcomes, refused=refused)

    # ------------------------------------------------------------------- inside

    def _wait_for_the_disk(self) -> None:
        """Make durable, at once, what the entries of a delivery wrote one by one."""
        written = Amendment(
            collection="sync",
            id=f"received/{self._project}",
            group=self._project,
            set={"at": to_micros(SystemClock().now())},
        )
        self._stores.catalog.write([written])

    def _outcome(self, entry: Entry) -> Outcome:
        try:
            return self._record(entry) or _NEW
        except (Invalid, NotFound, Conflict, Refused, Forbidden, Corrupt) as error:
            if error.code == "seen":
                return _KNOWN
            return Outcome(state="refused", code=error.code, message=error.message)

    @singledispatchmethod
    def _record(self, entry: Entry) -> Outcome | None:
        raise Invalid(f"a {type(entry).__name__} is nothing that is taken", code="bad-entry")

    @_record.register
    def _(self, entry: RunBegun) -> Outcome | None:
        if self._runs.knows(entry.run):
            return _KNOWN
        experiment = self._experiments.ensure(entry.experiment)
        self._runs.open(
            Opening(
                id=entry.run,
                experiment=experiment.number,
                name=entry.name[:_MOST_NAME],
                user=entry.user[:_MOST_NAME],
                began_ms=entry.began_ms,
                tags=entry.tags,
                location=f"{experiment.location.rstrip('/')}/{{run}}/artifacts",
            )
        )
        return None

    @_record.register
    def _(self, entry: RunTold) -> Outcome | None:
        said = {name: getattr(entry, name) for name in entry.__struct_fields__}
        report = Report(**{name: said[name] for name in said.keys() - {"id", "run"}})
        self._runs.report(entry.run, report, arrival=entry.id)
        return None

    @_record.register
    def _(self, entry: RunSeen) -> Outcome | None:
        self._runs.active(entry.run)
        code = entry.code
        for digest in (code.tree, entry.environment.lock, code.diff):
            if digest is not None:
                self._demand(digest)
        for file in read_tree(self._stores.blobs, code.tree).values():
            self._demand(file.digest)
        self._runs.observe(entry.run, code, entry.environment, entry.machine, arrival=entry.id)
        return None

    @_record.register
    def _(self, entry: RunMoved) -> Outcome | None:
        move = self._runs.delete if entry.stage == "deleted" else self._runs.restore
        move(entry.run, arrival=entry.id)
        return None

    @_record.register
    def _(self, entry: FileKept) -> Outcome | None:
        self._runs.active(entry.run)
        if self._demand(entry.digest) != entry.size_bytes:
            raise Invalid(f"the file {entry.digest} has another size", code="other-bytes")
        file = Artifact(
            fact="",
            owner=owner_of("run", entry.run),
            path=entry.path,
            digest=entry.digest,
            size_bytes=entry.size_bytes,
            media_type=entry.media_type,
        )
        self._artifacts.place(file, arrival=entry.id)
        return None

    @_record.register
    def _(self, entry: FilesGone) -> Outcome | None:
        self._runs.active(entry.run)
        try:
            self._artifacts.delete(owner_of("run", entry.run), entry.path, arrival=entry.id)
        except NotFound:  # nothing stands there: as it should be
            return _KNOWN
        return None

    def _append(self, points: Sequence[Series]) -> dict[str, Outcome]:
        refused: dict[str, Outcome] = {}
        checked: Chunks = []
        for run in dict.fromkeys(series.run for series in points):
            try:
                self._demand_run(run)
                found = [_checked(series) for series in points if series.run == run]
                checked += [chunk for chunk in found if len(chunk[1].steps)]
            except (Invalid, NotFound) as error:
                refused[run] = Outcome(state="refused", code=error.code, message=error.message)
        if checked:
            self._runs.metrics.append(checked)
        return refused

    def _demand_run(self, run: str) -> None:
        # One that was put away takes points, too: they may be older than that.
        if not self._runs.knows(run):
            raise NotFound(f"there is no run {run} here yet", code="no-run")

    def _know(self, sizes: dict[str, int]) -> None:
        if sizes:
            self._stores.views.put(
                FILES.name,
                [
                    {"project": self._project, "digest": digest, "size_bytes": size}
                    for digest, size in sizes.items()
                ],
            )

    def _size(self, digest: str) -> int | None:
        where = {"project": self._project, "digest": digest}
        rows = self._stores.views.find(FILES.name, where=where, limit=1)
        return (
            rows[0]["size_bytes"] if rows and self._stores.blobs.has(digest, renew=True) else None
        )

    def _demand(self, digest: str) -> int:
        size = self._size(digest)
        if size is None:
            raise NotFound(
                f"the file {digest} was not sent to this project",
                code="no-file",
                hint="Send its bytes first.",
            )
        return size


class _Unwaiting:
    """A ledger whose commits do not wait for the disk; somebody does before anybody is told.

    Args:
        ledger: What it stands before.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._commit = ledger.commit
        self.get = ledger.get
        self.find = ledger.find
        self.head = ledger.head
        self.heads = ledger.heads
        self.since = ledger.since
        self.verify = ledger.verify

    def commit(self, batch: Batch, *, synced: bool = True) -> LedgerReceipt:
        """Write a batch, as `Ledger.commit` does without waiting."""
        del synced
        return self._commit(batch, synced=False)


class FileWriter:
    """A file on its way in, that must turn out to have the digest it is said to have.

    Args:
        blob: Where the bytes go.
        digest: What they shall have.
        know: Given digest and size, remembers that it was sent.
    """

    def __init__(
        self, blob: BlobWriter, digest: str, know: Callable[[dict[str, int]], None]
    ) -> None:
        self._blob = blob
        self._digest = digest
        self._know = know
        self._size_bytes = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._blob.write(data)
        self._size_bytes += len(data)

    def finish(self) -> Taken:
        """Store durably what was written.

        Raises:
            Invalid: It has another digest (code `other-bytes`). Nobody is told that it was sent.
        """
        found = self._blob.finish()
        if found != self._digest:
            raise Invalid(
                f"the bytes have the digest {found}; expected {self._digest}",
                code="other-bytes",
                hint="The file changed on its way; send it again.",
            )
        self._know({found: self._size_bytes})
        return Taken(digest=found, size_bytes=self._size_bytes)

    def discard(self) -> None:
        """Leave nothing behind; after `finish` it does nothing."""
        self._blob.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def _checked(series: Series) -> tuple[SeriesKey, Points]:
    check_key(series.name, "metric")
    points = columns_of(series)
    if len(points.times) and min(points.times) < 0:
        raise Invalid(
            f"metric {series.name!r} has a time before 1970; expected milliseconds since then",
            code="bad-point",
        )
    if len(points.steps) and min(points.steps) < -_MOST_STEP:
        raise Invalid(f"metric {series.name!r} has a step beyond 64 bits", code="bad-point")
    return SeriesKey(series.run, series.name), points
