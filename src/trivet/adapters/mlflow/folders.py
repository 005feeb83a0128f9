"""MLflow's folders, `mlruns`: files as holdings, of versions 2 and 3, the trash included."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from trivet.adapters.mlflow.artifacts import LocalArtifacts
from trivet.adapters.mlflow.meta import Meta, read_meta
from trivet.adapters.mlflow.trace_folders import TraceFolders
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
    HeldTrace,
    HeldVersion,
)
from trivet.core.points import Points

_META: Final = "meta.yaml"
_TRASH: Final = ".trash"
_RESERVED: Final = frozenset({"tags", "datasets", "traces", "models", _TRASH})
_STATUSES: Final = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_MODEL_STATUSES: Final = {1: "pending", 2: "ready", 3: "failed"}
_POINTS: Final = 50_000
_MOST_TEXT_BYTES: Final = 8 << 20


class FolderHoldings:
    """What a folder of MLflow holds.

    Args:
        folder: The folder `mlruns`.
        roots: Further folders below which artifacts may be read.

    Raises:
        NotFound: There is no such folder.
        Invalid: It holds no experiments.
    """

    def __init__(self, folder: Path, roots: Sequence[Path]) -> None:
        if not folder.is_dir():
            raise NotFound(
                f"{folder} is a file; expected a folder of MLflow's"
                if folder.is_file()
                else f"there is no folder {folder}",
                code="no-folder",
                hint=f"A database is named `sqlite:///{folder.resolve()}`.",
            )
        self._folder = folder.resolve()
        self._artifacts = LocalArtifacts([folder, *roots])
        self.problems: list[str] = []
        self._traces = TraceFolders(self._artifacts, self._texts, self.problems)
        if not any(True for _ in self._experiment_folders()):
            raise Invalid(
                f"{folder} has no experiments: no folder in it has a {_META} of one",
                code="no-mlruns",
                hint="Name the folder that MLflow calls mlruns.",
            )

    @property
    def name(self) -> str:
        return str(self._folder)

    def close(self) -> None:
        """Nothing is held open."""

    def files(self, location: str) -> Iterable[HeldFile]:
        return self._artifacts.files(location)

    # ------------------------------------------------------------- experiments, runs

    def experiments(self) -> Iterator[HeldExperiment]:
        for folder in self._experiment_folders():
            meta = self._read(folder)
            if meta is None:
                continue
            yield HeldExperiment(
                id=meta.text("experiment_id") or folder.name,
                name=meta.text("name") or folder.name,
                stage="deleted" if folder.parent.name == _TRASH else meta.stage(),
                made_ms=meta.integer("creation_time") or 0,
                changed_ms=meta.integer("last_update_time") or 0,
                location=meta.text("artifact_location"),
                tags=self._texts(folder / "tags"),
            )

    def runs(self, experiment: str) -> Iterator[HeldRun]:
        place = self._place(experiment)
        for folder in _folders(place):
            if folder.name in _RESERVED or not (folder / _META).is_file():
                continue
            meta = self._read(folder)
            if meta is not None:
                yield self._run(experiment, place, folder, meta)

    def _run(self, experiment: str, place: Path, folder: Path, meta: Meta) -> HeldRun:
        inputs, models_in = self._inputs(place, folder)
        location = meta.text("artifact_uri")
        metrics = list(_below(folder / "metrics"))
        sizes = sum(path.stat().st_size for path in metrics)
        return HeldRun(
            id=meta.text("run_id") or meta.text("run_uuid") or folder.name,
            experiment=experiment,
            name=meta.text("run_name"),
            user=meta.text("user_id"),
            status=_STATUSES.get(meta.integer("status") or 1, "RUNNING"),
            stage="deleted" if place.parent.name == _TRASH else meta.stage(),
            began_ms=meta.integer("start_time") or 0,
            ended_ms=meta.integer("end_time"),
            location=location,
            parameters=self._texts(folder / "params"),
            tags=self._texts(folder / "tags"),
            inputs=tuple(inputs),
            models_in=tuple(models_in),
            models_out=tuple(self._outputs(folder)),
            imprint=f"{folder.name};{len(metrics)}/{sizes};{self._artifacts.imprint(location)}",
        )

    def points(self, runs: Sequence[HeldRun]) -> Iterator[HeldPoints]:
        for held in runs:
            metrics = self._place(held.experiment) / held.imprint.partition(";")[0] / "metrics"
            for path in _below(metrics):
                key = path.relative_to(metrics).as_posix()
                for points in self._points(path):
                    yield HeldPoints(held.id, key, points)

    def _points(self, path: Path) -> Iterator[Points]:
        steps, times, values = array("q"), array("q"), array("d")
        for words in self._lines(path):
            try:
                row = int(words[2]) if len(words) > 2 else 0, int(words[0]), float(words[1])
                steps.append(row[0])
                times.append(row[1])
                values.append(row[2])
            except (ValueError, IndexError, OverflowError):
                self.problems.append(f"a line of {path} is no point, and is left out")
                _trim(steps, times, values)
            if len(steps) >= _POINTS:
                yield Points(steps, times, values)
                steps, times, values = array("q"), array("q"), array("d")
        if steps:
            yield Points(steps, times, values)

    def _inputs(self, place: Path, run: Path) -> tuple[list[HeldInput], list[str]]:
        inputs: list[HeldInput] = []
        models: list[str] = []
        for folder in _folders(run / "inputs"):
            meta = self._read(folder)
            if meta is None:
                continue
            source = meta.text("source_id")
            if meta.text("source_type") == "MODEL":
                models.append(source)
                continue
            dataset = self._read(place / "datasets" / Path(source).name)
            if dataset is None:
                continue
            inputs.append(
                HeldInput(
                    name=dataset.text("name"),
                    digest=dataset.text("digest"),
                    source_type=dataset.text("source_type"),
                    source=dataset.text("source"),
                    schema=dataset.optional("schema"),
                    profile=dataset.optional("profile"),
                    tags=meta.texts("tags"),
                )
            )
        return inputs, models

    def _outputs(self, run: Path) -> Iterator[tuple[str, int]]:
        for folder in _folders(run / "outputs"):
            meta = self._read(folder)
            if meta is not None:
                yield meta.text("destination_id") or folder.name, meta.integer("step") or 0

    # ----------------------------------------------------------------- logged models

    def models(self, experiment: str) -> Iterator[HeldModel]:
        place = self._place(experiment)
        for folder in _folders(place / "models"):
            meta = self._read(folder) if (folder / _META).is_file() else None
            if meta is None:
                continue
            tags = self._texts(folder / "tags")
            yield HeldModel(
                id=meta.text("model_id") or folder.name,
                experiment=experiment,
                name=meta.text("name"),
                type=meta.text("model_type"),
                status=_model_status(meta),
                stage="deleted" if place.parent.name == _TRASH else meta.stage(),
                run=meta.text("source_run_id"),
                user=tags.get("mlflow.user", ""),
                location=meta.text("artifact_location"),
                made_ms=meta.integer("creation_timestamp") or 0,
                changed_ms=meta.integer("last_updated_timestamp") or 0,
                parameters=self._texts(folder / "params"),
                tags=tags,
                measures=tuple(self._measures(folder / "metrics")),
            )

    def _measures(self, metrics: Path) -> Iterator[HeldMeasure]:
        for path in _below(metrics):
            key = path.relative_to(metrics).as_posix()
            for words in self._lines(path):
                try:
                    yield HeldMeasure(
                        key=key,
                        value=float(words[1]),
                        step=int(words[2]),
                        time_ms=int(words[0]),
                        run=words[3],
                        # A name may have spaces, and they are not escaped; a digest has none.
                        dataset=" ".join(words[4:-1]),
                        digest=words[-1] if len(words) > 5 else "",
                    )
                except (ValueError, IndexError):
                    self.problems.append(f"a line of {path} is no point, and is left out")

    # --------------------------------------------------------------------- registry

    def names(self) -> Iterator[HeldName]:
        for folder in _folders(self._folder / "models"):
            meta = self._read(folder) if (folder / _META).is_file() else None
            if meta is None:
                continue
            made = meta.integer("creation_timestamp") or 0
            aliases = self._texts(folder / "aliases")
            versions = sorted(self._versions(folder), key=lambda version: version.number)
            yield HeldName(
                name=meta.text("name") or folder.name,
                made_ms=made,
                changed_ms=meta.integer("last_updated_timestamp") or made,
                description=meta.optional("description"),
                tags=self._texts(folder / "tags"),
                aliases={name: int(at) for name, at in aliases.items() if at.strip().isdigit()},
                versions=tuple(versions),
            )

    def _versions(self, name: Path) -> Iterator[HeldVersion]:
        for folder in _folders(name):
            meta = self._read(folder) if folder.name.startswith("version-") else None
            number = meta.integer("version") if meta else None
            if meta is None or not number or meta.text("current_stage") == "Deleted_Internal":
                continue
            made = meta.integer("creation_timestamp") or 0
            yield HeldVersion(
                number=number,
                source=meta.text("source"),
                made_ms=made,
                changed_ms=meta.integer("last_updated_timestamp") or made,
                user=meta.text("user_id"),
                stage=meta.text("current_stage") or "None",
                location=meta.text("storage_location"),
                run=meta.text("run_id"),
                run_link=meta.text("run_link"),
                description=meta.optional("description"),
                tags=self._texts(folder / "tags"),
            )

    # ----------------------------------------------------------------------- traces

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        return self._traces.traces(experiment, self._place(experiment))

    def trace_files(self, held: HeldTrace) -> Iterable[HeldFile]:
        return self._traces.files(held)

    # ----------------------------------------------------------------------- inside

    def _experiment_folders(self) -> Iterator[Path]:
        for parent in (self._folder, self._folder / _TRASH):
            for folder in _folders(parent):
                if folder.name not in _RESERVED and (folder / _META).is_file():
                    yield folder

    def _place(self, experiment: str) -> Path:
        name = Path(experiment).name
        place = self._folder / name
        return place if place.is_dir() else self._folder / _TRASH / name

    def _read(self, folder: Path) -> Meta | None:
        """Read what a folder says of itself; None, and remarked, when it cannot be read."""
        try:
            return read_meta(folder / _META)
        except (OSError, Invalid) as error:
            self.problems.append(f"{folder} is left out: {error}")
            return None

    def _texts(self, folder: Path) -> dict[str, str]:
        """Read the files of a folder and of those in it, by their paths."""
        found: dict[str, str] = {}
        for path in _below(folder):
            if path.stat().st_size > _MOST_TEXT_BYTES:
                self.problems.append(f"{path} is left out: it has more than 8 MiB")
                continue
            text = path.read_bytes().decode("utf-8", "replace")
            found[path.relative_to(folder).as_posix()] = text
        return found

    def _lines(self, path: Path) -> Iterator[list[str]]:
        with path.open("r", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.strip():
                    yield line.strip().split(" ")


def _trim(*columns: Any) -> None:
    """Let columns have equal lengths again after a row that was added in part."""
    length = min(map(len, columns))
    for column in columns:
        del column[length:]


def _model_status(meta: Meta) -> Any:
    text = meta.text("status")
    if text.isdigit():
        return _MODEL_STATUSES.get(int(text), "ready")
    return {"PENDING": "pending", "FAILED": "failed"}.get(text, "ready")


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the folders in a folder, by name; links are not followed."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink():
                yield path


def _below(folder: Path) -> Iterator[Path]:
    """Yield the plain files below a folder, by path; links are not followed."""
    if folder.is_dir():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path
