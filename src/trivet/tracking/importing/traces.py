"""Landing traces: a new one with all that was said of it, a known one with what is new."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from trivet.core.catalog import Amendment, Document
from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Draft, Scope, draft, read
from trivet.core.moving import HeldTrace
from trivet.core.ports import Stores
from trivet.core.search import find_all
from trivet.tracking.importing.assessments import clean_assessments
from trivet.tracking.importing.cleaning import (
    Remarks,
    clean_labels,
    clean_text,
    clean_time,
    digest_of,
    run_id,
)
from trivet.tracking.reporting.documents import IMPRINT, RUNS
from trivet.tracking.reporting.facts import Experiment, Imported
from trivet.tracking.traces.amending import (
    assessed_trace,
    begun_trace,
    id_of,
    linked_trace,
    reported_trace,
)
from trivet.tracking.traces.documents import (
    TRACES,
    assessments_of,
    check_report,
    check_trace_id,
)
from trivet.tracking.traces.facts import (
    STATE_WORDS,
    Assessment,
    TraceAssessed,
    TraceLinked,
    TraceReport,
    TraceReported,
    TracesDeleted,
)

_NAME: Final = "mlflow.traceName"
_RUN: Final = "mlflow.sourceRun"
_SPANS_AT: Final = "mlflow.trace.spansLocation"
_MOST_CHARACTERS: Final = 100_000
"""How many characters of assessments one fact carries, about: it may have 1 MiB."""


class TraceLanding:
    """Brings traces of one store into a project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        source: Which store they come from.
        remarks: Told of what is otherwise here.
    """

    def __init__(self, stores: Stores, scope: Scope, source: str, remarks: Remarks) -> None:
        self._stores = stores
        self._scope = scope
        self._source = source
        self._remarks = remarks

    def known(self, traces: Sequence[HeldTrace]) -> dict[str, Document]:
        """Return the documents of the traces that are here, by what they are called."""
        wanted = [id_of(self._scope.project, held.id) for held in traces]
        found = self._stores.catalog.get(TRACES, wanted)
        return {str(document.attributes["request_id"]): document for document in found}

    def gone(self, home: Experiment) -> frozenset[str]:
        """Return the traces of an experiment that were deleted here: they do not come back."""
        told = find_all(
            self._stores.ledger,
            TracesDeleted.KIND,
            where={"experiment": home.id},
            project=self._scope.project,
        )
        deleted = (read(entry, TracesDeleted) for entry in told if entry.payload is not None)
        return frozenset(trace for each in deleted for trace in each.traces)

    def is_changed(self, held: HeldTrace, standing: Document | None) -> bool:
        """Say whether a trace is not here as it is there."""
        return standing is None or standing.notes.get(IMPRINT) != digest_of(held)

    def can_land(self, held: HeldTrace, group: str, standing: Document | None) -> bool:
        """Say whether a trace can be here, and remark it when it cannot.

        Args:
            held: As it is there.
            group: The group of its experiment's documents.
            standing: Its document, None for one that is not here yet.
        """
        try:
            check_trace_id(held.id or "-")
            report = _report(held, Remarks())  # what is otherwise is remarked when it lands
            check_report(report)
            draft(TraceReported(trace=held.id, experiment="", report=report))
        except Invalid as error:
            self._remarks.note(f"the trace {held.id[:100]!r} is left out: {error.message}")
            return False
        if standing is not None and standing.group != group:
            self._remarks.note(f"the trace {held.id} is another experiment's here")
            return False
        return True

    def begin(self, traces: Sequence[HeldTrace], home: Experiment) -> None:
        """Record traces that are not here yet, in one commit.

        Raises:
            Conflict: One of them is here by now.
        """
        runs = self._runs({run for held in traces for run in _runs_of(held)})
        facts: list[Draft] = []
        documents: list[Amendment] = []
        for held in traces:
            told, document = self._begun(held, home, runs)
            facts += told
            documents.append(document)
        reason = f"import {len(traces)} traces into experiment {home.name}"
        self._stores.ledger.commit(self._scope.batch(reason, facts, documents=documents))

    def go_on(self, held: HeldTrace, standing: Document) -> bool:
        """Record what is new of a trace; return whether anything was.

        Raises:
            NotFound: It is deleted here by now.
        """
        reason = f"import trace {held.id}"
        known = {one.id: one for one in assessments_of(standing)}
        news = [one for one in clean_assessments(held, self._remarks) if known.get(one.id) != one]
        fact = str(standing.notes["fact"])
        for part in _parts(news):
            said = TraceAssessed(trace=held.id, assessments=part)
            amendment = assessed_trace(self._document(held), said)
            self._commit(reason, [draft(said, parents=[fact])], amendment)
        runs = self._runs(_linked(held))
        linked = [self._link(held, run, [fact, *_of(runs, run)]) for run in _linked(held)]
        # Said last: a trace without this imprint is looked at again.
        reported = self._reported(held, str(standing.notes["experiment"]))
        amendment = reported_trace(standing, reported)
        self._commit(reason, [draft(reported, parents=[reported.experiment])], amendment)
        return bool(news) or any(linked) or _says_more(amendment, standing)

    # ------------------------------------------------------------------- inside

    def _begun(
        self, held: HeldTrace, home: Experiment, runs: Collection[str]
    ) -> tuple[list[Draft], Amendment]:
        reported = self._reported(held, home.id)
        own = reported.report.run
        first = draft(reported, parents=[home.id, *_of(runs, own)])
        said = clean_assessments(held, self._remarks)
        facts = [first]
        for part in _parts(said):
            assessed = TraceAssessed(trace=held.id, assessments=part)
            facts.append(draft(assessed, parents=[first.id]))
        linked = [run for run in _linked(held) if run != own]
        for run in linked:
            told = TraceLinked(trace=held.id, run=run)
            facts.append(draft(told, parents=[first.id, *_of(runs, run)]))
        document = begun_trace(self._scope.project, first.id, reported, home, said)
        once = {f"runs.{number}": run for number, run in enumerate(linked)}
        return facts, msgspec.structs.replace(document, once={**document.once, **once})

    def _reported(self, held: HeldTrace, experiment: str) -> TraceReported:
        return TraceReported(
            trace=held.id,
            experiment=experiment,
            report=_report(held, self._remarks),
            imported=Imported(source=self._source, id=held.id, imprint=digest_of(held)),
        )

    def _link(self, held: HeldTrace, run: str, parents: list[str]) -> bool:
        """Let a trace belong to one more run; say whether it did not before."""
        amendment = linked_trace(self._document(held), run)
        if amendment is None:
            return False
        told = draft(TraceLinked(trace=held.id, run=run), parents=parents)
        self._commit(f"import trace {held.id}", [told], amendment)
        return True

    def _document(self, held: HeldTrace) -> Document:
        found = self.known([held]).get(held.id)
        if found is None:
            raise NotFound(f"Trace with ID '{held.id}' not found", code="no-trace")
        return found

    def _runs(self, runs: Collection[str]) -> frozenset[str]:
        """Return those of the runs that are here."""
        found = self._stores.catalog.get(RUNS, list(runs)) if runs else ()
        project = self._scope.project
        return frozenset(each.id for each in found if each.group.rpartition("/")[0] == project)

    def _commit(self, reason: str, facts: list[Draft], document: Amendment) -> None:
        self._stores.ledger.commit(self._scope.batch(reason, facts, documents=[document]))


def _report(held: HeldTrace, remarks: Remarks) -> TraceReport:
    def text(value: str | None, what: str) -> str | None:
        return None if value is None else clean_text(value, f"{what} of a trace", remarks)

    tags = clean_labels(held.tags, "tag of a trace", remarks)
    tags.pop(_SPANS_AT, None)  # where they were
    run = held.metadata.get(_RUN)
    return TraceReport(
        began_ms=clean_time(held.began_ms),
        duration_ms=None if held.duration_ms is None else max(0, held.duration_ms),
        state=STATE_WORDS.get(held.state, "unknown"),
        name=tags.get(_NAME),
        run=run_id(run) if run else None,
        client_id=text(held.client_id, "client's identifier"),
        request=text(held.request, "request"),
        response=text(held.response, "response"),
        metadata=clean_labels(held.metadata, "metadata of a trace", remarks),
        tags=tags,
    )


def _linked(held: HeldTrace) -> list[str]:
    return list(dict.fromkeys(map(run_id, held.runs)))


def _runs_of(held: HeldTrace) -> Iterator[str]:
    """Yield the runs that a trace names, as they are called here."""
    own = held.metadata.get(_RUN)
    if own:
        yield run_id(own)
    yield from _linked(held)


def _of(runs: Collection[str], run: str | None) -> list[str]:
    """Return a run as a parent of facts, if it is here: others may come later, or never."""
    return [run] if run and run in runs else []


def _parts(said: Sequence[Assessment]) -> Iterator[tuple[Assessment, ...]]:
    """Yield assessments in the pieces that facts have room for."""
    gathered: list[Assessment] = []
    length = 0
    for one in said:
        size = len(msgspec.json.encode(one))
        if gathered and length + size > _MOST_CHARACTERS:
            yield tuple(gathered)
            gathered, length = [], 0
        gathered.append(one)
        length += size
    if gathered:
        yield tuple(gathered)


def _says_more(amendment: Amendment, standing: Document) -> bool:
    """Say whether an amendment says anything besides what a document was like elsewhere."""
    known: Mapping[str, object] = {**standing.notes, IMPRINT: amendment.note.get(IMPRINT)}
    return any(standing.attributes.get(k) != v for k, v in amendment.set.items()) or any(
        known.get(key) != value for key, value in amendment.note.items()
    )
