"""Filters over traces: names, their other spellings, and what a run means."""

from typing import Any

import pytest

from trivet.core.clock import SystemClock
from trivet.core.errors import Invalid
from trivet.core.facts import Scope
from trivet.core.filtering import parse_filter, parse_order
from trivet.core.ports import Stores
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import Opening, ReportedRuns
from trivet.tracking.traces.facts import TraceReport
from trivet.tracking.traces.searching import trace_grammar
from trivet.tracking.traces.service import Traces

SAID: dict[str, dict[str, Any]] = {
    "tr-a": {
        "began_ms": 1000,
        "duration_ms": 50,
        "state": "succeeded",
        "name": "ask",
        "client_id": "c-1",
        "tags": {"team": "red", "a b": "x"},
        "metadata": {"mlflow.modelId": "m-1", "mlflow.trace.session": "s"},
    },
    "tr-b": {"began_ms": 2000, "duration_ms": 500, "state": "failed", "name": "ask again"},
    "tr-c": {"began_ms": 3000, "state": "running", "name": "Other", "tags": {"team": "blue"}},
    "tr-d": {"began_ms": 4000},
}


@pytest.fixture
def traces(stores: Stores) -> Traces:
    scope = Scope(project="flights", actor="ada")
    experiments = Experiments(stores, scope, SystemClock())
    found = Traces(stores, scope, experiments, Artifacts(stores, scope))
    for trace, said in SAID.items():
        found.put(trace, 0, TraceReport(**said))
    return found


def ids(traces: Traces, text: str = "", order: str = "timestamp") -> str:
    grammar = trace_grammar(traces.most_links)
    by = [parse_order(order, grammar)]
    found = traces.search([0], parse_filter(text, grammar), order=by)[0]
    return "".join(trace.id[3:] for trace in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "abcd"),
        ("request_id = 'tr-a'", "a"),
        ("trace.trace_id IN ('tr-a', 'tr-c')", "ac"),
        ("client_request_id = 'c-1'", "a"),
        ("name = 'ask'", "a"),
        ("name LIKE 'ask%'", "ab"),
        ("attributes.name ILIKE 'o%'", "c"),
        ("name NOT IN ('ask')", "bc"),
        ("status = 'OK'", "a"),
        ("status != 'OK'", "bcd"),
        ("status IN ('ERROR', 'IN_PROGRESS')", "bc"),
        ("trace.status LIKE '%R%'", "bc"),
        ("timestamp >= 2000 AND timestamp_ms < 4000", "bc"),
        ("execution_time_ms > 50", "b"),
        ("end_time <= 1050", "a"),
        ("tags.team = 'red'", "a"),
        ("tag.`a b` = 'x'", "a"),
        ("tags.team IS NULL", "bd"),
        ("metadata.`mlflow.modelId` = 'm-1'", "a"),
        ("request_metadata.mlflow.trace.session LIKE 's'", "a"),
        ("(name = 'ask' OR status = 'ERROR') AND timestamp > 0", "ab"),
        ("experiment_id = 0", "abcd"),
        ("experiment_id = 1", ""),
    ],
)
def test_a_filter_finds_what_it_says(traces: Traces, text: str, expected: str) -> None:
    assert ids(traces, text) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("timestamp_ms DESC", "dcba"),
        ("execution_time", "abdc"),
        ("end_time DESC", "badc"),
        ("name ASC", "cabd"),
        ("status", "bcad"),
        ("tags.team", "cadb"),
        ("request_id DESC", "dcba"),
    ],
)
def test_an_order_puts_what_is_missing_last_and_ties_by_the_newest(
    traces: Traces, order: str, expected: str
) -> None:
    assert ids(traces, order=order) == expected


def test_a_run_means_its_own_and_those_that_traces_are_linked_to(
    traces: Traces, stores: Stores
) -> None:
    scope = Scope(project="flights", actor="ada")
    experiments = Experiments(stores, scope, SystemClock())
    runs = ReportedRuns(stores, scope, experiments, Metrics(stores))
    one, two = (runs.open(Opening()).id for _ in range(2))
    traces.change("tr-a", TraceReport(run=one))
    traces.link(["tr-b"], one)
    traces.link(["tr-b", "tr-c"], two)
    assert ids(traces, f"run_id = '{one}'") == "ab"
    assert ids(traces, f"run_id = '{two}'") == "bc"
    assert ids(traces, f"run_id IN ('{two}', '{one}')") == "abc"
    assert ids(traces, f"run_id != '{two}'") == "a"
    assert ids(traces, f"run_id NOT IN ('{two}')") == "a"


@pytest.mark.parametrize(
    "text",
    [
        "name RLIKE '(a+)+$'",
        "span.name = 'x'",
        "text LIKE '%x%'",
        "nothing = 'x'",
        "timestamp = '5'",
        "name = 5",
        "name = 'a' AND",
        "timestamp IN (1, 2)",
    ],
)
def test_what_cannot_be_answered_is_refused(traces: Traces, text: str) -> None:
    with pytest.raises(Invalid):
        ids(traces, text)
