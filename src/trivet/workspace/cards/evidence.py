"""Gathering what is on record about a version: facts of every room, and nothing else.

What is not in the stores does not count, and neither does the present: a card that is written
twice from the same facts is the same.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any, Final

import msgspec

from trivet.core.errors import TrivetError
from trivet.core.facts import Entry, Scope, read
from trivet.core.ports import Stores
from trivet.core.search import find_all
from trivet.core.trees import load_file
from trivet.data.facts import DataCommit
from trivet.models.approvals import Approval, Approvals
from trivet.models.card_texts import CardText, CardTexts
from trivet.models.chronicle import Chronicle, Event
from trivet.models.comments import Comments
from trivet.models.contents import Contents, newest_verdict
from trivet.models.facts import GateOverride, GateVerdict, ModelVersion
from trivet.models.references import Finder, Subject
from trivet.models.remarks import Comment, Deprecation
from trivet.models.standing import deprecation_of
from trivet.monitoring.facts import Alert, Baseline, WindowClosed
from trivet.releases.facts import ReleasePlan
from trivet.tracking.facts import Note, RunFinished, RunStarted
from trivet.tracking.reporting.experiments import RUNS
from trivet.tracking.reporting.facts import Input, RunObserved

_BRIEF: Final = "brief.toml"
_ENERGY: Final = "system/energy"


class DataUsed(msgspec.Struct, frozen=True, kw_only=True):
    """A data commit, with its profile as it was stored."""

    id: str
    commit: DataCommit
    profiles: dict[str, dict[str, Any]]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is on record about a version."""

    subject: Subject
    entry: Entry
    model: ModelVersion | None
    is_kept_here: bool
    """Whether its files are a package or artifacts of these stores."""
    verdict: GateVerdict | None
    judged_again: GateVerdict | None
    """What its gate said of the package later; None: nothing else."""
    override: GateOverride | None
    run: RunStarted | None
    ended: RunFinished | None
    observed: RunObserved | None
    reported: dict[str, Any]
    """Attributes of a run that reported about itself; empty: it is none."""
    inputs: tuple[Input, ...]
    data: tuple[DataUsed, ...]
    brief: dict[str, Any]
    energy_kwh: dict[str, float]
    texts: dict[str, CardText]
    comments: tuple[Comment, ...]
    notes: tuple[tuple[str, Note], ...]
    """Who wrote each, and what."""
    deprecation: Deprecation | None
    approvals: tuple[Approval, ...]
    moves: tuple[Event, ...]
    releases: tuple[tuple[str, ReleasePlan], ...]
    windows: tuple[WindowClosed, ...]
    baseline: Baseline | None
    alerts: tuple[Alert, ...]


def gather_evidence(stores: Stores, scope: Scope, reference: str) -> Evidence:
    """Gather what is on record about a version.

    Raises:
        NotFound: There is no such version.
    """
    return _Gathering(stores, scope).of(reference)


