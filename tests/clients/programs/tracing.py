"""Traces of functions: they arrive, are found, are tagged and deleted, with either generation."""

import time
from contextlib import suppress

import mlflow
from judging import check, fresh, generation, judge, refused, same
from mlflow.tracking import MlflowClient

client = MlflowClient()
PATIENCE_S = 30


@mlflow.trace(name="inner", span_type="TOOL", attributes={"kind": "test"})
def inner(x: int) -> int:
    return x * 2


@mlflow.trace
def outer(x: int) -> int:
    return inner(x) + 1


@mlflow.trace
def broken() -> None:
    raise ValueError("on purpose")


def begin() -> str:
    return mlflow.set_experiment(fresh("traces")).experiment_id


def is_whole(trace: object) -> bool:
    """Whether all of a trace has come: the third generation sends it in two halves."""
    halves = generation() < 3 or "mlflow.user" in trace.info.trace_metadata
    return halves and bool(trace.data.spans)


def found(experiment: str, count: int, **asked: object) -> list[object]:
    """The traces of an experiment, as soon as so many are whole: a thread sends them."""
    limit = time.monotonic() + PATIENCE_S
    while True:
        traces = list(client.search_traces([experiment], **asked))
        if sum(map(is_whole, traces)) >= count or time.monotonic() > limit:
            return traces
        time.sleep(0.1)


def id_of(trace: object) -> str:
    return trace.info.trace_id if generation() > 2 else trace.info.request_id


def state_of(trace: object) -> str:
    return str(trace.info.state.value if generation() > 2 else trace.info.status.value)


@check()
def a_trace_arrives_with_its_spans() -> None:
    experiment = begin()
    same(outer(3), 7)
    (trace,) = found(experiment, 1)
    same(state_of(trace), "OK")
    spans = {span.name: span for span in trace.data.spans}
    same(set(spans), {"outer", "inner"})
    same((spans["inner"].inputs, spans["inner"].outputs), ({"x": 3}, 6))
    same(spans["inner"].parent_id, spans["outer"].span_id)
    same((spans["inner"].span_type, spans["inner"].get_attribute("kind")), ("TOOL", "test"))
    same(spans["outer"].parent_id, None)


@check()
def a_trace_is_got_by_its_id() -> None:
    experiment = begin()
    outer(1)
    (trace,) = found(experiment, 1)
    again = client.get_trace(id_of(trace))
    same({span.name for span in again.data.spans}, {"outer", "inner"})
    same(id_of(again), id_of(trace))
    assert again.info.timestamp_ms > 1_600_000_000_000
    assert again.info.execution_time_ms >= 0


@check()
def a_failed_function_leaves_a_trace_that_says_so() -> None:
    experiment = begin()
    with suppress(ValueError):
        broken()
    (trace,) = found(experiment, 1)
    same(state_of(trace), "ERROR")
    (span,) = trace.data.spans
    assert "on purpose" in str([event.attributes for event in span.events])


@check()
def tags_of_a_trace_can_be_changed() -> None:
    experiment = begin()
    outer(1)
    (trace,) = found(experiment, 1)
    client.set_trace_tag(id_of(trace), "a", "1")
    client.set_trace_tag(id_of(trace), "a", "2")
    client.set_trace_tag(id_of(trace), "b", "ü")
    tags = client.get_trace(id_of(trace)).info.tags
    same((tags["a"], tags["b"]), ("2", "ü"))
    client.delete_trace_tag(id_of(trace), "a")
    assert "a" not in client.get_trace(id_of(trace)).info.tags
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.delete_trace_tag(id_of(trace), "a")
    same(len(found(experiment, 1, filter_string="tags.b = 'ü'")), 1)
    same(len(client.search_traces([experiment], filter_string="tags.b = 'x'")), 0)


