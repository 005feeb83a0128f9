"""Traces of one project: told of when they end, or begun and ended, tagged, searched, deleted."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from trivet.core.catalog import (
    Amendment,
    Compare,
    Condition,
    Document,
    Every,
    OneOf,
    Order,
    Position,
    Search,
)
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Draft, Scope, draft
from trivet.core.moving import SPANS_FILE
from trivet.core.ports import Stores
from trivet.core.search import find_all
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.reporting.experiments import RUNS, Experiments
from trivet.tracking.reporting.facts import Experiment
from trivet.tracking.traces.amending import (
    assessed_trace,
    begun_trace,
    gone_traces,
    id_of,
    linked_trace,
    reported_trace,
)
from trivet.tracking.traces.documents import (
    TRACES,
    assessments_of,
    check_assessment,
    check_report,
    check_trace_id,
    trace_of,
)
from trivet.tracking.traces.facts import (
    Assessment,
    Trace,
    TraceAssessed,
    TraceLinked,
    TraceReport,
    TraceReported,
    TracesDeleted,
)

_MOST_SPANS_BYTES: Final = 64 << 20
_MOST_SAID: Final = 1000
_ATTEMPTS: Final = 20
_AT_ONCE: Final = 100
_PAGE: Final = 1000


class Traces:
    """The traces of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        experiments: Where traces belong.
        artifacts: Where their spans are, unless the experiment has a storage of its own.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        experiments: Experiments,
        artifacts: Artifacts,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._experiments = experiments
        self._artifacts = artifacts

    def put(
        self,
        trace: str,
        experiment: int,
        report: TraceReport,
        assessments: Sequence[Assessment] = (),
    ) -> Trace:
        """Record a trace, or more about one that is known; saying the same again changes nothing.

        Args:
            trace: Its identifier, chosen by whoever reports it.
            experiment: The number of the experiment that it belongs to.
            report: What there is to say.
            assessments: What was said about it already.

        Raises:
            NotFound: There is no such experiment.
            Invalid: It is deleted (`not-active`), the trace belongs to another one
                (`other-experiment`), or something in it is malformed.
        """
        check_trace_id(trace)
        _check(report, assessments)
        home = self._experiments.active(experiment)
        for _ in range(_ATTEMPTS):
            document = self._find(trace)
            try:
                if document is None:
                    self._begin(trace, home, report, assessments)
                else:
                    self._go_on(document, home, report, assessments)
                return self.get(trace)
            except Conflict as error:
                if error.code != "document-exists":
                    raise
            except NotFound:
                continue  # deleted in this moment
        raise Conflict(f"the trace {trace} is written and deleted again and again", code="busy")

    def change(self, trace: str, report: TraceReport) -> Trace:
        """Record more about a trace, or tag it.

        Raises:
            NotFound: There is no such trace.
            Invalid: Something in the report is malformed.
        """
        check_report(report)
        self._report(self._document(trace), report)
        return self.get(trace)

    def untag(self, trace: str, key: str, *, name: str | None = None) -> None:
        """Take a tag of a trace away.

        Args:
            trace: The trace.
            key: The tag's key.
            name: What the trace is called from now on, when the tag said that; None: as before.

        Raises:
            NotFound: There is no such trace, or it has no such tag (code `no-tag`).
        """
        document = self._document(trace)
        if f"tags.{key}" not in document.attributes:
            raise NotFound(
                f"No trace tag with key '{key}' for trace with ID '{trace}'", code="no-tag"
            )
        self._report(document, TraceReport(dropped=(key,), name=name))

    def get(self, trace: str) -> Trace:
        """Return a trace.

        Raises:
            NotFound: There is none of this identifier in this project.
        """
        return trace_of(self._document(trace))

    def several(self, traces: Sequence[str]) -> tuple[Trace, ...]:
        """Return those of the traces that are there, each once, in the order asked for."""
        wanted = [self._name(trace) for trace in dict.fromkeys(traces) if trace]
        return tuple(map(trace_of, self._stores.catalog.get(TRACES, wanted)))

    def search(
        self,
        experiments: Sequence[int],
        where: Condition | None = None,
        *,
        order: Sequence[Order] = (),
        after: Position | None = None,
        limit: int = 100,
    ) -> tuple[tuple[Trace, ...], Position | None]:
        """Return a page of traces, and where the next one begins.

        Args:
            experiments: Numbers of the experiments to look into.
            where: A condition on attributes of the traces' documents.
            order: By what; ties by the newest beginning, then by identifier.
            after: Where an earlier page of the same search ended.
            limit: 1 to 50,000.
        """
        ties = () if any(o.name == "timestamp" for o in order) else (_NEWEST_FIRST,)
        found = self._stores.catalog.search(
            Search(
                collection=TRACES,
                groups=tuple(map(self._experiments.group_of, experiments)),
                where=where,
                order=(*order, *ties),
                after=after,
                limit=limit,
            )
        )
        return tuple(map(trace_of, found.documents)), found.after

    def delete(
        self,
        experiment: int,
        *,
        traces: Sequence[str] | None = None,
        until_ms: int | None = None,
        limit: int | None = None,
        why: str = "",
    ) -> int:
        """Delete traces of an experiment, with all that was recorded of them and their files.

        Args:
            experiment: The experiment's number.
            traces: Only these.
            until_ms: Only those that began at this time or before it.
            limit: So many at most, the oldest first.
            why: The reason, for the record.

        Returns:
            How many there were.
        """
        parts: list[Condition] = []
        if traces is not None:
            parts.append(OneOf("request_id", tuple(traces)))
        if until_ms is not None:
            parts.append(Compare("timestamp", "<=", until_ms))
        home = self._experiments.get(experiment)
        gone = 0
        while limit is None or gone < limit:
            size = _AT_ONCE if limit is None else min(_AT_ONCE, limit - gone)
            wanted = Search(
                collection=TRACES,
                groups=(self._experiments.group_of(experiment),),
                where=Every(tuple(parts)),
                order=(Order("timestamp"),),
                limit=size,
            )
            found = self._stores.catalog.search(wanted).documents
            if not found:
                break
            ids = [str(document.attributes["request_id"]) for document in found]
            self._delete(home, ids, why)
            gone += len(found)
        return gone

    def link(self, traces: Sequence[str], run: str) -> None:
        """Let traces belong to a run besides the one in which they came to be.

        Raises:
            NotFound: There is no such run, or no such trace.
        """
        if not self._is_run(run):
            raise NotFound(f"Run with id={run} not found", code="no-run")
        for trace in dict.fromkeys(traces):
            _until_settled(lambda trace=trace: self._link(trace, run))

    def most_links(self) -> int:
        """Return to how many runs a trace belongs at most, besides its own."""
        names = self._stores.catalog.names(TRACES, "runs.")
        return max((int(name.partition(".")[2]) + 1 for name in names), default=0)

    def assess(
        self, trace: str, standing: Sequence[Assessment], *, withdrawn: Sequence[str] = ()
    ) -> None:
        """Record what assessments of a trace say from now on, and which are withdrawn.

        Raises:
            NotFound: There is no such trace.
            Invalid: One is malformed.
        """
        _check(TraceReport(), standing)
        self._assess(self._document(trace), standing, withdrawn)

    def spans(self, trace: Trace) -> bytes | None:
        """Return the file that holds a trace's spans; None when it did not arrive here.

        Raises:
            Invalid: It is larger than 64 MiB (code `too-large`).
            Corrupt: Its bytes are not what was stored.
        """
        try:
            found = self._artifacts.get(_owner(trace.id), SPANS_FILE)
        except NotFound:
            return None
        if found.size_bytes > _MOST_SPANS_BYTES:
            raise Invalid(
                f"the spans of the trace {trace.id} have {found.size_bytes} bytes; expected at "
                f"most {_MOST_SPANS_BYTES}",
                code="too-large",
                hint="Download the file itself.",
            )
        with self._artifacts.read(found) as file:
            return file.read()

    # ------------------------------------------------------------------- inside

    def _name(self, trace: str) -> str:
        return id_of(self._scope.project, trace)

    def _find(self, trace: str) -> Document | None:
        found = self._stores.catalog.get(TRACES, [self._name(trace)]) if trace else ()
        return found[0] if found else None

    def _document(self, trace: str) -> Document:
        found = self._find(trace)
        if found is None:
            raise NotFound(f"Trace with ID '{trace}' not found", code="no-trace")
        return found

    def _is_run(self, run: str) -> bool:
        found = self._stores.catalog.get(RUNS, [run]) if run else ()
        return bool(found) and found[0].group.rpartition("/")[0] == self._scope.project

    def _begin(
        self,
        trace: str,
        home: Experiment,
        report: TraceReport,
        assessments: Sequence[Assessment],
    ) -> None:
        reported = TraceReported(trace=trace, experiment=home.id, report=report)
        fact = self._drafted(reported)
        amendment = begun_trace(self._scope.project, fact.id, reported, home, assessments)
        facts = [fact]
        if assessments:
            said = TraceAssessed(trace=trace, assessments=tuple(assessments))
            facts.append(draft(said, parents=[fact.id]))
        self._commit(f"trace {trace}", facts, [amendment])

    def _go_on(
        self,
        document: Document,
        home: Experiment,
        report: TraceReport,
        assessments: Sequence[Assessment],
    ) -> None:
        if document.group != self._experiments.group_of(home.number):
            raise Invalid(
                f"the trace {document.attributes['request_id']} belongs to experiment "
                f"{document.group.rpartition('/')[2]}, not to {home.number}",
                code="other-experiment",
                hint="Give the trace another identifier.",
            )
        self._report(document, report)
        known = {one.id for one in assessments_of(document)}
        new = [one for one in assessments if one.id not in known]
        if new:
            self._assess(document, new)

    def _report(self, document: Document, report: TraceReport) -> None:
        trace = str(document.attributes["request_id"])
        home: str = document.notes["experiment"]
        reported = TraceReported(trace=trace, experiment=home, report=report)
        amendment = reported_trace(document, reported)
        standing, noted = document.attributes, document.notes
        if (
            not amendment.drop
            and all(standing.get(name) == value for name, value in amendment.set.items())
            and all(noted.get(name) == value for name, value in amendment.note.items())
        ):
            return
        self._commit(f"trace {trace}", [self._drafted(reported)], [amendment])

    def _drafted(self, reported: TraceReported) -> Draft:
        run = reported.report.run
        runs = [run] if run and self._is_run(run) else []
        return draft(reported, parents=[reported.experiment, *runs])

    def _assess(
        self, document: Document, standing: Sequence[Assessment], withdrawn: Sequence[str] = ()
    ) -> None:
        trace = str(document.attributes["request_id"])
        said = TraceAssessed(trace=trace, assessments=tuple(standing), withdrawn=tuple(withdrawn))
        amendment = assessed_trace(document, said)
        fact = draft(said, parents=[document.notes["fact"]])
        self._commit(f"assessment of trace {trace}", [fact], [amendment])

    def _link(self, trace: str, run: str) -> None:
        document = self._document(trace)
        amendment = linked_trace(document, run)
        if amendment is None:
            return
        fact = draft(TraceLinked(trace=trace, run=run), parents=[document.notes["fact"], run])
        self._commit(f"trace {trace} of run {run}", [fact], [amendment])

    def _delete(self, home: Experiment, traces: Sequence[str], why: str) -> None:
        deleted = TracesDeleted(experiment=home.id, traces=tuple(traces))
        batch = self._scope.batch(
            f"delete traces of experiment {home.name}{f': {why}' if why else ''}",
            [draft(deleted, parents=[home.id])],
            documents=gone_traces(self._scope.project, traces),
        )
        for trace in traces:  # while the traces still say whose their files are
            self._artifacts.delete(_owner(trace), "")
        forget = tuple(fact for trace in traces for fact in self._told(trace))
        self._stores.ledger.commit(msgspec.structs.replace(batch, forget=forget))

    def _told(self, trace: str) -> Iterator[str]:
        """Yield the facts that hold what a trace was asked and answered."""
        for kind in (TraceReported.KIND, TraceAssessed.KIND):
            found = find_all(
                self._stores.ledger, kind, where={"trace": trace}, project=self._scope.project
            )
            yield from (entry.id for entry in found if entry.payload is not None)

    def _commit(self, reason: str, facts: Sequence[Draft], documents: Sequence[Amendment]) -> None:
        self._stores.ledger.commit(self._scope.batch(reason, facts, documents=documents))


_NEWEST_FIRST: Final = Order("timestamp", falls=True)


def _owner(trace: str) -> str:
    """Return whose files a trace's are, as artifacts know it."""
    return f"trace:{trace}"


def _check(report: TraceReport, assessments: Sequence[Assessment]) -> None:
    check_report(report)
    if len(assessments) > _MOST_SAID:
        raise Invalid(
            f"{len(assessments)} assessments come at once; expected at most {_MOST_SAID}",
            code="too-many",
        )
    for one in assessments:
        check_assessment(one)


def _until_settled(attempt: Callable[[], None]) -> None:
    """Try again for as long as somebody else took the place that was wanted."""
    for _ in range(_ATTEMPTS):
        try:
            return attempt()
        except Conflict as error:
            if error.code != "other-value":
                raise
    raise Conflict("runs are linked faster than they can be numbered", code="busy")
