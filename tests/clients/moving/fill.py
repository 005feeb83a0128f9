"""Fill a store of MLflow, as its users do: `fill.py URI RUNS`."""

import math
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

os.environ |= {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag, Span

BEGAN = 1_700_000_000_000
IS_THIRD = int(mlflow.__version__.split(".")[0]) >= 3
STATUSES = ("FINISHED", "FAILED", "KILLED", "RUNNING")


def points(number: int, began: int) -> list[Metric]:
    found = [Metric("loss", 1 / (s + 1) + number / 100, began + s, s) for s in range(20)]
    found += [Metric("val/acc", (number * 37 % 100) / 100, began, 0), Metric("same", 0.5, began, 3)]
    odd = {
        0: [("odd", math.nan, began, 1), ("odd", 3.0, began + 5, 0)],
        1: [("odd", math.inf, began, 0), ("odd", -math.inf, began, 0)],
        2: [("odd", 1.0, began, -5), ("odd", 1.0, began, -5), ("odd", 2.0, began + 1, -5)],
    }
    return found + [Metric(*each) for each in odd.get(number % 7, [])]


def add_run(client: MlflowClient, number: int, experiment: str, parent: str) -> str:
    began = BEGAN + number * 1000
    tags = {"group": f"g{number % 5}", "mlflow.user": f"user{number % 3}"}
    name = f"run-{number:04}" if number % 4 else None
    run = client.create_run(experiment, run_name=name, tags=tags, start_time=began).info.run_id
    if number % 6 != 5:  # one that died at once
        parameters = [
            Param("lr", str(10 ** -(number % 4))),
            Param("model", ["tree", "net", "linear"][number % 3]),
            Param("long", "x" * (500 + number)),
            Param("with/slash", "-"),
        ]
        texts = [RunTag("note", "text\nwith lines ' \" ünï"), RunTag("multi word", "a b")]
        client.log_batch(run, points(number, began), parameters, texts)
    if number % 5 == 0 and parent:
        client.set_tag(run, "mlflow.parentRunId", parent)
    if number % 8 == 0:
        frame = pd.DataFrame({"a": [1, 2, number]})
        data = mlflow.data.from_pandas(frame, name=f"data{number % 3}", source="s.csv")
        context = InputTag("mlflow.data.context", "train" if number % 16 else "eval")
        client.log_inputs(run, [DatasetInput(data._to_mlflow_entity(), [context])])
    if number % 3 == 0:
        add_files(client, run, number)
    if STATUSES[number % 4] != "RUNNING":
        client.set_terminated(run, STATUSES[number % 4], end_time=began + 5000)
    if number % 11 == 10:
        client.delete_run(run)
    return run


def add_files(client: MlflowClient, run: str, number: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        model.mkdir()
        (model / "MLmodel").write_text(f"run {number}\n")
        (model / "weights.bin").write_bytes(bytes([number % 256]) * 1000)
        client.log_artifacts(run, scratch)
        note = Path(scratch) / "100% note.txt"
        note.write_text("hello")
        client.log_artifact(run, str(note), "deep/er")


def add_logged_models(client: MlflowClient, experiment: str, runs: list[str]) -> None:
    from mlflow.entities import LoggedModelOutput

    for number in range(4):
        model = client.create_logged_model(
            experiment,
            name=f"lm{number}",
            source_run_id=runs[number],
            tags={"k": f"v{number}"},
            params={"depth": str(number)},
            model_type="agent" if number else None,
        ).model_id
        about = {"dataset_name": "dd", "dataset_digest": "12"} if number % 2 else {}
        client.log_metric(runs[1], "acc", 0.5 + number / 10, step=0, model_id=model, **about)
        if number == 0:
            client.log_metric(runs[2], "acc", 0.9, step=1, model_id=model)
        client.log_outputs(runs[number], [LoggedModelOutput(model, number)])
        client.finalize_logged_model(model, "FAILED" if number == 1 else "READY")
    gone = client.create_logged_model(experiment, name="gone").model_id
    client.finalize_logged_model(gone, "READY")
    client.delete_logged_model(gone)


def add_names(client: MlflowClient, runs: list[str]) -> None:
    client.create_registered_model("forest", tags={"owner": "me"}, description="a\nforest")
    client.create_registered_model("Empty One")
    for number in range(3):
        run = runs[3 * number]
        client.create_model_version(
            "forest",
            f"{client.get_run(run).info.artifact_uri}/model",
            run_id=run,
            tags={"n": str(number)},
            description=f"version {number}",
        )
    client.delete_model_version("forest", "2")
    client.set_registered_model_alias("forest", "champion", "1")
    client.set_registered_model_alias("forest", "next", "3")
    client.transition_model_version_stage("forest", "3", "Production")


def add_traces(client: MlflowClient, experiments: list[str], run: str) -> list[str]:
    """Add traces outside of runs and, by decorated functions, in one."""
    traces = [add_trace(client, number, experiments[number % 2]) for number in range(8)]
    with mlflow.start_run(run_id=run):
        traces.append(answer("in a run"))
        with suppress(ValueError):
            answer("")
    with mlflow.start_span("alone", span_type="TOOL") as span:
        span.set_inputs({"x": [1, 2.5, None, "ünï"]})
        span.set_outputs("y" * 3000)
    return traces


def add_trace(client: MlflowClient, number: int, experiment: str) -> str:
    began = (BEGAN + number * 1000) * 1_000_000
    tags = {"k": f"v{number % 3}", "multi word": "a b"}
    root = client.start_trace(
        f"trace{number % 4}",
        inputs={"question": f"what is {number}?", "long": "x" * (number * 500)},
        attributes={"depth": number},
        tags=tags,
        experiment_id=experiment,
        start_time_ns=began,
    )
    inner = client.start_span(
        "look up",
        trace_of(root),
        parent_id=root.span_id,
        span_type="RETRIEVER",
        inputs=[number],
        start_time_ns=began + 1_000_000,
    )
    found = [{"page_content": "text\nwith lines ' \" ünï"}]
    client.end_span(trace_of(root), inner.span_id, found, end_time_ns=began + 3_000_000)
    status = "ERROR" if number % 3 == 2 else "OK"
    ended = began + (5 + number) * 1_000_000
    client.end_trace(trace_of(root), {"answer": number}, status=status, end_time_ns=ended)
    client.set_trace_tag(trace_of(root), "late", str(number))
    return trace_of(root)


def trace_of(span: Span) -> str:
    return span.trace_id if IS_THIRD else span.request_id


@mlflow.trace(attributes={"by": "decorator"})
def answer(question: str) -> str:
    if not question:
        raise ValueError("no question")
    if IS_THIRD:
        mlflow.update_current_trace(
            tags={"asked": "yes"},
            metadata={"x": "y", "mlflow.trace.user": "ada", "mlflow.trace.session": "s1"},
            client_request_id="request-1",
        )
    found = mlflow.get_current_active_span()
    return trace_of(found)


def add_assessments(traces: list[str]) -> None:
    from mlflow.entities import AssessmentError, AssessmentSource

    ada = AssessmentSource("HUMAN", "ada")
    judge = AssessmentSource("LLM_JUDGE", "judge-1")
    mlflow.log_feedback(trace_id=traces[0], name="good", value=True, source=ada, rationale="it is")
    about = {"metadata": {"cost": "0.1"}, "rationale": "so so"}
    first = mlflow.log_feedback(trace_id=traces[1], name="score", value=0.5, source=judge, **about)
    mlflow.override_feedback(
        trace_id=traces[1],
        assessment_id=first.assessment_id,
        value=0.75,
        source=ada,
        rationale="no: better",
    )
    failed = AssessmentError("RATE_LIMIT", "later", "where\nit was")
    mlflow.log_feedback(trace_id=traces[2], name="score", error=failed, source=judge)
    mlflow.log_feedback(trace_id=traces[3], name="parts", value={"a": [1, "b"]}, source=judge)
    mlflow.log_expectation(trace_id=traces[0], name="right", value="four", source=ada)
    mlflow.log_expectation(trace_id=traces[1], name="facts", value={"a": ["b", 2]}, source=ada)
    gone = mlflow.log_feedback(trace_id=traces[4], name="gone", value=1, source=ada)
    mlflow.delete_assessment(trace_id=traces[4], assessment_id=gone.assessment_id)


def main(uri: str, count: int) -> None:
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient()
    alpha = client.create_experiment("alpha", tags={"team": "vision", "x/y": "1"})
    beta = client.create_experiment("beta ünï 2")
    gone = client.create_experiment("gone")
    runs: list[str] = []
    for number in range(count):
        experiment = "0" if number % 10 == 9 else alpha if number % 3 else beta
        runs.append(add_run(client, number, experiment, runs[0] if runs else ""))
    run = client.create_run(gone).info.run_id
    client.log_metric(run, "m", 1.0)
    client.delete_experiment(gone)
    if IS_THIRD:
        add_logged_models(client, alpha, runs)
    traces = add_traces(client, [alpha, beta], runs[7])
    if IS_THIRD:
        add_assessments(traces)
        with suppress(mlflow.MlflowException):  # folders know no links
            client.link_traces_to_run(traces[:3], runs[1])
            client.link_traces_to_run(traces[1:2], runs[4])
    add_names(client, runs)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
