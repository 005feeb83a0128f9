"""A running server of MLflow, 2 or 3, as holdings: what its REST interface and its proxy tell."""

import os
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from trivet.adapters.mlflow.artifacts import PROXIED, LocalArtifacts
from trivet.adapters.mlflow.calling import Caller, pages, side_by_side
from trivet.adapters.mlflow.trace_server import TraceServer
from trivet.adapters.mlflow.wire import (
    ExperimentItem,
    FileItem,
    InputItem,
    ModelItem,
    NameItem,
    PointItem,
    RunItem,
    VersionItem,
    pairs,
    read_as,
)
from trivet.core.errors import Invalid, NotFound
from trivet.core.moving import (
    HeldExperiment,
    HeldFile,
    HeldInput,
    HeldMeasure,
    HeldModel,
    HeldName,
    HeldPoints,
    HeldRun,
    HeldStage,
    HeldStatus,
    HeldTrace,
    HeldVersion,
)
from trivet.core.points import Points

API: Final = "/api/2.0/mlflow"
_AJAX: Final = "/ajax-api/2.0/mlflow"
PROXY: Final = "/api/2.0/mlflow-artifacts/artifacts"
_PAGE: Final = 200
_MODELS_PAGE: Final = 50
_NAMES_PAGE: Final = 100
_RUNS_AT_ONCE: Final = 50
_MOST_BULK: Final = 25_000
_MOST_DEPTH: Final = 100
_STATUSES: Final[Mapping[str, HeldStatus]] = {
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
}
PROMPTS: Final = "tags.`mlflow.prompt.is_prompt` = 'true'"
_UNDER_WAY: Final = ("RUNNING", "SCHEDULED")
_OURS: Final = re.compile(r"https?://[^/]+(?:/.*)?/api/2\.0/mlflow-artifacts/artifacts/(.+)")

Query = Mapping[str, Any]
T = TypeVar("T")


