"""How facts are called in a lineage: the one place that knows a label for each kind."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from trivet.core.facts import Entry, Fact, read
from trivet.data.facts import DataCommit
from trivet.models.facts import GateOverride, GateVerdict, LoggedVersion, ModelVersion
from trivet.monitoring.facts import Alert, WindowClosed
from trivet.pipelines.facts import AssetVersion
from trivet.releases.facts import ReleasePlan
from trivet.tracking.facts import RunFinished, RunStarted
from trivet.tracking.reporting.facts import RunOpened
from trivet.tracking.reporting.logged_facts import LoggedModelMade
from trivet.triggers.facts import Firing
from trivet.workspace.lineage.graph import Node


class _Words(msgspec.Struct, frozen=True):
    kind: str
    label: str
    detail: str = ""


def node_of(entry: Entry) -> Node:
    """Return the node of a fact; one whose payload was forgotten says so."""
    words = _Words(entry.kind, entry.id)
    if entry.payload is None:
        words = _Words(entry.kind, entry.id, "forgotten")
    elif entry.kind in _LABELS:
        kind, write = _LABELS[entry.kind]
        words = write(read(entry, kind))
    return Node(
        key=entry.id,
        kind=words.kind,
        label=words.label,
        detail=words.detail,
        by=entry.actor,
        time=entry.time,
    )


def _data(fact: DataCommit) -> _Words:
    rows = sum(table.rows for table in fact.tables)
    detail = f"{rows:,} rows" if fact.tables else f"{sum(t.files for t in fact.trees):,} files"
    return _Words("data", fact.dataset, f"{detail} from {fact.source}")


def _run(fact: RunStarted) -> _Words:
    return _Words("run", fact.name, f"flow {fact.code.entry}")


def _opened(fact: RunOpened) -> _Words:
    return _Words("run", fact.name, f"reported by {fact.user}" if fact.user else "reported")


def _logged_model(fact: LoggedModelMade) -> _Words:
    return _Words("logged model", fact.name, fact.type)


def _verdict(fact: GateVerdict) -> _Words:
    said = "passed" if fact.passed else "refused"
    return _Words("verdict", f"gate {fact.gate}", f"{said}, {len(fact.findings)} findings")


def _override(fact: GateOverride) -> _Words:
    return _Words("override", f"gate {fact.gate} overruled", f"by {fact.by}: {fact.reason}")


def _packaged(fact: ModelVersion) -> _Words:
    return _Words("model version", f"{fact.name}:{fact.version}", f"package {fact.package[:15]}…")


def _logged(fact: LoggedVersion) -> _Words:
    return _Words("model version", f"{fact.name}:{fact.version}", f"logged, {fact.source}")


def _release(fact: ReleasePlan) -> _Words:
    detail = f"{fact.stage}: {fact.why}"
    return _Words("release", f"{fact.endpoint} #{fact.generation}", detail)


def _window(fact: WindowClosed) -> _Words:
    return _Words("window", fact.endpoint, f"{fact.predictions:,} predictions")


def _alert(fact: Alert) -> _Words:
    return _Words("alert", fact.endpoint, fact.summary)


def _asset(fact: AssetVersion) -> _Words:
    return _Words("asset", f"{fact.name}@{fact.number}", f"{fact.output.format}")


def _firing(fact: Firing) -> _Words:
    return _Words("trigger", fact.trigger, fact.outcome)


def _ended(fact: RunFinished) -> _Words:
    return _Words("run's end", fact.status)


_LABELS: Final[dict[str, tuple[type[Fact], Callable[[Any], _Words]]]] = {
    DataCommit.KIND: (DataCommit, _data),
    RunStarted.KIND: (RunStarted, _run),
    RunFinished.KIND: (RunFinished, _ended),
    RunOpened.KIND: (RunOpened, _opened),
    LoggedModelMade.KIND: (LoggedModelMade, _logged_model),
    GateVerdict.KIND: (GateVerdict, _verdict),
    GateOverride.KIND: (GateOverride, _override),
    ModelVersion.KIND: (ModelVersion, _packaged),
    LoggedVersion.KIND: (LoggedVersion, _logged),
    ReleasePlan.KIND: (ReleasePlan, _release),
    WindowClosed.KIND: (WindowClosed, _window),
    Alert.KIND: (Alert, _alert),
    AssetVersion.KIND: (AssetVersion, _asset),
    Firing.KIND: (Firing, _firing),
}
TOLD: Final = frozenset(_LABELS) - {RunFinished.KIND, WindowClosed.KIND}
"""Kinds that a lineage shows one by one; a run's end is its run, and windows are counted."""
