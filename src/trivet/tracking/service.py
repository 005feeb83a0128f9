"""The tracking room's service: runs begin, are measured, end, and are compared."""

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, cast

import msgspec

from trivet.core.catalog import Amendment
from trivet.core.clock import SystemClock, as_utc, to_micros
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Draft, Entry, HeadMove, Scope, draft, read
from trivet.core.ids import check_id, check_name, new_id, sha256_hex
from trivet.core.ports import Points, SeriesKey, Stores
from trivet.core.tasks import TaskChange
from trivet.tracking import documents
from trivet.tracking.autolog.libraries import Libraries
from trivet.tracking.comparison import RunComparison, Side, compare_sides
from trivet.tracking.environment import record_environment
from trivet.tracking.examining import Examiner
from trivet.tracking.facts import (
    Note,
    Output,
    Run,
    RunFinished,
    RunStarted,
    RunStatus,
)
from trivet.tracking.programs import Programs

_MAX_ERROR_CHARACTERS = 16_384
_FEWEST, _MOST_COMPARED = 2, 50


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at what was asked for: how the run is called, and the task behind it."""

    id: str
    """The run's identifier, chosen by whoever must name the run before it is recorded."""
    request: str
    """Equal in every attempt at the same."""
    task: str
    """Key of the task behind the run."""
    tasks: Sequence[TaskChange]
    """Written in the commit that begins the run: they add the task, or hold it."""
    asked_by: str | None = None
    """The fact that asked for it: a parent of the run."""