class ServerHoldings:
    """What a server of MLflow holds.

    Args:
        caller: Calls it.
        roots: Folders below which artifacts may be read that the server does not hand out.
    """

    def __init__(self, caller: Caller, roots: Sequence[Path]) -> None:
        self._caller = caller
        self._local = LocalArtifacts(roots)
        self._has_bulk = True
        self._traces = TraceServer(caller, self.files, self._run_names)
        self.problems: list[str] = []

    @property
    def name(self) -> str:
        return self._caller.name

    def close(self) -> None:
        self._caller.close()

    # ------------------------------------------------------------- experiments, runs

    def experiments(self) -> Iterator[HeldExperiment]:
        query = {"view_type": "ALL", "max_results": _PAGE}
        for item in self._posted("experiments/search", query, "experiments", ExperimentItem):
            yield HeldExperiment(
                id=item.experiment_id,
                name=item.name,
                stage=_stage(item.lifecycle_stage),
                made_ms=item.creation_time or 0,
                changed_ms=item.last_update_time or 0,
                location=item.artifact_location or "",
                tags=pairs(item.tags),
            )

    def runs(self, experiment: str) -> Iterator[HeldRun]:
        query = {"experiment_ids": [experiment], "run_view_type": "ALL", "max_results": _PAGE}
        for item in self._posted("runs/search", query, "runs", RunItem):
            yield _run(item, experiment)

    def points(self, runs: Sequence[HeldRun]) -> Iterator[HeldPoints]:
        by_key: dict[str, list[str]] = {}
        for held in runs:
            for key in held.keys:
                by_key.setdefault(key, []).append(held.id)
        asked = (
            partial(self._bulk, key, some)
            for key, ids in by_key.items()
            for some in _batched(ids, _RUNS_AT_ONCE)
        )
        for found in side_by_side(asked):
            yield from found

    def _bulk(self, key: str, runs: list[str]) -> list[HeldPoints]:
        """Ask for a metric of several runs; one by one where there is too much, or no such call."""
        if self._has_bulk and len(runs) > 1:
            try:
                query = {"run_id": runs, "metric_key": key, "max_results": _MOST_BULK}
                answer = self._caller.get(f"{_AJAX}/metrics/get-history-bulk", query)
            except (NotFound, Invalid):
                self._has_bulk = False
            else:
                items = read_as(answer.get("metrics") or [], list[PointItem], self.name)
                if len(items) < _MOST_BULK:
                    return _columns(items, key)
        return [points for run in runs for points in self._history(key, run)]

    def _history(self, key: str, run: str) -> list[HeldPoints]:
        query = {"run_id": run, "metric_key": key, "max_results": _MOST_BULK}
        items = self._got("metrics/get-history", query, "metrics", PointItem)
        return _columns(items, key, run)

    # ----------------------------------------------------------------- logged models

    def models(self, experiment: str) -> Iterator[HeldModel]:
        query = {"experiment_ids": [experiment], "max_results": _MODELS_PAGE}
        try:
            for item in self._posted("logged-models/search", query, "models", ModelItem):
                yield _model(item, experiment)
        except NotFound:
            return  # before 3 there were none

    # --------------------------------------------------------------------- registry

    def names(self) -> Iterator[HeldName]:
        """Yield registered models, and prompts, which servers tell of only when they are asked."""
        met: set[str] = set()
        for more in ("", PROMPTS):
            query = {"max_results": _NAMES_PAGE, **({"filter": more} if more else {})}
            for held in self._names(query, more):
                if held.name not in met:
                    met.add(held.name)
                    yield held

    def _names(self, query: Query, more: str) -> Iterator[HeldName]:
        for item in self._got("registered-models/search", query, "registered_models", NameItem):
            made = item.creation_timestamp or 0
            found = self._versions(item.name, more)
            versions = sorted(found, key=lambda version: version.number)
            yield HeldName(
                name=item.name,
                made_ms=made,
                changed_ms=item.last_updated_timestamp or made,
                description=item.description,
                tags=pairs(item.tags),
                aliases={each.alias: each.version for each in item.aliases or ()},
                versions=tuple(versions),
            )

    def _versions(self, name: str, more: str) -> Iterator[HeldVersion]:
        quote = '"' if "'" in name else "'"
        where = f"name={quote}{name}{quote}" + (f" AND {more}" if more else "")
        query = {"filter": where, "max_results": _PAGE}
        for item in self._got("model-versions/search", query, "model_versions", VersionItem):
            made = item.creation_timestamp or 0
            yield HeldVersion(
                number=item.version,
                source=item.source or "",
                made_ms=made,
                changed_ms=item.last_updated_timestamp or made,
                user=item.user_id or "",
                stage=item.current_stage or "None",
                run=item.run_id or "",
                run_link=item.run_link or "",
                description=item.description,
                tags=pairs(item.tags),
            )

    # ------------------------------------------------------------------------ files

    def files(self, location: str) -> Iterable[HeldFile]:
        path = proxied_path(location)
        if path is None:
            return self._local.files(location)
        return self._below(path, "", 0)

    def _below(self, root: str, folder: str, depth: int) -> Iterator[HeldFile]:
        if depth > _MOST_DEPTH:
            raise Invalid(f"{root} is nested too deeply", code="bad-path")
        place = f"{root}/{folder}".rstrip("/")
        try:
            answer = self._caller.get(PROXY, {"path": place})
        except NotFound:
            return
        for item in read_as(answer.get("files") or [], list[FileItem], self.name):
            name = item.path.rpartition("/")[2]
            if name in {"", ".", ".."}:
                continue
            path = f"{folder}/{name}".lstrip("/")
            if item.is_dir:
                yield from self._below(root, path, depth + 1)
            else:
                yield HeldFile(
                    path=path,
                    size_bytes=item.file_size or 0,  # MLflow leaves out that a file is empty
                    open=partial(self._caller.open, f"{PROXY}/{root}/{path}"),
                    is_near=False,
                )

    # ----------------------------------------------------------------------- traces

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        return self._traces.traces(experiment)

    def trace_files(self, held: HeldTrace) -> Iterable[HeldFile]:
        return self._traces.files(held)

    # ----------------------------------------------------------------------- inside

    def _run_names(self) -> tuple[list[str], list[str]]:
        """Return the identifiers of all experiments and of all runs."""
        homes = [held.id for held in self.experiments()]
        return homes, [held.id for home in homes for held in self.runs(home)]

    def _posted(self, call: str, query: Query, name: str, kind: type[T]) -> Iterator[T]:
        """Yield the items of all pages that a call answers which takes its query as a body."""
        for item in pages(partial(self._caller.post, f"{API}/{call}"), query, name):
            yield read_as(item, kind, self.name)

    def _got(self, call: str, query: Query, name: str, kind: type[T]) -> Iterator[T]:
        """Yield the items of all pages that a call answers which takes its query in the address."""
        for item in pages(lambda asked: self._caller.get(f"{API}/{call}", asked), query, name):
            yield read_as(item, kind, self.name)


