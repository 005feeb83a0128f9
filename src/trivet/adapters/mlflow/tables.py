"""MLflow's tables, in SQLite or PostgreSQL: rows as holdings.

The columns of versions from 2.0 to 3.17 are known. What a table does not have is left out; what it
has besides is not looked at.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from trivet.adapters.mlflow.artifacts import LocalArtifacts
from trivet.adapters.mlflow.selecting import Database, Row, Tables, marks, text
from trivet.adapters.mlflow.trace_tables import TraceTables
from trivet.core.errors import Unsupported
from trivet.core.moving import (
    HeldExperiment,
    HeldFile,
    HeldInput,
    HeldMeasure,
    HeldModel,
    HeldName,
    HeldPoints,
    HeldRun,
    HeldTrace,
    HeldVersion,
)
from trivet.core.points import Points

_PAGE: Final = 200
_POINTS: Final = 50_000
_DELETED: Final = "Deleted_Internal"
_STATUSES: Final[Mapping[Any, str]] = {0: "pending", 1: "pending", 2: "ready", 3: "failed"}


class TableHoldings:
    """What a database of MLflow holds.

    Args:
        database: Where the tables are.
        roots: Folders below which artifacts may be read.

    Raises:
        Unsupported: The tables of runs are missing, or have other columns than are known.
    """

    def __init__(self, database: Database, roots: Sequence[Path]) -> None:
        self._database = database
        self._artifacts = LocalArtifacts(roots)
        self.problems: list[str] = []
        self._tables = Tables(database, _WANTED)
        self._traces = TraceTables(database, self._artifacts)
        for table, needed in _NEEDED.items():
            missing = needed - self._tables.columns[table]
            if missing:
                what = "table" if missing == needed else "columns"
                raise Unsupported(
                    f"{database.name} has no {what} {table} {', '.join(sorted(missing))}: it is no "
                    "database of MLflow, or of a version that is not known",
                    code="other-schema",
                    hint="Versions 2.0 to 3.17 are known; `mlflow db upgrade` brings older ones "
                    "up. A running server can be imported by its http address.",
                )

    @property
    def name(self) -> str:
        return self._database.name

    def close(self) -> None:
        self._database.close()

    def files(self, location: str) -> Iterable[HeldFile]:
        return self._artifacts.files(location)

    # ------------------------------------------------------------- experiments, runs

    def experiments(self) -> Iterator[HeldExperiment]:
        tags = self._tables.pairs("experiment_tags", "experiment_id")
        for row in self._tables.select("experiments", "1 = 1 ORDER BY experiment_id"):
            yield HeldExperiment(
                id=str(row["experiment_id"]),
                name=text(row["name"]),
                stage=_stage(row["lifecycle_stage"]),
                made_ms=row.get("creation_time") or 0,
                changed_ms=row.get("last_update_time") or 0,
                location=text(row["artifact_location"]),
                tags=tags.get(row["experiment_id"], {}),
            )

    def runs(self, experiment: str) -> Iterator[HeldRun]:
        after = ""
        while True:
            rows = list(
                self._tables.select(
                    "runs",
                    "experiment_id = ? AND run_uuid > ? ORDER BY run_uuid LIMIT ?",
                    (int(experiment), after, _PAGE),
                )
            )
            if not rows:
                return
            after = rows[-1]["run_uuid"]
            yield from self._whole(rows)

    def _whole(self, rows: list[Row]) -> Iterator[HeldRun]:
        runs = [row["run_uuid"] for row in rows]
        params = self._tables.pairs("params", "run_uuid", runs)
        tags = self._tables.pairs("tags", "run_uuid", runs)
        inputs = self._inputs(runs)
        models_in, models_out = self._links(runs)
        counts = self._counts(runs)
        for row in rows:
            run = row["run_uuid"]
            location = text(row["artifact_uri"])
            yield HeldRun(
                id=run,
                experiment=str(row["experiment_id"]),
                name=text(row.get("name")),
                user=text(row["user_id"]),
                status=text(row["status"]),
                stage=_stage(row["lifecycle_stage"]),
                began_ms=row["start_time"] or 0,
                ended_ms=row["end_time"],
                location=location,
                parameters=params.get(run, {}),
                tags=tags.get(run, {}),
                inputs=tuple(inputs.get(run, ())),
                models_in=tuple(models_in.get(run, ())),
                models_out=tuple(models_out.get(run, ())),
                imprint=f"{counts.get(run, 0)};{self._artifacts.imprint(location)}",
            )

    def points(self, runs: Sequence[HeldRun]) -> Iterator[HeldPoints]:
        for start in range(0, len(runs), _PAGE):
            names = [held.id for held in runs[start : start + _PAGE]]
            yield from self._points(names)

    def _points(self, runs: Sequence[str]) -> Iterator[HeldPoints]:
        statement = (
            "SELECT run_uuid, key, step, timestamp, value, is_nan FROM metrics "
            f"WHERE run_uuid IN ({marks(runs)})"
        )
        columns: dict[tuple[str, str], tuple[array[int], array[int], array[float]]] = {}
        count = 0
        for row in self._tables.rows(statement, runs):
            key = row["run_uuid"], text(row["key"])
            held = columns.get(key)
            if held is None:
                held = columns[key] = (array("q"), array("q"), array("d"))
            held[0].append(row["step"] or 0)
            held[1].append(row["timestamp"] or 0)
            held[2].append(float("nan") if row["is_nan"] else row["value"])
            count += 1
            if count >= _POINTS:
                yield from _chunks(columns)
                columns, count = {}, 0
        yield from _chunks(columns)

    def _counts(self, runs: Sequence[str]) -> dict[str, int]:
        statement = (
            "SELECT run_uuid, count(*) AS number FROM metrics "
            f"WHERE run_uuid IN ({marks(runs)}) GROUP BY run_uuid"
        )
        return {row["run_uuid"]: row["number"] for row in self._tables.rows(statement, runs)}

    def _inputs(self, runs: Sequence[str]) -> dict[str, list[HeldInput]]:
        if not (self._tables.columns["inputs"] and self._tables.columns["datasets"]):
            return {}
        statement = (
            "SELECT i.input_uuid, i.destination_id, d.name, d.digest, d.dataset_source_type, "
            "d.dataset_source, d.dataset_schema, d.dataset_profile FROM inputs i "
            "JOIN datasets d ON d.dataset_uuid = i.source_id WHERE i.source_type = 'DATASET' "
            f"AND i.destination_type = 'RUN' AND i.destination_id IN ({marks(runs)}) "
            "ORDER BY i.destination_id, i.input_uuid"
        )
        rows = list(self._tables.rows(statement, runs))
        ids = [row["input_uuid"] for row in rows]
        tags = self._tables.pairs("input_tags", "input_uuid", ids, key="name") if ids else {}
        found: dict[str, list[HeldInput]] = defaultdict(list)
        for row in rows:
            found[row["destination_id"]].append(
                HeldInput(
                    name=text(row["name"]),
                    digest=text(row["digest"]),
                    source_type=text(row["dataset_source_type"]),
                    source=text(row["dataset_source"]),
                    schema=row["dataset_schema"],
                    profile=row["dataset_profile"],
                    tags=tags.get(row["input_uuid"], {}),
                )
            )
        return found

    def _links(
        self, runs: Sequence[str]
    ) -> tuple[dict[str, list[str]], dict[str, list[tuple[str, int]]]]:
        """Return which logged models runs read, and which they made at which step."""
        read: dict[str, list[str]] = defaultdict(list)
        made: dict[str, list[tuple[str, int]]] = defaultdict(list)
        if self._tables.columns["inputs"] >= {"step"}:
            statement = (
                "SELECT source_type, source_id, destination_id, step FROM inputs WHERE "
                f"source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND source_id IN ({marks(runs)}) "
                "ORDER BY source_id, input_uuid"
            )
            for row in self._tables.rows(statement, runs):
                if row["source_type"] == "RUN_INPUT":
                    read[row["source_id"]].append(row["destination_id"])
                else:
                    made[row["source_id"]].append((row["destination_id"], row["step"] or 0))
        return read, made

    # ----------------------------------------------------------------- logged models

    def models(self, experiment: str) -> Iterator[HeldModel]:
        if not self._tables.columns["logged_models"]:
            return
        number = int(experiment)
        rows = list(
            self._tables.select("logged_models", "experiment_id = ? ORDER BY model_id", (number,))
        )
        for row in rows:
            model = row["model_id"]
            location = text(row["artifact_location"])
            tags = self._tables.pairs("logged_model_tags", "model_id", [model], key="tag_key")
            params = self._tables.pairs("logged_model_params", "model_id", [model], key="param_key")
            found = tags.get(model, {})
            yield HeldModel(
                id=model,
                experiment=experiment,
                name=text(row["name"]),
                type=text(row["model_type"]),
                status=_status(row["status"]),
                stage=_stage(row["lifecycle_stage"]),
                run=text(row["source_run_id"]),
                user=found.get("mlflow.user", ""),
                location=location,
                made_ms=row["creation_timestamp_ms"] or 0,
                changed_ms=row["last_updated_timestamp_ms"] or 0,
                parameters=params.get(model, {}),
                tags=found,
                measures=tuple(self._measures(model)),
            )

    def _measures(self, model: str) -> Iterator[HeldMeasure]:
        statement = (
            "SELECT metric_name, metric_timestamp_ms, metric_step, metric_value, run_id, "
            "dataset_name, dataset_digest FROM logged_model_metrics WHERE model_id = ?"
        )
        for row in self._tables.rows(statement, (model,)):
            value = row["metric_value"]
            yield HeldMeasure(
                key=text(row["metric_name"]),
                value=float("nan") if value is None else value,
                step=row["metric_step"] or 0,
                time_ms=row["metric_timestamp_ms"] or 0,
                run=text(row["run_id"]),
                dataset=text(row["dataset_name"]),
                digest=text(row["dataset_digest"]),
            )

    # --------------------------------------------------------------------- registry

    def names(self) -> Iterator[HeldName]:
        if not self._tables.columns["registered_models"]:
            return
        tags = self._tables.pairs("registered_model_tags", "name")
        aliases = self._aliases()
        for row in list(self._tables.select("registered_models", "1 = 1 ORDER BY name")):
            name = row["name"]
            yield HeldName(
                name=text(name),
                made_ms=row["creation_time"] or 0,
                changed_ms=row["last_updated_time"] or row["creation_time"] or 0,
                description=row["description"],
                tags=tags.get(name, {}),
                aliases=aliases.get(name, {}),
                versions=tuple(self._versions(name)),
            )

    def _versions(self, name: str) -> Iterator[HeldVersion]:
        tags: dict[int, dict[str, str]] = defaultdict(dict)
        for row in self._tables.select("model_version_tags", "name = ?", (name,)):
            tags[row["version"]][text(row["key"])] = text(row["value"])
        for row in self._tables.select("model_versions", "name = ? ORDER BY version", (name,)):
            if row["current_stage"] == _DELETED:
                continue
            yield HeldVersion(
                number=row["version"],
                source=text(row["source"]),
                made_ms=row["creation_time"] or 0,
                changed_ms=row["last_updated_time"] or row["creation_time"] or 0,
                user=text(row["user_id"]),
                stage=text(row["current_stage"]) or "None",
                location=text(row.get("storage_location")),
                run=text(row["run_id"]),
                run_link=text(row["run_link"]),
                description=row["description"],
                tags=dict(tags.get(row["version"], {})),
            )

    def _aliases(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = defaultdict(dict)
        if self._tables.columns["registered_model_aliases"]:
            for row in self._tables.select("registered_model_aliases", "1 = 1"):
                found[row["name"]][row["alias"]] = row["version"]
        return found

    # ----------------------------------------------------------------------- traces

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        return self._traces.traces(experiment)

    def trace_files(self, held: HeldTrace) -> Iterable[HeldFile]:
        return self._traces.files(held)


def _chunks(
    columns: "Mapping[tuple[str, str], tuple[array[int], array[int], array[float]]]",
) -> Iterator[HeldPoints]:
    for (run, key), (steps, times, values) in columns.items():
        yield HeldPoints(run, key, Points(steps, times, values))


def _stage(value: Any) -> Any:
    return "deleted" if value == "deleted" else "active"


def _status(value: Any) -> Any:
    return _STATUSES.get(value, "ready")


_NEEDED: Final[Mapping[str, set[str]]] = {
    "experiments": {"experiment_id", "name", "artifact_location", "lifecycle_stage"},
    "runs": {
        *("run_uuid", "experiment_id", "user_id", "status", "start_time", "end_time"),
        *("lifecycle_stage", "artifact_uri"),
    },
    "metrics": {"run_uuid", "key", "value", "timestamp", "step", "is_nan"},
    "params": {"run_uuid", "key", "value"},
    "tags": {"run_uuid", "key", "value"},
}
"""Without these a database is none that can be read."""
_WANTED: Final[Mapping[str, tuple[str, ...]]] = {
    "experiments": (
        *("experiment_id", "name", "artifact_location", "lifecycle_stage"),
        *("creation_time", "last_update_time"),
    ),
    "experiment_tags": ("experiment_id", "key", "value"),
    "runs": (
        *("run_uuid", "experiment_id", "name", "user_id", "status", "start_time", "end_time"),
        *("lifecycle_stage", "artifact_uri"),
    ),
    "metrics": (),
    "params": (),
    "tags": (),
    "datasets": (),
    "inputs": (),
    "input_tags": (),
    "logged_models": (
        *("model_id", "name", "artifact_location", "creation_timestamp_ms", "status"),
        *("last_updated_timestamp_ms", "lifecycle_stage", "model_type", "source_run_id"),
    ),
    "logged_model_tags": (),
    "logged_model_params": (),
    "registered_models": ("name", "creation_time", "last_updated_time", "description"),
    "registered_model_tags": (),
    "registered_model_aliases": ("name", "alias", "version"),
    "model_versions": (
        *("name", "version", "creation_time", "last_updated_time", "description", "user_id"),
        *("current_stage", "source", "storage_location", "run_id", "run_link"),
    ),
    "model_version_tags": ("name", "version", "key", "value"),
}
"""Tables that are read, and of some of them the columns that are taken when they are there."""
