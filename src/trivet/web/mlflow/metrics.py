"""Calls about metrics: the two that training programs make most often, and their histories."""

from typing import Any, Final

import msgspec

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid
from trivet.tracking.reporting.model_points import Subject
from trivet.tracking.reporting.points import Point
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.paging import read_token, with_token
from trivet.web.mlflow.rendering import Message, PointMessage, point_message
from trivet.web.mlflow.runs import cut_parameter, run_of, tagging

_MOST_POINTS: Final = 1000
_MOST_PAIRS: Final = 100
_MOST_RUNS: Final = 100
_MOST_SAMPLED: Final = 2500
_MOST_BULK: Final = 25_000


def _log_metric(rooms: Rooms, fields: Fields) -> Message:
    run = run_of(fields)
    points = [_point(fields)]
    rooms.runs.active(run)
    rooms.logged_models.prepare(run, points)
    rooms.runs.metrics.log(run, points)
    return {}


def _log_batch(rooms: Rooms, fields: Fields) -> Message:
    run = run_of(fields)
    metrics, params, tags = (fields.messages(name) for name in ("metrics", "params", "tags"))
    _check_sizes(len(metrics), len(params), len(tags))
    points = [_point(item) for item in metrics]
    parameters = _parameters(params)
    report = tagging({item.demanded("key"): item.text("value") for item in tags})
    report = msgspec.structs.replace(report, parameters=parameters)
    chunks = rooms.runs.metrics.checked(run, points)  # nothing is written when anything is wrong
    if any(point.about for point in points):
        rooms.runs.active(run)
        rooms.logged_models.prepare(run, points)
    if report or not points:
        rooms.runs.report(run, report)
    else:
        rooms.runs.active(run)
    if points:
        rooms.runs.metrics.append(chunks)
    return {}


def _history(rooms: Rooms, fields: Fields) -> Message:
    run, key = run_of(fields), fields.demanded("metric_key")
    points = rooms.runs.history(run, key)
    search: list[Any] = ["history", run, key]
    position = read_token(fields.text("page_token"), search)
    if not fields.has("max_results"):
        return {"metrics": list(map(point_message, points))}
    size = fields.integer("max_results")
    if size < 1:
        raise fields.invalid("max_results", size, "expected a positive number")
    start = int(position[0] or 0) if position else 0
    end = min(start + size, len(points))
    shown = {"metrics": list(map(point_message, points[start:end]))}
    return with_token(shown, (float(end),) if end < len(points) else None, search)


def _bulk_interval(rooms: Rooms, fields: Fields) -> Message:
    runs, key = fields.texts("run_ids"), fields.demanded("metric_key")
    if not runs:
        raise fields.missing("run_ids")
    if len(runs) > _MOST_RUNS:
        raise Invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {_MOST_RUNS} run_ids. "
            f"Received {len(runs)} run_ids.",
            code="too-many-runs",
        )
    first = fields.integer("start_step") if fields.has("start_step") else None
    last = fields.integer("end_step") if fields.has("end_step") else None
    if (first is None) != (last is None):
        raise Invalid(
            "If either start step or end step are specified, both must be specified.",
            code="half-interval",
        )
    if first is not None and last is not None and first > last:
        raise Invalid(
            f"end_step must be greater than start_step. Found start_step={first} and "
            f"end_step={last}.",
            code="bad-interval",
        )
    most = fields.integer("max_results", _MOST_SAMPLED)
    if not 1 <= most <= _MOST_SAMPLED:
        raise fields.invalid(
            "max_results", most, f"max_results must be between 1 and {_MOST_SAMPLED}"
        )
    shown: list[PointMessage] = []
    for run in runs:
        points = rooms.runs.sample(run, key, most, first=first, last=last)
        shown += [point_message(point, run) for point in points]
    return {"metrics": shown}


def _bulk(rooms: Rooms, fields: Fields) -> Message:
    runs = _bulk_runs(fields)
    key = fields.text("metric_key")
    if not key:
        raise Invalid(
            "GetMetricHistoryBulk request must specify a metric_key", code="missing-field"
        )
    most = min(fields.integer("max_results", _MOST_BULK), _MOST_BULK)
    shown = [
        point_message(point, run) for run in sorted(runs) for point in rooms.runs.history(run, key)
    ]
    return {"metrics": shown[:most]}


def _bulk_runs(fields: Fields) -> list[str]:
    runs = fields.texts("run_id")
    if not runs:
        raise Invalid(
            "GetMetricHistoryBulk request must specify at least one run_id", code="missing-field"
        )
    if len(runs) > _MOST_RUNS:
        raise Invalid(
            f"GetMetricHistoryBulk request cannot specify more than {_MOST_RUNS} run_ids; received "
            f"{len(runs)}.",
            code="too-many-runs",
        )
    return runs


def _point(fields: Fields) -> Point:
    if not fields.has("timestamp"):
        raise fields.missing("timestamp")
    time_ms = fields.integer("timestamp")
    if time_ms < 0:
        raise fields.invalid("timestamp", time_ms, "expected a time that is not negative")
    key, value, step = fields.demanded("key"), fields.number("value"), fields.integer("step")
    return Point(key, value, time_ms, step, _subject(fields))


def _subject(fields: Fields) -> Subject | None:
    model = fields.text("model_id")
    if not model:
        return None
    return Subject(model, fields.text("dataset_name"), fields.text("dataset_digest"))


def _parameters(items: list[Fields]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in items:
        key = item.demanded("key")
        if key in found:
            raise Invalid(
                f"Duplicate parameter keys have been submitted: {key!r}. Please ensure the request "
                "contains only one param value per param key.",
                code="parameter-twice",
            )
        found[key] = cut_parameter(item.text("value"))
    return found


def _check_sizes(metrics: int, params: int, tags: int) -> None:
    for what, count, most in (
        ("metrics", metrics, _MOST_POINTS),
        ("params", params, _MOST_PAIRS),
        ("tags", tags, _MOST_PAIRS),
        ("metrics, params, and tags", metrics + params + tags, _MOST_POINTS),
    ):
        if count > most:
            raise Invalid(
                f"A batch logging request can contain at most {most} {what}. Got {count} {what}. "
                f"Please split up {what} across multiple requests and try again.",
                code="too-many",
            )


_READ, _WRITE = Permission.READ, Permission.LOG

CALLS: Final = (
    Call("POST", "/runs/log-metric", _WRITE, "Log a point of a metric", _log_metric),
    Call("POST", "/runs/log-batch", _WRITE, "Log metrics, parameters and tags", _log_batch),
    Call("GET", "/metrics/get-history", _READ, "Get all points of a metric", _history),
    Call(
        "GET",
        "/metrics/get-history-bulk-interval",
        _READ,
        "Get evenly spread points of a metric of several runs",
        _bulk_interval,
    ),
    Call("GET", "/metrics/get-history-bulk", _READ, "Get a metric of several runs", _bulk),
)
