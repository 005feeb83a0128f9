"""What facts about traces make of their documents."""

from collections.abc import Iterable
from typing import Final

import msgspec

from trivet.core.catalog import Amendment, Document, Value
from trivet.core.facts import Entry, read
from trivet.core.projecting import Known, Projectors
from trivet.tracking.reporting.documents import group_of, imprinted
from trivet.tracking.reporting.facts import Experiment, ExperimentMade
from trivet.tracking.traces.documents import (
    TRACES,
    assessments_of,
    attributes_of,
    judgements,
    notes_of,
    trace_of,
)
from trivet.tracking.traces.facts import (
    Assessment,
    TraceAssessed,
    TraceLinked,
    TraceReported,
    TracesDeleted,
)


def id_of(project: str, trace: str) -> str:
    """Return the identifier of a trace's document.

    Clients choose the identifiers of traces: those of one project must not reach another's.
    """
    return f"{project}/{trace}"


def begun_trace(
    project: str,
    fact: str,
    reported: TraceReported,
    home: ExperimentMade | Experiment,
    assessments: Iterable[Assessment] = (),
) -> Amendment:
    """Make the document of a trace.

    Args:
        project: Whose it is.
        fact: The first `trace` fact about it.
        reported: What that says.
        home: The experiment that the trace belongs to.
        assessments: What was said about it already.
    """
    report = msgspec.structs.replace(reported.report, state=reported.report.state or "unknown")
    said = tuple(assessments)
    return Amendment(
        collection=TRACES,
        id=id_of(project, reported.trace),
        group=group_of(project, home.number),
        set={
            "request_id": reported.trace,
            "experiment_id": home.number,
            "timestamp": 0,
            **attributes_of(report, report.began_ms or 0, report.duration_ms),
            **_judged(said),
        },
        note={
            "fact": fact,
            "experiment": reported.experiment,
            "location": f"{home.location.rstrip('/')}/traces/{reported.trace}/artifacts",
            **notes_of(report, said),
            **imprinted(reported.imported),
        },
        expect="new",
    )


def reported_trace(document: Document, reported: TraceReported) -> Amendment:
    """Amend the document of a trace by what was reported after its beginning."""
    known, report = trace_of(document), reported.report
    began_ms = known.began_ms if report.began_ms is None else report.began_ms
    duration_ms = known.duration_ms if report.duration_ms is None else report.duration_ms
    return Amendment(
        collection=TRACES,
        id=document.id,
        set=attributes_of(report, began_ms, duration_ms),
        drop=tuple(f"tags.{key}" for key in report.dropped if f"tags.{key}" in document.attributes),
        note={**notes_of(report), **imprinted(reported.imported)},
        expect="known",
    )


def assessed_trace(document: Document, said: TraceAssessed) -> Amendment:
    """Amend the document of a trace by what was said about it, or withdrawn."""
    before = assessments_of(document)
    standing = {one.id: one for one in (*before, *said.assessments) if one.id not in said.withdrawn}
    found = _judged(standing.values())
    return Amendment(
        collection=TRACES,
        id=document.id,
        set=found,
        drop=tuple(judgements(before).keys() - found.keys()),
        note=notes_of(None, said.assessments, said.withdrawn),
        expect="known",
    )


def linked_trace(document: Document, run: str) -> Amendment | None:
    """Let the document of a trace name one more run; None when it does so already."""
    attributes = document.attributes
    linked = {value for name, value in attributes.items() if name.startswith("runs.")}
    if run in linked or attributes.get("run_id") == run:
        return None
    # Written once: whoever links it to another run in this moment takes the next place.
    once: dict[str, Value] = {f"runs.{len(linked)}": run}
    return Amendment(collection=TRACES, id=document.id, once=once, expect="known")


def gone_traces(project: str, traces: Iterable[str]) -> tuple[Amendment, ...]:
    """Take the documents of traces away."""
    return tuple(
        Amendment(collection=TRACES, id=id_of(project, trace), remove=True) for trace in traces
    )


def _judged(said: Iterable[Assessment]) -> dict[str, Value]:
    return judgements(sorted(said, key=lambda one: (one.made_ms, one.id)))


def _from_report(entry: Entry, known: Known) -> Iterable[Amendment]:
    reported = read(entry, TraceReported)
    document = known.document(TRACES, id_of(entry.project, reported.trace))
    if document is not None:
        yield reported_trace(document, reported)
        return
    home = known.fact(reported.experiment, ExperimentMade)
    if home is not None:
        yield begun_trace(entry.project, entry.id, reported, home)


def _from_assessment(entry: Entry, known: Known) -> Iterable[Amendment]:
    said = read(entry, TraceAssessed)
    document = known.document(TRACES, id_of(entry.project, said.trace))
    if document is not None:
        yield assessed_trace(document, said)


def _from_link(entry: Entry, known: Known) -> Iterable[Amendment]:
    linked = read(entry, TraceLinked)
    document = known.document(TRACES, id_of(entry.project, linked.trace))
    amendment = None if document is None else linked_trace(document, linked.run)
    if amendment is not None:
        yield amendment


def _from_deletion(entry: Entry, known: Known) -> Iterable[Amendment]:
    del known
    yield from gone_traces(entry.project, read(entry, TracesDeleted).traces)


PROJECTORS: Final[Projectors] = {
    TraceReported.KIND: _from_report,
    TraceAssessed.KIND: _from_assessment,
    TraceLinked.KIND: _from_link,
    TracesDeleted.KIND: _from_deletion,
}