class _Gathering:
    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._ledger = stores.ledger
        self._scope = scope
        self._finder = Finder(stores, scope.project)
        self._contents = Contents(stores, scope)

    def of(self, reference: str) -> Evidence:
        version = self._finder.version(reference)
        subject = self._finder.subject(version.id)
        entry = self._ledger.get(version.id)
        assert entry is not None  # noqa: S101  # its document names it
        model = read(entry, ModelVersion) if version.is_packaged else None
        run = self._started(version.run)
        texts = CardTexts(self._stores, self._scope)
        return Evidence(
            subject=subject,
            entry=entry,
            model=model,
            is_kept_here=model is not None or self._contents.place(subject.id) is not None,
            verdict=self._verdict(model and model.verdict),
            judged_again=self._judged_again(model),
            override=self._override(model),
            run=run,
            ended=self._ended(version.run),
            observed=self._observed(version.run),
            reported=self._reported(version.run),
            inputs=self._inputs(version.run),
            data=tuple(map(self._data, model.data if model else ())),
            brief=self._brief(run),
            energy_kwh=self._energy(version.run),
            texts=texts.of(subject.id, subject.registered.id),
            comments=self._comments(subject),
            notes=tuple(self._notes((subject.id, version.run or ""))),
            deprecation=deprecation_of(self._ledger, self._scope.project, subject.id),
            approvals=self._approvals(subject),
            moves=self._moves(subject),
            releases=tuple(self._children(subject.id, ReleasePlan)),
            windows=tuple(self._windows(subject.id)),
            baseline=self._baseline(subject.id),
            alerts=tuple(self._alerts(subject.id)),
        )

    # ------------------------------------------------------------------ origin

    def _verdict(self, identifier: str | None) -> GateVerdict | None:
        entry = self._known(identifier)
        return None if entry is None else read(entry, GateVerdict)

    def _judged_again(self, model: ModelVersion | None) -> GateVerdict | None:
        if model is None:
            return None
        newest = newest_verdict(self._ledger, self._scope.project, model)
        return None if newest == model.verdict else self._verdict(newest)

    def _override(self, model: ModelVersion | None) -> GateOverride | None:
        entry = self._known(model.override if model else None)
        return None if entry is None else read(entry, GateOverride)

    def _started(self, run: str | None) -> RunStarted | None:
        entry = self._known(run)
        is_ours = entry is not None and entry.kind == RunStarted.KIND
        return read(entry, RunStarted) if is_ours else None

    def _ended(self, run: str | None) -> RunFinished | None:
        found = self._ledger.find(RunFinished.KIND, parent=run, limit=1).entries if run else ()
        return read(found[0], RunFinished) if found and found[0].payload is not None else None

    def _observed(self, run: str | None) -> RunObserved | None:
        found = self._ledger.find(RunObserved.KIND, parent=run, limit=1).entries if run else ()
        return read(found[0], RunObserved) if found and found[0].payload is not None else None

    def _reported(self, run: str | None) -> dict[str, Any]:
        for document in self._stores.catalog.get(RUNS, [run] if run else []):
            return dict(document.attributes)
        return {}

    def _inputs(self, run: str | None) -> tuple[Input, ...]:
        for document in self._stores.catalog.get(RUNS, [run] if run else []):
            return msgspec.convert(document.notes.get("inputs", []), tuple[Input, ...])
        return ()

    def _data(self, identifier: str) -> DataUsed:
        commit = read(self._ledger.get(identifier), DataCommit)
        profiles = {name: self._json(digest) for name, digest in commit.profiles.items()}
        return DataUsed(id=identifier, commit=commit, profiles=profiles)

    def _json(self, digest: str) -> dict[str, Any]:
        try:
            with self._stores.blobs.open(digest) as stream:
                return msgspec.json.decode(stream.read(), type=dict[str, Any])
        except (TrivetError, msgspec.DecodeError):
            return {}  # a profile that is gone is a gap, not the end of the card

    def _brief(self, run: RunStarted | None) -> dict[str, Any]:
        """Return the brief as it stood in the sources of the run; what nobody filled in is none."""
        if run is None:
            return {}
        try:
            text = load_file(self._stores.blobs, run.code.tree, _BRIEF).decode()
            return _filled_in(tomllib.loads(text))
        except (TrivetError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            return {}

    def _energy(self, run: str | None) -> dict[str, float]:
        if not run:
            return {}
        series = self._stores.series.summaries(run)
        return {
            name.removeprefix("system/"): summary.latest.value
            for name, summary in sorted(series.items())
            if name.startswith(_ENERGY)
        }

    # ------------------------------------------------------- people, and later

    def _comments(self, subject: Subject) -> tuple[Comment, ...]:
        comments = Comments(self._stores, self._scope)
        found = (*comments.about(subject.registered.id), *comments.about(subject.id))
        return tuple(comment for comment in found if not comment.is_withdrawn)

    def _notes(self, subjects: Iterable[str]) -> Iterator[tuple[str, Note]]:
        for subject in filter(None, subjects):
            for entry in self._find(Note.KIND, "subject", subject):
                yield f"{entry.actor}, {entry.time:%Y-%m-%d}", read(entry, Note)

    def _approvals(self, subject: Subject) -> tuple[Approval, ...]:
        found = Approvals(self._stores, self._scope).requests()
        return tuple(each for each in reversed(found) if each.requested.model == subject.id)

    def _moves(self, subject: Subject) -> tuple[Event, ...]:
        events = Chronicle(self._ledger, self._scope.project).of(subject)
        wanted = {"alias", "stage", "forced"}
        return tuple(event for event in reversed(events) if event.what in wanted)

    def _children(self, parent: str, kind: type[ReleasePlan]) -> Iterator[tuple[str, ReleasePlan]]:
        page = self._ledger.find(kind.KIND, parent=parent, limit=1000, newest_first=False)
        for entry in page.entries:
            if entry.payload is not None:
                yield f"{entry.actor}, {entry.time:%Y-%m-%d}", read(entry, kind)

    def _windows(self, model: str) -> Iterator[WindowClosed]:
        for endpoint in self._endpoints(model):
            for entry in self._find(WindowClosed.KIND, "endpoint", endpoint):
                window = read(entry, WindowClosed)
                if window.model == model:
                    yield window

    def _alerts(self, model: str) -> Iterator[Alert]:
        for endpoint in self._endpoints(model):
            for entry in self._find(Alert.KIND, "endpoint", endpoint):
                alert = read(entry, Alert)
                if alert.model == model:
                    yield alert

    def _endpoints(self, model: str) -> list[str]:
        return sorted({plan.endpoint for _, plan in self._children(model, ReleasePlan)})

    def _baseline(self, model: str) -> Baseline | None:
        found = self._ledger.find(Baseline.KIND, where={"model": model}, limit=1).entries
        return read(found[0], Baseline) if found and found[0].payload is not None else None

    def _known(self, identifier: str | None) -> Entry | None:
        entry = None if identifier is None else self._ledger.get(identifier)
        is_known = entry is not None and entry.payload is not None
        return entry if is_known else None

    def _find(self, kind: str, field: str, value: str) -> Iterator[Entry]:
        found = find_all(self._ledger, kind, where={field: value}, project=self._scope.project)
        return (entry for entry in found if entry.payload is not None)


def _filled_in(brief: Mapping[str, Any]) -> dict[str, Any]:
    """Return what people changed in the brief that a new project begins with."""
    template = (files("trivet.templates") / "tabular" / _BRIEF).read_text("utf-8")
    return {
        key: value
        for key, value in brief.items()
        if not (isinstance(value, str) and f'"{value}"' in template and " " in value)
    }
