"""The traces that this project holds, as holdings."""

from collections.abc import Iterator
from typing import Final

from trivet.core.catalog import Document, Search
from trivet.core.facts import Scope
from trivet.core.moving import HeldAssessment, HeldTrace
from trivet.core.ports import Stores
from trivet.core.search import walk
from trivet.tracking.artifacts import Artifacts, owner_of
from trivet.tracking.reporting.documents import group_of
from trivet.tracking.traces.documents import TRACES, trace_of
from trivet.tracking.traces.facts import SOURCE_WORDS, WORDS, Assessment

_PAGE: Final = 200
_SOURCES: Final = {kind: word for word, kind in SOURCE_WORDS.items()}


class HeldTraces:
    """What a project holds of traces.

    Args:
        stores: Where everything is kept.
        scope: Whose they are.
        artifacts: Where their spans are.
    """

    def __init__(self, stores: Stores, scope: Scope, artifacts: Artifacts) -> None:
        self._stores = stores
        self._scope = scope
        self._artifacts = artifacts

    def of(self, experiment: str) -> Iterator[HeldTrace]:
        """Yield the traces of an experiment."""
        group = group_of(self._scope.project, int(experiment))
        wanted = Search(collection=TRACES, groups=(group,), limit=_PAGE)
        for document in walk(self._stores.catalog, wanted):
            yield self._held(document)

    def _held(self, document: Document) -> HeldTrace:
        trace = trace_of(document)
        return HeldTrace(
            id=trace.id,
            experiment=str(trace.experiment),
            began_ms=trace.began_ms,
            duration_ms=trace.duration_ms,
            state=WORDS[trace.state],
            client_id=trace.client_id,
            request=trace.request,
            response=trace.response,
            location=trace.location,
            metadata=trace.metadata,
            tags=trace.tags,
            runs=_linked(document),
            assessments=tuple(map(_assessment, trace.assessments)),
            imprint=self._artifacts.digest(owner_of("trace", trace.id)),
        )


def _linked(document: Document) -> tuple[str, ...]:
    links = [name for name in document.attributes if name.startswith("runs.")]
    return tuple(str(document.attributes[name]) for name in sorted(links))


def _assessment(said: Assessment) -> HeldAssessment:
    failure = said.failure
    return HeldAssessment(
        id=said.id,
        name=said.name,
        kind=said.kind,
        value=said.issue if said.kind == "issue" else said.value,
        form=said.form,
        failure=None if failure is None else (failure.code, failure.message, failure.stack),
        source=_SOURCES.get(said.source.kind, "SOURCE_TYPE_UNSPECIFIED"),
        source_id=said.source.id,
        span=said.span,
        rationale=said.rationale,
        metadata=said.metadata,
        overrides=said.overrides,
        is_valid=said.is_valid,
        made_ms=said.made_ms,
        changed_ms=said.changed_ms,
    )