@check()
def traces_are_found_in_order_and_by_pages() -> None:
    experiment = begin()
    for number in range(5):
        outer(number)
        time.sleep(0.02)
    same(len(found(experiment, 5)), 5)
    newest = client.search_traces([experiment], order_by=["timestamp_ms DESC"])
    times = [trace.info.timestamp_ms for trace in newest]
    same(times, sorted(times, reverse=True))
    ids, token, sizes = [], None, []
    while True:
        page = client.search_traces(
            [experiment], max_results=2, page_token=token, order_by=["timestamp_ms ASC"]
        )
        ids += [id_of(trace) for trace in page]
        sizes.append(len(page))
        token = page.token
        if not token:
            break
    same((ids, sizes), ([id_of(trace) for trace in newest][::-1], [2, 2, 1]))


@check()
def traces_are_found_by_filters() -> None:
    experiment = begin()
    outer(1)
    with suppress(ValueError):
        broken()
    same(len(found(experiment, 2)), 2)
    for text, count in {
        "status = 'OK'": 1,
        "attributes.status = 'ERROR'": 1,
        "timestamp_ms > 0": 2,
        "timestamp_ms < 5": 0,
        "attributes.name = 'broken'": 1,
        "attributes.name LIKE 'out%'": 1,
        "status = 'OK' AND timestamp_ms > 0": 1,
    }.items():
        same((text, len(client.search_traces([experiment], filter_string=text))), (text, count))
    with refused("INVALID_PARAMETER_VALUE"):
        client.search_traces([experiment], filter_string="nothing = 'a'")


@check()
def traces_can_be_deleted() -> None:
    experiment = begin()
    for number in range(4):
        outer(number)
    traces = found(experiment, 4)
    same(client.delete_traces(experiment, **{ids_keyword(): [id_of(traces[0])]}), 1)
    same(len(client.search_traces([experiment])), 3)
    with refused("RESOURCE_DOES_NOT_EXIST|NOT_FOUND|INVALID_PARAMETER_VALUE"):
        missing(id_of(traces[0]))
    later = int(time.time() * 1000) + 10_000
    same(client.delete_traces(experiment, max_timestamp_millis=later, max_traces=2), 2)
    same(client.delete_traces(experiment, max_timestamp_millis=later), 1)
    same(len(client.search_traces([experiment])), 0)


def ids_keyword() -> str:
    return "trace_ids" if generation() > 2 else "request_ids"


def missing(trace: str) -> None:
    client.get_trace(trace)


@check()
def a_trace_belongs_to_its_run() -> None:
    experiment = begin()
    with mlflow.start_run() as run:
        outer(1)
    outer(2)
    same(len(found(experiment, 2)), 2)
    (trace,) = (
        found(experiment, 1, filter_string=f"run_id = '{run.info.run_id}'")
        if generation() > 2
        else [
            each
            for each in found(experiment, 2)
            if each.info.request_metadata.get("mlflow.sourceRun") == run.info.run_id
        ]
    )
    same({span.name for span in trace.data.spans}, {"outer", "inner"})


@check(since=3)
def a_trace_can_be_judged() -> None:
    experiment = begin()
    outer(1)
    (trace,) = found(experiment, 1)
    mlflow.log_feedback(trace_id=id_of(trace), name="good", value=True, rationale="because")
    mlflow.log_expectation(trace_id=id_of(trace), name="wanted", value=3)
    noted = {each.name: each for each in mlflow.get_trace(id_of(trace)).info.assessments}
    same(
        (noted["good"].value, noted["good"].rationale, noted["wanted"].value), (True, "because", 3)
    )


@check(since=3)
def metadata_of_a_trace_are_kept() -> None:
    experiment = begin()

    @mlflow.trace
    def chat() -> str:
        mlflow.update_current_trace(
            tags={"t": "1"}, metadata={"mlflow.trace.session": "s1", "own": "m"}
        )
        return "ok"

    chat()
    (trace,) = found(experiment, 1)
    same((trace.info.tags["t"], trace.info.trace_metadata["own"]), ("1", "m"))
    same(
        len(
            client.search_traces(
                [experiment], filter_string="metadata.`mlflow.trace.session` = 's1'"
            )
        ),
        1,
    )
    same(len(client.search_traces([experiment], filter_string="metadata.own = 'x'")), 0)


if __name__ == "__main__":
    judge()
