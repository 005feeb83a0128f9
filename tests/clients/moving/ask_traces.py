"""Write down what a client finds of traces: a part of `ask.py`."""

from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Assessment, Span, Trace

IS_THIRD = int(mlflow.__version__.split(".")[0]) >= 3
TRACE_FILTERS = (
    "attributes.status = 'ERROR'",
    "status = 'OK' and timestamp > 1700000002000",
    "attributes.name = 'trace1'",
    "execution_time < 8",
    "tags.k = 'v1'",
    "tags.k != 'v1' and tags.late = '3'",
    "tags.`multi word` = 'a b'",
)
TRACE_FILTERS_3 = (
    "metadata.x = 'y'",
    "metadata.`mlflow.trace.user` = 'ada'",
    "metadata.`mlflow.trace.session` = 's1'",
    "client_request_id = 'request-1'",
)
ASSESSMENT_FILTERS = (
    "feedback.good = 'true'",
    "feedback.score = '0.75'",
    "expectation.right = 'four'",
)
TRACE_ORDERS = (["timestamp DESC"], ["timestamp"], ["execution_time", "timestamp"])
MOVED_TAGS = ("mlflow.artifactLocation", "mlflow.trace.spansLocation")
"""They say where the files of a trace are, and whether its spans are in them."""


def traces(client: MlflowClient, ids: list[str], runs: list[str]) -> dict[str, Any]:
    everything = search_traces(client, ids)
    found: dict[str, Any] = {
        "traces": {id_of(trace): described_trace(trace) for trace in everything}
    }
    for text in (*TRACE_FILTERS, *(TRACE_FILTERS_3 if IS_THIRD else ())):
        found[f"traces where {text}"] = sorted(map(id_of, search_traces(client, ids, text)))
    for order in TRACE_ORDERS:
        found[f"traces by {order}"] = [id_of(t) for t in search_traces(client, ids, order=order)]
    for run in runs:
        text = f"attributes.run_id = '{run}'"
        if belonging := search_traces(client, ids, text):
            found[f"traces of run {run}"] = sorted(map(id_of, belonging))
    return found


def judged_traces(client: MlflowClient, ids: list[str]) -> dict[str, Any]:
    return {
        f"traces where {text}": sorted(map(id_of, search_traces(client, ids, text)))
        for text in ASSESSMENT_FILTERS
    }


def search_traces(
    client: MlflowClient, ids: list[str], text: str = "", order: list[str] | None = None
) -> list[Trace]:
    where = {"locations": ids} if IS_THIRD else {"experiment_ids": ids}
    found: list[Trace] = []
    token = None
    while True:
        page = client.search_traces(
            **where, filter_string=text, order_by=order, max_results=5, page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found


def id_of(trace: Trace) -> str:
    return trace.info.trace_id if IS_THIRD else trace.info.request_id


def described_trace(trace: Trace) -> dict[str, Any]:
    info = trace.info
    found: dict[str, Any] = {
        "experiment": info.experiment_id,
        "state": str(info.status),
        "began": info.timestamp_ms,
        "took": info.execution_time_ms,
        "tags": {key: value for key, value in info.tags.items() if key not in MOVED_TAGS},
        "metadata": info.request_metadata,
        "spans": sorted(map(described_span, trace.data.spans), key=lambda span: span["id"]),
    }
    if IS_THIRD:
        found |= {
            "client id": info.client_request_id,
            "asked": info.request_preview,
            "answered": info.response_preview,
            "assessments": sorted(map(described_assessment, info.assessments), key=str),
        }
    return found


def described_span(span: Span) -> dict[str, Any]:
    return {
        "id": span.span_id,
        "parent": span.parent_id,
        "name": span.name,
        "type": span.span_type,
        "began": span.start_time_ns,
        "ended": span.end_time_ns,
        "inputs": span.inputs,
        "outputs": span.outputs,
        "attributes": span.attributes,
        "status": [str(span.status.status_code), span.status.description],
        "events": [[event.name, event.timestamp, event.attributes] for event in span.events],
    }


def described_assessment(one: Assessment) -> list[Any]:
    failure = one.feedback.error if one.feedback else None
    return [
        *(one.name, one.feedback and one.feedback.value, one.expectation and one.expectation.value),
        *(one.source.source_type, one.source.source_id, one.rationale, one.metadata),
        *(one.span_id, one.valid is not False, one.create_time_ms, one.last_update_time_ms),
        failure and [failure.error_code, failure.error_message, failure.stack_trace],
        bool(one.overrides),
    ]