def proxied_path(location: str) -> str | None:
    """Return the path below which a server's proxy has somebody's artifacts; None for no proxy."""
    if location.startswith(PROXIED):
        return urlsplit(location).path.strip("/")
    found = _OURS.fullmatch(location)
    return found[1].strip("/") if found else None


def _batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _run(item: RunItem, experiment: str) -> HeldRun:
    info, data = item.info, item.data
    metrics = data.metrics or []
    status = info.status or "FINISHED"
    # A run under way is looked at each time: its newest points alone do not tell of all the others.
    imprint = os.urandom(8).hex() if status in _UNDER_WAY else _imprint(metrics)
    return HeldRun(
        id=info.run_id or info.run_uuid,
        experiment=experiment,
        name=info.run_name or "",
        user=info.user_id or "",
        status=status,
        stage=_stage(info.lifecycle_stage),
        began_ms=info.start_time or 0,
        ended_ms=info.end_time,
        location=info.artifact_uri or "",
        parameters=pairs(data.params),
        tags=pairs(data.tags),
        inputs=tuple(map(_input, item.inputs.dataset_inputs or ())),
        models_in=tuple(each.model_id for each in item.inputs.model_inputs or ()),
        models_out=tuple(
            (each.model_id, each.step or 0) for each in item.outputs.model_outputs or ()
        ),
        keys=tuple(each.key for each in metrics),
        imprint=imprint,
    )


def _imprint(metrics: Iterable[PointItem]) -> str:
    return repr(sorted((each.key, str(each.value), each.step, each.timestamp) for each in metrics))


def _input(item: InputItem) -> HeldInput:
    dataset = item.dataset
    return HeldInput(
        name=dataset.name,
        digest=dataset.digest,
        source_type=dataset.source_type or "",
        source=dataset.source or "",
        schema=dataset.schema,
        profile=dataset.profile,
        tags=pairs(item.tags),
    )


def _model(item: ModelItem, experiment: str) -> HeldModel:
    info, tags = item.info, pairs(item.info.tags)
    return HeldModel(
        id=info.model_id,
        experiment=experiment,
        name=info.name,
        type=info.model_type or "",
        status=_STATUSES.get(str(info.status), "ready"),
        run=info.source_run_id or "",
        user=tags.get("mlflow.user", ""),
        location=info.artifact_uri or "",
        made_ms=info.creation_timestamp_ms or 0,
        changed_ms=info.last_updated_timestamp_ms or 0,
        parameters=pairs(item.data.params),
        tags=tags,
        measures=tuple(map(_measure, item.data.metrics or ())),
    )


def _measure(item: PointItem) -> HeldMeasure:
    return HeldMeasure(
        key=item.key,
        value=item.value or 0.0,
        step=item.step or 0,
        time_ms=item.timestamp or 0,
        run=item.run_id or "",
        dataset=item.dataset_name or "",
        digest=item.dataset_digest or "",
    )


def _columns(items: Iterable[PointItem], key: str, run: str = "") -> list[HeldPoints]:
    found: dict[str, tuple[array[int], array[int], array[float]]] = {}
    for item in items:
        owner = run or item.run_id or ""
        steps, times, values = found.setdefault(owner, (array("q"), array("q"), array("d")))
        steps.append(item.step or 0)
        times.append(item.timestamp or 0)
        values.append(item.value or 0.0)
    return [HeldPoints(owner, key, Points(*held)) for owner, held in found.items()]


def _stage(word: str | None) -> HeldStage:
    return "deleted" if word == "deleted" else "active"
