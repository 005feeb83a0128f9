"""The plain exchange: rows of named values in, predictions with identifiers out.

`POST /predict/{endpoint}` takes `{"rows": [{"age": 41, "plan": "basic"}]}`. The Open Inference
Protocol beside it (`open_inference`) maps onto the same request.
"""

from datetime import datetime
from typing import Any

import msgspec

from trivet.core.clock import to_micros
from trivet.core.errors import Invalid

MOST_ROWS = 10_000


class PredictRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request for predictions."""

    rows: list[dict[str, Any] | list[Any]]
    """Each row: values by input name, or a list of values in the order of the signature."""
    units: list[str] | None = None
    """Per row: the entity it is about; the same unit always meets the same variant."""
    event_times: list[datetime] | None = None
    """Per row: when the event was, with a time zone."""
    variant: str | None = None
    """`champion` or `candidate`, to test one of them; otherwise the release decides."""


class Answer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One prediction."""

    id: str
    model: str
    probability: float | None = None
    """For `binary`: of the positive class."""
    value: float | None = None
    """For `regression`."""
    class_: str | None = msgspec.field(default=None, name="class")
    probabilities: dict[str, float] | None = None
    """For `multiclass`: of each class."""
    warnings: tuple[str, ...] = ()


class PredictResponse(msgspec.Struct, kw_only=True):
    """The predictions, in the order of the rows."""

    endpoint: str
    release: str
    predictions: list[Answer]


class LabelIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A true value as a client reports it."""

    prediction: str
    value: float | bool | str
    """The target's value, or the class by its name."""
    event_time: datetime | None = None


class LabelsRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """True values for predictions that were answered before."""

    labels: list[LabelIn]


class LabelsResponse(msgspec.Struct, kw_only=True):
    """How many labels are on disk now, and which predictions nobody knows."""

    accepted: int
    unknown: list[str] = []
    """Identifiers that are in no log: mistyped, or dropped in mode `monitor`."""


_decode_predict = msgspec.json.Decoder(PredictRequest).decode
_decode_labels = msgspec.json.Decoder(LabelsRequest).decode


def read_predict(body: bytes) -> PredictRequest:
    """Decode a request for predictions.

    Raises:
        Invalid: The body is no such request, has no rows, or too many of them.
    """
    try:
        request = _decode_predict(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _no_request(error, '{"rows": [{"name": value, ...}]}') from error
    rows = len(request.rows)
    if not 1 <= rows <= MOST_ROWS:
        raise Invalid(
            f"rows is a list of {rows}; expected 1 to {MOST_ROWS} rows",
            code="bad-rows",
            hint="Split the request; for whole files use `trivet score`.",
        )
    for name, given in (("units", request.units), ("event_times", request.event_times)):
        if given is not None and len(given) != rows:
            raise Invalid(
                f"{name} is a list of {len(given)}; expected one entry for each of {rows} rows",
                code="bad-rows",
            )
    return request


def read_labels(body: bytes) -> LabelsRequest:
    """Decode a report of true values.

    Raises:
        Invalid: The body is no such report.
    """
    try:
        return _decode_labels(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _no_request(error, '{"labels": [{"prediction": id, "value": 1}]}') from error


def event_micros(request: PredictRequest) -> list[int] | None:
    """Return the rows' event times in microseconds since 1970 (UTC), or None.

    Raises:
        Invalid: A time has no zone.
    """
    if request.event_times is None:
        return None
    for row, instant in enumerate(request.event_times):
        if instant.tzinfo is None:
            raise Invalid(
                f"event_times[{row}] is a datetime without a time zone; expected one with",
                code="naive-time",
                hint="Write 2013-03-01T10:00:00Z, or +01:00 at its end.",
            )
    return [to_micros(instant) for instant in request.event_times]


def _no_request(error: Exception, form: str) -> Invalid:
    return Invalid(
        f"the body cannot be read: {error}", code="bad-body", hint=f"Send JSON such as {form}."
    )
