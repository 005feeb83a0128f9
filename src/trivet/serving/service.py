"""The serving service: predictions and labels in the log, why and replay."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from trivet.core.clock import Clock, to_micros
from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Scope, read
from trivet.core.ids import check_id, time_of
from trivet.core.ports import Stores
from trivet.models.facts import Model, ModelVersion, Signature
from trivet.serving.answering import recompute
from trivet.serving.exchange import LabelIn, LabelsResponse
from trivet.serving.facts import LABELS, PREDICTIONS, Label, Prediction
from trivet.serving.known import KnownPredictions
from trivet.serving.lineage import Why, explain
from trivet.serving.predictor import LoadedModel
from trivet.serving.records import (
    decode_label,
    decode_prediction,
    encode_record,
    holds_id,
    output_values,
)


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction run again from its package, and whether every bit is the same."""

    prediction: str
    model: str
    package: str
    equal: bool
    recorded: tuple[float, ...]
    recomputed: tuple[float, ...]


class ServingService:
    """What was predicted in a project, and what turned out to be true."""

    def __init__(self, stores: Stores, scope: Scope, clock: Clock) -> None:
        self._stores = stores
        self._scope = scope
        self._clock = clock
        self._known = KnownPredictions(stores.log)
        self._signatures: dict[str, Signature] = {}

    def predictions(
        self, endpoint: str | None = None, *, since: datetime | None = None
    ) -> Iterator[Prediction]:
        """Yield logged predictions, shadows included, in the order of each process's log.

        Args:
            endpoint: Only those of this endpoint.
            since: Only those answered at or after this instant (this machine's time).
        """
        first_us = 0 if since is None else to_micros(since)
        for _, record in self._stores.log.read(PREDICTIONS, first_ms=first_us // 1000 or None):
            found = decode_prediction(record)
            if found.time_us >= first_us and endpoint in {None, found.endpoint}:
                yield found

    def prediction(self, prediction_id: str) -> Prediction:
        """Return one prediction.

        Raises:
            NotFound: The log holds none of this identifier.
        """
        check_id(prediction_id, "prediction")
        # The identifier holds the time it was made in; only segments that were open then matter.
        first_ms = max(time_of(prediction_id) - 1000, 0)
        for _, record in self._stores.log.read(PREDICTIONS, first_ms=first_ms):
            if holds_id(record, prediction_id):
                return decode_prediction(record)
        raise NotFound(
            f"no prediction {prediction_id} is in the log",
            code="no-prediction",
            hint="Copy the identifier from the answer. In mode `monitor` a record can be dropped.",
        )

    def label(self, labels: Sequence[LabelIn], *, source: str = "") -> LabelsResponse:
        """Store true values durably; the newest of a prediction counts.

        A label of a prediction that is in no log is not stored, and named in the answer.

        Raises:
            Invalid: A label's value does not fit the task of the model it is about. Nothing is
                stored then.
        """
        ids = [check_id(item.prediction, "prediction") for item in labels]
        packages = self._known.packages_of(ids)
        now_us = to_micros(self._clock.now())
        records = [
            encode_record(
                Label(
                    prediction=item.prediction,
                    value=label_value(self._signature(packages[item.prediction]), item.value),
                    arrived_us=now_us,
                    event_us=None if item.event_time is None else to_micros(item.event_time),
                    source=source,
                )
            )
            for item in labels
            if item.prediction in packages
        ]
        if records:
            self._stores.log.append(LABELS, records)
        unknown = [identifier for identifier in ids if identifier not in packages]
        return LabelsResponse(accepted=len(records), unknown=unknown)

    def labels(self, *, after: str | None = None) -> Iterator[tuple[str, Label]]:
        """Yield (position, label) in the order they arrived, from a position on."""
        for position, record in self._stores.log.read(LABELS, after=after):
            yield position, decode_label(record)

    def label_of(self, prediction_id: str) -> Label | None:
        """Return the newest label of a prediction, or None while the truth is not known."""
        newest: Label | None = None
        first_ms = max(time_of(prediction_id) - 1000, 0)
        for _, record in self._stores.log.read(LABELS, first_ms=first_ms):
            if holds_id(record, prediction_id):
                label = decode_label(record)
                if newest is None or label.arrived_us >= newest.arrived_us:
                    newest = label
        return newest

    def why(self, prediction_id: str) -> Why:
        """Say why a prediction is what it is, down to data, code and environment.

        Raises:
            NotFound: The prediction, or a fact of its chain, does not exist.
        """
        prediction = self.prediction(prediction_id)
        return explain(self._stores.ledger, prediction, self.label_of(prediction_id))

    def replay(self, prediction_id: str) -> Replay:
        """Run a prediction again from its package and compare bit for bit.

        Raises:
            NotFound: The prediction or its model does not exist.
            Corrupt: The package is not as it was recorded.
        """
        prediction = self.prediction(prediction_id)
        why = explain(self._stores.ledger, prediction, None)
        model = LoadedModel(self._stores.blobs, Model(id=why.model_id, version=why.model))
        again = recompute(model, prediction.inputs)
        return Replay(
            prediction=prediction_id,
            model=model.label,
            package=prediction.package,
            equal=again == prediction.output,
            recorded=output_values(prediction.output),
            recomputed=output_values(again),
        )

    def _signature(self, package: str) -> Signature:
        found = self._signatures.get(package)
        if found is None:
            entries = self._stores.ledger.find(
                ModelVersion.KIND, where={"package": package}, limit=1
            ).entries
            found = read(entries[0] if entries else None, ModelVersion).signature
            self._signatures[package] = found
        return found


def label_value(signature: Signature, value: float | bool | str) -> float:  # noqa: FBT001  # a label
    """Return a true value as records hold it: a class's number, or the target's value.

    A number that names a class means that class: where classes are called 3 to 8, a 5 is the
    class called 5. Only where no class is called so, it counts the classes from 0.

    Raises:
        Invalid: It is no class of the model (`binary`, `multiclass`), or no finite number
            (`regression`).
    """
    classes = signature.classes
    if signature.task == "regression":
        number = _number(value)
        if math.isfinite(number):
            return number
    elif _class_name(value) in classes:
        return float(classes.index(_class_name(value)))
    elif not isinstance(value, str) and value in range(len(classes)):
        return float(value)
    expected = "a finite number"
    if classes:
        expected = f"one of {', '.join(classes[:20])}, or its number from 0"
    raise Invalid(
        f"the value of a label is a {type(value).__name__} that the model cannot have answered; "
        f"expected {expected}",
        code="bad-label",
        hint="Send the class as the model names it.",
    )


def _number(value: float | bool | str) -> float:  # noqa: FBT001  # a label
    try:
        return float(value)  # a file of labels holds text
    except ValueError:
        return math.nan


def _class_name(value: float | bool | str) -> str:  # noqa: FBT001  # a label
    """Write a value as classes are named: true, 3, 2.5."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
