"""A running server of MLflow that receives runs over its REST interface and its artifact proxy."""

import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from functools import partial
from typing import Any, Final

from trivet.adapters.mlflow.calling import Caller, pages
from trivet.adapters.mlflow.receiving_traces import IMPRINT, SOURCE, TraceReceiving
from trivet.adapters.mlflow.server import API, PROMPTS, PROXY, ServerHoldings, proxied_path
from trivet.adapters.mlflow.wire import RunInfo, RunItem, VersionItem, listed, pairs, read_as
from trivet.core.errors import Conflict, Invalid, NotFound, Unsupported
from trivet.core.moving import (
    HeldExperiment,
    HeldFile,
    HeldInput,
    HeldModel,
    HeldName,
    HeldPoints,
    HeldRun,
    HeldVersion,
    Sent,
)

_PAGE: Final = 1000
_MOST_POINTS: Final = 1000
_MOST_PAIRS: Final = 100
_MOST_PARAMETER: Final = 6000
_MOST_TAG: Final = 8000
_MOST_GAP: Final = 100
_VERSIONS_PAGE: Final = 200
_MODEL_STATUSES: Final = {
    "pending": "LOGGED_MODEL_PENDING",
    "ready": "LOGGED_MODEL_READY",
    "failed": "LOGGED_MODEL_UPLOAD_FAILED",
}

Message = dict[str, Any]