class Along(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded in one commit with a run's end."""

    facts: Sequence[Draft] = ()
    heads: Sequence[HeadMove] = ()
    tasks: Sequence[TaskChange] = ()


_NOTHING = Along()


class TrackingService(Programs):
    """Runs, their measurements, and notes about anything, of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        tasks_at_end: Given a run that ends, what is to be done about it: written with its end.
        libraries: Training libraries that can report by themselves, and meters of the machine.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        *,
        tasks_at_end: Callable[[Run], Sequence[TaskChange]] | None = None,
        libraries: Libraries | None = None,
    ) -> None:
        super().__init__(stores, scope, libraries or Libraries())
        self._tasks_at_end = tasks_at_end
        self._began: dict[str, float] = {}

    def start(
        self,
        name: str,
        *,
        entry: str,
        folder: Path,
        parameters: Mapping[str, Any] | None = None,
        data: Sequence[str] = (),
        assets: Sequence[str] = (),
        attempt: Attempt | None = None,
    ) -> Run:
        """Record that a run begins, with its code and environment as they are now.

        Args:
            name: What is run; runs of one name are comparable.
            entry: `module:function`.
            folder: The project's folder, whose sources are stored.
            parameters: JSON-ready values by name.
            data: Identifiers of the data commits it is given: its parents.
            assets: Identifiers of the versions of assets it is given: parents too.
            attempt: What was asked for, and the task behind the run, when there is one.

        Raises:
            Invalid: The name or a parameter cannot be recorded.
            NotFound: A data commit does not exist.
        """
        check_name(name, "run name")
        asked_by = attempt.asked_by if attempt else None
        started = RunStarted(
            name=name,
            parameters=_json_ready(parameters or {}),
            code=self._code.record(folder, entry),
            environment=record_environment(self._stores.blobs),
            data=tuple(data),
            assets=tuple(assets),
            asked_by=asked_by,
            request=attempt.request if attempt else None,
            task=attempt.task if attempt else None,
        )
        run_id = check_id(attempt.id) if attempt else new_id()
        parents = dict.fromkeys((*data, *assets, *((asked_by,) if asked_by else ())))
        self._began[run_id] = monotonic()
        fact = draft(started, id=run_id, parents=parents)
        document = self._begun(run_id, started)
        tasks = attempt.tasks if attempt else ()
        self._commit(f"run {name}", fact, tasks=tasks, document=document)
        return Run(id=run_id, started=started)

    def finish(
        self,
        run_id: str,
        status: RunStatus,
        *,
        metrics: Mapping[str, float] | None = None,
        outputs: Iterable[Output] = (),
        error: str | None = None,
        data: Sequence[str] = (),
        along: Along = _NOTHING,
    ) -> Run:
        """Record how a run ended. A run ends once.

        Args:
            run_id: The run.
            status: `succeeded`, `failed`, `cancelled` or `lost`.
            metrics: Final figures; finite numbers.
            outputs: Named results that are stored already.
            error: What went wrong, for a person; cut at 16,384 characters.
            data: Data commits it read besides those it was given.
            along: What belongs to the end: it is in the same commit.

        Raises:
            Conflict: The run has ended before (code `run-finished`), a task is somebody else's
                by now (`fenced`), or a head that goes along has moved (`head-moved`).
            Invalid: A metric is not a finite number, or the status is `running`.
            NotFound: There is no such run.
        """
        run = self.get(run_id)
        if run.finished is not None:
            raise _ended(run)
        if status == "running":
            raise Invalid(
                "status is 'running'; expected how the run ended",
                code="bad-status",
                hint="Pass 'succeeded', 'failed', 'cancelled' or 'lost'.",
            )
        finished = RunFinished(
            run=run_id,
            status=status,
            seconds=self._seconds(run_id),
            metrics={name: _finite(name, value) for name, value in (metrics or {}).items()},
            outputs=tuple(outputs),
            error=error[-_MAX_ERROR_CHARACTERS:] if error else None,
            at_ms=_now_micros() // 1000,
        )
        ending = draft(finished, id=_finish_id(run_id), parents=dict.fromkeys([run_id, *data]))
        ended = Run(id=run_id, started=run.started, finished_id=ending.id, finished=finished)
        more = self._tasks_at_end(ended) if self._tasks_at_end else ()
        try:
            self._commit(
                f"run {run.started.name} {status}",
                ending,
                *along.facts,
                tasks=[*along.tasks, *more],
                heads=along.heads,
                document=documents.ended(
                    self._begun(run_id, run.started), finished, ended_ms=finished.at_ms or 0
                ),
            )
        except Conflict as error_:
            if error_.code == "other-fact":  # another process ended it in this moment
                raise _ended(run) from error_
            raise
        self._began.pop(run_id, None)
        return ended

    def log(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        *,
        step: int = 0,
        time: datetime | None = None,
    ) -> None:
        """Append one point to each named series of a run, durably.

        Raises:
            Invalid: A name or value cannot be recorded.
        """
        micros = to_micros(as_utc(time)) if time else _now_micros()
        chunks = [
            (
                SeriesKey(check_id(run_id, "run"), name),
                Points(
                    array("q", [step]), array("q", [micros]), array("d", [_number(name, value)])
                ),
            )
            for name, value in metrics.items()
        ]
        self._stores.series.append(chunks)

    def metric(self, run_id: str, name: str) -> Points:
        """Return one series of a run, by step; empty when nothing was logged under the name."""
        return self._stores.series.read(SeriesKey(check_id(run_id, "run"), name))

    def metrics(self, run_id: str) -> tuple[str, ...]:
        """Return the names of a run's series."""
        return tuple(self._stores.series.summaries(check_id(run_id, "run")))

    def get(self, id: str) -> Run:
        """Return a run of a flow, with how it ended once it has.

        Raises:
            NotFound: There is no such run in this project, or a program reported it.
        """
        entry = self._stores.ledger.get(id)
        if entry is None or entry.project != self._scope.project:
            raise NotFound(
                f"no run {id}", code="no-run", hint="Copy the identifier as Trivet printed it."
            )
        if entry.kind != RunStarted.KIND:
            raise NotFound(
                f"{id} is no run of a flow",
                code="no-run",
                hint="Steps and logs are kept of these; of a run that a program reported, "
                "`trivet runs show` tells what is on record.",
            )
        return self._run(entry)

    def runs(
        self, name: str | None = None, *, request: str | None = None, limit: int = 100
    ) -> tuple[Run, ...]:
        """Return the newest runs of this project: of one name, of one request, or all."""
        where = {"request": request} if request else {"name": name} if name else None
        page = self._stores.ledger.find(
            RunStarted.KIND,
            where=where,
            project=self._scope.project,
            limit=limit,
        )
        return tuple(self._run(entry) for entry in page.entries if entry.payload is not None)

    def compare(self, *runs: str, metrics: Sequence[str] | None = None) -> RunComparison:
        """Say what differs between runs: those of flows, and those that programs report.

        Args:
            runs: Identifiers of at least two; differences are those from the first.
            metrics: Whose curves are compared; None: all of more than one point, but those of the
                machine.

        Raises:
            Invalid: There are less than two runs, or more than 50.
            NotFound: One of them does not exist.
        """
        if not _FEWEST <= len(runs) <= _MOST_COMPARED:
            raise Invalid(
                f"{len(runs)} run(s) cannot be compared; expected {_FEWEST} to {_MOST_COMPARED}",
                code="how-many-runs",
                hint="Name them: `trivet compare RUN RUN`; `trivet runs` lists them.",
            )
        examiner = Examiner(self._stores, self.reported)
        sides = [self._side(examiner, run, metrics) for run in runs]
        return compare_sides(sides, examiner.read)

    def note(self, subject: str, text: str) -> Note:
        """Write a note about a fact.

        Raises:
            Invalid: There is no text.
            NotFound: There is no such fact.
        """
        if not text.strip():
            raise Invalid("text is empty; expected a note", code="empty", hint="Write something.")
        written = Note(subject=check_id(subject, "subject"), text=text)
        self._commit("note", draft(written, parents=[subject]))
        return written

    def notes(self, subject: str) -> tuple[Note, ...]:
        """Return the notes about a fact, oldest first."""
        found = self._stores.ledger.find(
            Note.KIND,
            where={"subject": check_id(subject, "subject")},
            project=self._scope.project,
            limit=1000,
            newest_first=False,
        )
        return tuple(read(entry, Note) for entry in found.entries if entry.payload is not None)

    def _begun(self, run: str, started: RunStarted) -> Amendment:
        # Who began it, whoever ends it now.
        entry = self._stores.ledger.get(run)
        actor = self._scope.actor if entry is None else entry.actor
        return documents.begun(run, started, project=self._scope.project, actor=actor)

    def _run(self, entry: Entry) -> Run:
        started = read(entry, RunStarted)
        ending = self._stores.ledger.get(_finish_id(entry.id))
        if ending is None or ending.payload is None:
            return Run(id=entry.id, started=started)
        finished = read(ending, RunFinished)
        return Run(id=entry.id, started=started, finished_id=ending.id, finished=finished)

    def _seconds(self, run_id: str) -> float:
        began = self._began.get(run_id)
        if began is not None:
            return monotonic() - began
        entry = self._stores.ledger.get(run_id)  # begun by another process: by the wall clock
        since = _now_micros() - to_micros(entry.time) if entry else 0
        return max(0.0, since / 1e6)

    def _side(self, examiner: Examiner, run: str, metrics: Sequence[str] | None) -> Side:
        entry = self._stores.ledger.get(check_id(run, "run"))
        found = self.finder.get([run])
        if entry is not None and entry.kind == RunStarted.KIND:
            return examiner.of_flow(self.get(run), found[0] if found else None, metrics)
        if not found:
            raise NotFound(f"no run {run}", code="no-run", hint="`trivet runs` lists them.")
        return examiner.of_program(found[0], metrics)

    def _commit(
        self,
        reason: str,
        *facts: Draft,
        tasks: Sequence[TaskChange] = (),
        heads: Sequence[HeadMove] = (),
        document: Amendment | None = None,
    ) -> None:
        batch = self._scope.batch(
            reason,
            facts,
            tasks=tasks,
            heads=heads,
            documents=[document] if document is not None else (),
        )
        self._stores.ledger.commit(batch)


def _finish_id(run_id: str) -> str:
    """Name a run's ending by the run, so that the ledger itself lets it end only once."""
    return sha256_hex(RunFinished.KIND.encode(), run_id.encode())[:32]


def _ended(run: Run) -> Conflict:
    return Conflict(
        f"run {run.id} has ended before",
        code="run-finished",
        hint="Start a new run; what a run recorded does not change.",
    )


def _json_ready(parameters: Mapping[str, Any]) -> dict[str, Any]:
    ready: dict[str, Any] = {}
    for name, value in parameters.items():
        try:
            # Through JSON and back: what is recorded is what is compared with it later.
            ready[name] = msgspec.json.decode(msgspec.json.encode(value))
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
            raise Invalid(
                f"parameter {name!r} is a {type(value).__name__}; expected a JSON-ready value",
                code="bad-parameter",
                hint="Pass numbers, text, lists or mappings; data goes in as a data set or a file.",
            ) from error
    return ready


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise Invalid(
            f"metric {name!r} is a {type(value).__name__}; expected a number",
            code="bad-metric",
            hint="Pass a float; text belongs into a note or a parameter.",
        )
    return float(cast("float", value))


def _finite(name: str, value: object) -> float:
    number = _number(name, value)
    if not math.isfinite(number):
        raise Invalid(
            f"metric {name!r} is {number}; expected a finite number",
            code="bad-metric",
            hint="Leave it out of the final figures; a series may hold it.",
        )
    return number


def _now_micros() -> int:
    return to_micros(SystemClock().now())
