"""Why a prediction is what it is: its release, model, verdict, run, data, code and environment."""

from typing import Any

import msgspec

from trivet.core.clock import from_micros
from trivet.core.facts import Entry, read
from trivet.core.ports import Ledger
from trivet.data.facts import DataCommit
from trivet.models.facts import GateVerdict, ModelVersion
from trivet.releases.facts import ReleasePlan
from trivet.serving.facts import Label, Prediction
from trivet.serving.records import output_values
from trivet.tracking.facts import CodeState, Environment, RunFinished, RunStarted


class DataLink(msgspec.Struct, frozen=True, kw_only=True):
    """A data version in the chain."""

    id: str
    commit: DataCommit


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The whole chain behind one prediction. Nothing in it is computed: all of it is on record."""

    prediction: Prediction
    inputs: dict[str, Any]
    output: tuple[float, ...]
    answered: str
    label: Label | None
    release_id: str
    release: ReleasePlan
    released_by: str
    model_id: str
    model: ModelVersion
    verdict: GateVerdict
    run_id: str
    run: RunStarted
    finished: RunFinished
    data: tuple[DataLink, ...]
    code: CodeState
    environment: Environment


def explain(ledger: Ledger, prediction: Prediction, label: Label | None) -> Why:
    """Follow a prediction through the ledger to the data and code that made it.

    Raises:
        NotFound: A fact of the chain is missing or was forgotten.
        Corrupt: A fact does not decode.
    """
    release_entry = ledger.get(prediction.release)
    release = read(release_entry, ReleasePlan)
    variant = release.variant(prediction.variant)
    model_id = variant.model if variant else ""
    model = read(ledger.get(model_id), ModelVersion)
    run_entry = ledger.get(model.run)
    run = read(run_entry, RunStarted)
    finished = _finished(ledger, model.run)
    data = tuple(_data(ledger.get(id)) for id in model.data)  # the field's own name
    names = [item.name for item in model.signature.inputs]
    return Why(
        prediction=prediction,
        inputs=dict(zip(names, prediction.inputs, strict=False)),
        output=output_values(prediction.output),
        answered=from_micros(prediction.time_us).isoformat(),
        label=label,
        release_id=prediction.release,
        release=release,
        released_by=release_entry.actor if release_entry else "",
        model_id=model_id,
        model=model,
        verdict=read(ledger.get(model.verdict), GateVerdict),
        run_id=model.run,
        run=run,
        finished=finished,
        data=data,
        code=run.code,
        environment=run.environment,
    )


def _finished(ledger: Ledger, run: str) -> RunFinished:
    found = ledger.find(RunFinished.KIND, where={"run": run}, limit=1).entries
    return read(found[0] if found else None, RunFinished)


def _data(entry: Entry | None) -> DataLink:
    commit = read(entry, DataCommit)
    return DataLink(id=entry.id if entry else "", commit=commit)