class ServerReceiver:
    """A server that receives runs.

    Args:
        caller: Calls it.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._holdings = ServerHoldings(caller, [])
        self._stages: dict[str, str] = {}
        self._places: dict[str, str] = {}
        self._models: dict[str, dict[str, str]] = {}
        self._waking = threading.Lock()
        self.traces = TraceReceiving(caller, self._wake, self._places)
        # MLflow's server fails when two runs tell it of one new data set at the same moment.
        self._linking = threading.Lock()

    @property
    def name(self) -> str:
        return self._caller.name

    def close(self) -> None:
        self._caller.close()

    # ------------------------------------------------------------------ experiments

    def experiment(self, held: HeldExperiment) -> str:
        found = self.find(held)
        if found is not None:
            return found
        body = {"name": held.name, "tags": listed(held.tags)}
        made = str(self._post("experiments/create", body)["experiment_id"])
        self._stages[made] = "active"
        return made

    def find(self, held: HeldExperiment) -> str | None:
        try:
            found = self._caller.get(
                f"{API}/experiments/get-by-name", {"experiment_name": held.name}
            )["experiment"]
        except NotFound:
            return None
        number = str(found["experiment_id"])
        self._stages[number] = found.get("lifecycle_stage") or "active"
        return number

    def settle(self, experiment: str, held: HeldExperiment) -> None:
        if held.stage != self._stages[experiment]:
            what = "delete" if held.stage == "deleted" else "restore"
            self._post(f"experiments/{what}", {"experiment_id": experiment})
            self._stages[experiment] = held.stage

    def _wake(self, experiment: str) -> None:
        """Make an experiment take something although it is deleted, until it is settled."""
        with self._waking:
            if self._stages[experiment] == "deleted":
                self._post("experiments/restore", {"experiment_id": experiment})
                self._stages[experiment] = "active"

    # ------------------------------------------------------------------------- runs

    def sent(self, experiment: str) -> dict[str, Sent]:
        query = {
            "experiment_ids": [experiment],
            "filter": f"tags.`{SOURCE}` LIKE '%'",
            "run_view_type": "ALL",
            "max_results": _PAGE,
        }
        found: dict[str, Sent] = {}
        for item in pages(partial(self._post, "runs/search"), query, "runs"):
            run = read_as(item, RunItem, self.name)
            tags = pairs(run.data.tags)
            id = self._known(run)
            stage = "deleted" if run.info.lifecycle_stage == "deleted" else "active"
            found[tags[SOURCE]] = Sent(id=id, imprint=tags.get(IMPRINT, ""), stage=stage)
        return found

    def begin(self, experiment: str, held: HeldRun) -> str:
        self._wake(experiment)
        body = {
            "experiment_id": experiment,
            "run_name": held.name,
            "user_id": held.user,
            "start_time": held.began_ms,
            "tags": listed({SOURCE: held.id}),
        }
        made = self._post("runs/create", body)
        return self._known(read_as(made.get("run"), RunItem, self.name))

    def report(self, run: str, held: HeldRun, points: Iterable[HeldPoints], *, again: bool) -> int:
        if again:
            with suppress(Invalid):  # it is not deleted
                self._post("runs/restore", {"run_id": run})
        for batch in _batches(listed(_cut(held.parameters, _MOST_PARAMETER)), _MOST_PAIRS):
            self._post("runs/log-batch", {"run_id": run, "params": batch})
        # Marks of another export, which brought the run here, would hide those of this one.
        tags = {key: held.tags[key] for key in held.tags if key not in {SOURCE, IMPRINT}}
        for batch in _batches(listed(_cut(tags, _MOST_TAG)), _MOST_PAIRS):
            self._post("runs/log-batch", {"run_id": run, "tags": batch})
        count = 0
        for batch in _batches(self._new_points(run, points, again=again), _MOST_POINTS):
            self._post("runs/log-batch", {"run_id": run, "metrics": batch})
            count += len(batch)
        self._link(run, held, again=again)
        return count

    def _new_points(
        self, run: str, points: Iterable[HeldPoints], *, again: bool
    ) -> Iterator[Message]:
        there: dict[str, set[tuple[int, int, str]]] = {}
        for chunk in points:
            if again and chunk.key not in there:
                there[chunk.key] = set(self._rows(run, chunk.key))
            known = there.get(chunk.key, set())
            columns = (chunk.points.steps, chunk.points.times, chunk.points.values)
            for step, time_ms, value in zip(*columns, strict=True):
                if (step, time_ms, repr(value)) not in known:
                    yield _point(chunk.key, value, time_ms, step)

    def _rows(self, run: str, key: str) -> Iterator[tuple[int, int, str]]:
        held = HeldRun(id=run, experiment="", keys=(key,))
        for chunk in self._holdings.points([held]):
            columns = (chunk.points.steps, chunk.points.times, chunk.points.values)
            for step, time_ms, value in zip(*columns, strict=True):
                yield step, time_ms, repr(value)

    def _link(self, run: str, held: HeldRun, *, again: bool) -> None:
        """Tell of a run's data sets and models; a server refuses what it knows already."""
        known = RunItem(info=RunInfo())
        if again:
            known = read_as(self._got_run(run), RunItem, self.name)
        data = {
            (each.dataset.name, each.dataset.digest) for each in known.inputs.dataset_inputs or ()
        }
        read = {each.model_id for each in known.inputs.model_inputs or ()}
        made = {each.model_id for each in known.outputs.model_outputs or ()}
        inputs = [_input(each) for each in held.inputs if (each.name, each.digest) not in data]
        models = [{"model_id": model} for model in held.models_in if model not in read]
        if inputs or models:
            body: Message = {"run_id": run, "datasets": inputs}
            with self._linking:
                self._post("runs/log-inputs", {**body, **({"models": models} if models else {})})
        new = ((model, step) for model, step in held.models_out if model not in made)
        outputs = [{"model_id": model, "step": step} for model, step in new]
        if outputs:
            self._post("runs/outputs", {"run_id": run, "models": outputs})

    def _got_run(self, run: str) -> object:
        return self._caller.get(f"{API}/runs/get", {"run_id": run}).get("run")

    def finish(self, run: str, held: HeldRun, imprint: str) -> None:
        update: Message = {"run_id": run, "status": held.status, "run_name": held.name}
        if held.ended_ms is not None:
            update["end_time"] = held.ended_ms
        self._post("runs/update", update)
        self._post("runs/set-tag", {"run_id": run, "key": IMPRINT, "value": imprint})
        if held.stage == "deleted":
            self._post("runs/delete", {"run_id": run})

    # ------------------------------------------------------------------------ files

    def put(self, owner: str, file: HeldFile) -> bool:
        place = proxied_path(self._places.get(owner, ""))
        if place is None:
            raise Unsupported(
                f"the server keeps files at {self._places.get(owner, 'no address')!r}, and does "
                "not take them",
                code="no-proxy",
                hint="Start it with --artifacts-destination and without --no-serve-artifacts.",
            )
        path = f"{place}/{file.path}"
        if self._size(path) == file.size_bytes:
            return False
        with closing(file.open()) as stream:
            self._caller.put(f"{PROXY}/{path}", stream, file.size_bytes or 0)
        return True

    def _size(self, path: str) -> int | None:
        """Return the size of a file that is there."""
        folder, _, name = path.rpartition("/")
        with suppress(NotFound):
            for item in self._caller.get(PROXY, {"path": folder}).get("files") or ():
                if item.get("path", "").rpartition("/")[2] == name and not item.get("is_dir"):
                    return int(item.get("file_size") or 0)
        return None

    # ----------------------------------------------------------------------- models

    def model(self, experiment: str, held: HeldModel) -> str | None:
        try:
            known = self._known_models(experiment)
        except NotFound:
            return None
        if held.id in known:
            return known[held.id]
        if held.stage == "deleted":
            return known.get(held.id, "")
        body = {
            "experiment_id": experiment,
            "name": held.name,
            "model_type": held.type,
            "source_run_id": held.run,
            "params": listed(_cut(held.parameters, _MOST_PARAMETER)),
            "tags": listed({**_cut(held.tags, _MOST_TAG), SOURCE: held.id}),
        }
        info = self._post("logged-models", body)["model"]["info"]
        model = known[held.id] = str(info["model_id"])
        self._places[model] = info.get("artifact_uri") or ""
        for each in held.measures:
            point = _point(each.key, each.value, each.time_ms, each.step) | {"model_id": model}
            if each.dataset:
                point |= {"dataset_name": each.dataset, "dataset_digest": each.digest}
            self._post("runs/log-batch", {"run_id": each.run, "metrics": [point]})
        if held.status != "pending":
            status = {"model_id": model, "status": _MODEL_STATUSES[held.status]}
            self._caller.post(f"{API}/logged-models/{model}", status, "PATCH")
        return model

    def _known_models(self, experiment: str) -> dict[str, str]:
        if experiment not in self._models:
            # What is under way is kept, too: nothing is asked twice.
            self._caller.post(
                f"{API}/logged-models/search",
                {"experiment_ids": [experiment], "max_results": 1},
            )
            found: dict[str, str] = {}
            for held in self._holdings.models(experiment):
                if SOURCE in held.tags:
                    found[held.tags[SOURCE]] = held.id
                    self._places[held.id] = held.location
            self._models[experiment] = found
        return self._models[experiment]

    # --------------------------------------------------------------------- registry

    def register(self, held: HeldName) -> int:
        body: Message = {"name": held.name, "tags": listed(held.tags)}
        if held.description:
            body["description"] = held.description
        with suppress(Conflict):
            self._post("registered-models/create", body)
        known = {version.version: version for version in self._versions(held)}
        numbers = {
            version.number: self._new_version(held.name, version, _source_of(held, version))
            for version in _unknown(held, known.values())
        }
        for alias, number in held.aliases.items():
            there = numbers.get(number) or self._numbered(known, f"{held.name}/{number}")
            if there:
                body = {"name": held.name, "alias": alias, "version": str(there)}
                self._post("registered-models/alias", body)
        return len(numbers)

    def missing(self, held: HeldName) -> int:
        return len(_unknown(held, self._versions(held)))

    def _versions(self, held: HeldName) -> list[VersionItem]:
        quote = '"' if "'" in held.name else "'"
        where = f"name={quote}{held.name}{quote}"
        if held.tags.get("mlflow.prompt.is_prompt", "").lower() == "true":
            where += f" AND {PROMPTS}"
        query = {"filter": where, "max_results": _VERSIONS_PAGE}
        ask = partial(self._caller.get, f"{API}/model-versions/search")
        return [
            read_as(item, VersionItem, self.name) for item in pages(ask, query, "model_versions")
        ]

    def _numbered(self, known: Mapping[int, VersionItem], source: str) -> int | None:
        for number, version in known.items():
            if pairs(version.tags).get(SOURCE) == source:
                return number
        return None

    def _new_version(self, name: str, held: HeldVersion, source: str) -> int:
        """Make a version with the number that it has here, when that is still to come there."""
        made = self._create(name, held, source)
        for _ in range(_MOST_GAP):
            if made >= held.number:
                break
            # A number of a version that was deleted here: it is used up there as well.
            self._caller.post(
                f"{API}/model-versions/delete", {"name": name, "version": str(made)}, "DELETE"
            )
            made = self._create(name, held, source)
        if held.stage in {"Staging", "Production", "Archived"}:
            body = {
                "name": name,
                "version": str(made),
                "stage": held.stage,
                "archive_existing_versions": False,
            }
            self._post("model-versions/transition-stage", body)
        return made

    def _create(self, name: str, held: HeldVersion, source: str) -> int:
        body: Message = {
            "name": name,
            "source": self._source(held.location),
            "tags": listed({**held.tags, SOURCE: source}),
        }
        for field, value in (
            ("run_id", held.run),
            ("run_link", held.run_link),
            ("description", held.description),
        ):
            if value:
                body[field] = value
        whole, _, rest = str(body["source"]).removeprefix("models:/").partition("/")
        if str(body["source"]).startswith("models:/m-") and not rest:
            body["model_id"] = whole  # the server demands it beside such a source
        answer = self._post("model-versions/create", body)
        return read_as(answer.get("model_version"), VersionItem, self.name).version

    def _source(self, location: str) -> str:
        """Return an address as the server knows it: those of runs begin where its files are."""
        if location.startswith("runs:/"):
            run, _, rest = location.removeprefix("runs:/").partition("/")
            place = self._places.get(run, "").rstrip("/")
            return f"{place}/{rest}" if place else location
        return location

    # ----------------------------------------------------------------------- inside

    def _post(self, call: str, body: Mapping[str, Any]) -> Message:
        return self._caller.post(f"{API}/{call}", body)

    def _known(self, run: RunItem) -> str:
        id = run.info.run_id or run.info.run_uuid
        self._places[id] = run.info.artifact_uri or ""
        return id


def _point(key: str, value: float, time_ms: int, step: int) -> Message:
    return {"key": key, "value": _number(value), "timestamp": time_ms, "step": step}


def _number(value: float) -> float | str:
    """Return a number as JSON has words for it."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _input(held: HeldInput) -> Message:
    dataset = {
        "name": held.name,
        "digest": held.digest,
        "source_type": held.source_type or "unknown",
        "source": held.source or "unknown",
    }
    more = {"schema": held.schema, "profile": held.profile}
    dataset |= {field: value for field, value in more.items() if value is not None}
    return {"dataset": dataset, "tags": listed(held.tags)}


def _cut(values: Mapping[str, str], most: int) -> dict[str, str]:
    return {key: value[:most] for key, value in values.items()}


def _source_of(held: HeldName, version: HeldVersion) -> str:
    return f"{held.name}/{version.number}"


def _unknown(held: HeldName, there: Iterable[VersionItem]) -> list[HeldVersion]:
    """Return the versions that no version of there comes from."""
    sources = {pairs(version.tags).get(SOURCE) for version in there}
    return [version for version in held.versions if _source_of(held, version) not in sources]


def _batches(items: Iterable[Message], size: int) -> Iterator[list[Message]]:
    batch: list[Message] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
