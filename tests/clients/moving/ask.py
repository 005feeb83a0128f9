"""Write down what a client finds in a store: `ask.py URI FILE`."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ |= {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}

import mlflow
from ask_traces import judged_traces, traces
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

IS_THIRD = int(mlflow.__version__.split(".")[0]) >= 3
EXPERIMENT_FILTERS = (
    "name = 'alpha'",
    "name LIKE '%a%'",
    "tags.team = 'vision'",
    "name ILIKE 'B%'",
)
FILTERS = (
    "metrics.loss < 0.2",
    "metrics.loss >= 0.15 and params.model = 'tree'",
    "metrics.`val/acc` > 0.5",
    "metrics.odd > 1",
    "metrics.odd = 2",
    "metrics.odd < 100",
    "metrics.odd != 1",
    "metrics.same = 0.5",
    "metrics.nothing > 0",
    "params.lr != '1'",
    "params.model LIKE 'n%'",
    "params.model ILIKE 'N%'",
    "params.long LIKE '%xxxx'",
    "params.`with/slash` = '-'",
    "params.nothing = 'x'",
    "tags.group = 'g2'",
    "tags.`multi word` = 'a b'",
    "tags.note LIKE 'text%'",
    "tags.`mlflow.parentRunId` LIKE '%'",
    "attributes.status = 'FAILED'",
    "status != 'FINISHED'",
    "run_name LIKE 'run-00%'",
    "run_name ILIKE 'RUN%1'",
    "user_id = 'user1'",
    "start_time > 1700000010000",
    "end_time < 1700000020000",
    "dataset.name = 'data1'",
    "datasets.context = 'train'",
    "dataset.name LIKE 'data%' and metrics.loss < 10",
)
ORDERS = (
    ["metrics.loss ASC", "start_time"],
    ["metrics.loss DESC", "start_time ASC"],
    ["metrics.odd ASC", "start_time"],
    ["metrics.odd DESC", "start_time DESC"],
    ["params.model", "metrics.`val/acc` DESC", "start_time"],
    ["tags.group DESC", "start_time ASC"],
    ["status", "start_time DESC"],
    ["end_time DESC", "start_time"],
    ["metrics.nothing", "start_time"],
)
MODEL_FILTERS = (
    "metrics.acc > 0.55",
    "metrics.acc = 0.9",
    "params.depth = '1'",
    "name = 'lm0'",
    "tags.k LIKE 'v%'",
)
VERSION_FILTERS = ("name = 'forest'", "tags.n = '2'", "version_number > 1")


def main(uri: str, place: str) -> None:
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient()
    ids = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]
    runs = search(client, ids, view=ViewType.ALL)
    found: dict[str, Any] = {
        **experiments(client),
        "runs": {run.info.run_id: described(run) for run in runs},
        **searches(client, ids),
        **histories(client, runs),
        **files(client, runs),
        **registry(client),
        **(logged_models(client, ids) if IS_THIRD else {}),
        **traces(client, ids, [run.info.run_id for run in runs]),
        **(judged_traces(client, ids) if IS_THIRD and "://" in uri else {}),  # no folders
    }
    Path(place).write_text(json.dumps(found, default=str))


def experiments(client: MlflowClient) -> dict[str, Any]:
    everything = client.search_experiments(view_type=ViewType.ALL)
    found: dict[str, Any] = {
        "experiments": sorted(
            [
                *(e.name, e.experiment_id, e.lifecycle_stage, e.tags),
                *(e.creation_time, e.last_update_time),
            ]
            for e in everything
        )
    }
    for text in EXPERIMENT_FILTERS:
        page = client.search_experiments(filter_string=text, order_by=["name"])
        found[f"experiments where {text}"] = [e.name for e in page]
    return found


def search(
    client: MlflowClient,
    ids: list[str],
    text: str = "",
    view: int = ViewType.ACTIVE_ONLY,
    order: list[str] | None = None,
    page_size: int = 1000,
) -> list[Run]:
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            ids, text, run_view_type=view, order_by=order, max_results=page_size, page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found


def described(run: Run) -> dict[str, Any]:
    info, data = run.info, run.data
    inputs = run.inputs.dataset_inputs if run.inputs else []
    outputs = run.outputs.model_outputs if IS_THIRD and run.outputs else []
    return {
        "experiment": info.experiment_id,
        "name": info.run_name,
        "status": info.status,
        "stage": info.lifecycle_stage,
        "began": info.start_time,
        "ended": info.end_time,
        "user": info.user_id,
        "metrics": {key: repr(value) for key, value in sorted(data.metrics.items())},
        "params": data.params,
        "tags": data.tags,
        "inputs": sorted(
            [
                *(each.dataset.name, each.dataset.digest, each.dataset.source_type),
                *(each.dataset.source, each.dataset.schema, each.dataset.profile),
                sorted([tag.key, tag.value] for tag in each.tags),
            ]
            for each in inputs
        ),
        "outputs": sorted([each.model_id, each.step] for each in outputs),
    }


def searches(client: MlflowClient, ids: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in FILTERS:
        for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL):
            runs = search(client, ids, text, view)
            found[f"where {text} in view {view}"] = sorted(run.info.run_id for run in runs)
    for order in ORDERS:
        for text in ("", "metrics.loss < 0.3"):
            runs = search(client, ids, text, order=order, page_size=7)
            found[f"where {text!r} by {order}"] = [run.info.run_id for run in runs]
    return found


def histories(client: MlflowClient, runs: list[Run]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for run in runs:
        id = run.info.run_id
        for key in run.data.metrics:
            points = client.get_metric_history(id, key)
            rows = {(point.timestamp, point.step, repr(point.value)) for point in points}
            found[f"history of {key} of {id}"] = sorted(rows)
    return found


def files(client: MlflowClient, runs: list[Run]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for run in runs:
        id = run.info.run_id
        listed = sorted(walk(client, id))
        found[f"files of {id}"] = listed
        if listed:
            found[f"content of {id}"] = downloaded(run_id=id, artifact_path="")
    return found


def walk(client: MlflowClient, run: str, folder: str | None = None) -> Iterator[list[Any]]:
    for item in client.list_artifacts(run, folder):
        if item.is_dir:
            yield from walk(client, run, item.path)
        else:
            yield [item.path, item.file_size]


def downloaded(**what: str) -> list[list[str]]:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(mlflow.artifacts.download_artifacts(**what, dst_path=scratch))
        return sorted(
            [path.relative_to(root).as_posix(), path.read_bytes().hex()[:80]]
            for path in root.rglob("*")
            if path.is_file() and path.name != "registered_model_meta"
        )


def registry(client: MlflowClient) -> dict[str, Any]:
    versions = client.search_model_versions()
    found: dict[str, Any] = {
        "names": [
            [
                *(m.name, m.description or "", m.tags),
                *(m.creation_timestamp, m.last_updated_timestamp),
                {alias: str(number) for alias, number in m.aliases.items()},
            ]
            for m in client.search_registered_models()
        ],
        "versions": sorted(
            [
                *(v.name, int(v.version), v.description, v.tags, v.current_stage, v.run_id),
                *(v.creation_timestamp, v.last_updated_timestamp, v.user_id or ""),
            ]
            for v in versions
        ),
    }
    for text in VERSION_FILTERS:
        page = client.search_model_versions(text)
        found[f"versions where {text}"] = sorted([v.name, int(v.version)] for v in page)
    for version in versions:
        label = f"{version.name}/{version.version}"
        found[f"content of {label}"] = downloaded(artifact_uri=f"models:/{label}")
    for alias in ("champion", "next"):
        found[f"@{alias}"] = str(client.get_model_version_by_alias("forest", alias).version)
    return found


def logged_models(client: MlflowClient, ids: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "logged models": sorted(
            [
                *(m.model_id, m.experiment_id, m.name, m.model_type or "", str(m.status)),
                *(m.source_run_id, m.creation_timestamp, m.last_updated_timestamp),
                *(m.params, m.tags),
            ]
            for m in client.search_logged_models(ids)
        )
    }
    for text in MODEL_FILTERS:
        page = client.search_logged_models(ids, filter_string=text)
        found[f"logged models where {text}"] = sorted(m.name for m in page)
    return found


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
