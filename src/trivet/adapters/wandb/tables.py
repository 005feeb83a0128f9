"""Tables that W&B exports: of runs, one a row, or of one run's history, one step a row."""

import ast
import csv
import json
import math
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from trivet.adapters.wandb.messages import flattened, number_of, text_of
from trivet.core.errors import Invalid, NotFound, Unsupported
from trivet.core.moving import (
    HeldExperiment,
    HeldFile,
    HeldModel,
    HeldName,
    HeldPoints,
    HeldRun,
    HeldTrace,
)
from trivet.core.points import Points

_MOST_BYTES: Final = 2 << 30
_STEPS: Final = ("_step", "Step", "step")
_NAMES: Final = ("name", "Name", "display_name", "id", "ID")
_BEGAN: Final = ("created_at", "Created", "_timestamp")
_CHART: Final = re.compile(r"(.+?) - (.+?)(?:__(?:MIN|MAX))?")
_STATES: Final = {
    "finished": "FINISHED",
    "crashed": "FAILED",
    "failed": "FAILED",
    "killed": "KILLED",
    "running": "RUNNING",
    "pending": "SCHEDULED",
}
_KNOWN: Final = frozenset(
    {
        *_NAMES,
        *_BEGAN,
        *("State", "state", "config", "summary", "summary_metrics", "Runtime", "_runtime"),
        *("", "Unnamed: 0"),
    }
)

Row = dict[str, Any]


class ExportHoldings:
    """What an exported table holds.

    A table with a column `_step` or `Step` is a history: of the run that the file is named for, or,
    with columns such as `run - metric`, of several. Any other is a table of runs; of those the
    columns `config` and `summary` are taken apart, and of all other columns numbers are metrics
    and texts are parameters.

    Args:
        path: A file that ends in `.csv`, `.json`, `.jsonl` or `.parquet`.
        experiment: Where the runs go; the experiment that is named as the file when empty.

    Raises:
        NotFound: There is no such file.
        Invalid: It is no table.
        Unsupported: It is Parquet, and Polars is not installed.
    """

    def __init__(self, path: Path, experiment: str = "") -> None:
        if not path.is_file():
            raise NotFound(f"there is no file {path}", code="no-file")
        if path.stat().st_size > _MOST_BYTES:
            raise Invalid(f"{path} is larger than 2 GiB", code="too-large")
        self._path = path.resolve()
        self._experiment = experiment or path.stem
        self.problems: list[str] = []
        rows = _read(path)
        columns = {name for row in rows[:1000] for name in row}
        step = next((name for name in _STEPS if name in columns), None)
        self._histories: dict[str, list[Row]] = {}
        self._rows: list[Row] = []
        if step is None:
            self._rows = rows
        else:
            self._histories = _histories(rows, step, path.stem)

    @property
    def name(self) -> str:
        return str(self._path)

    def close(self) -> None:
        """Nothing is held open."""

    def experiments(self) -> Iterator[HeldExperiment]:
        yield HeldExperiment(id=self._experiment, name=self._experiment)

    def runs(self, experiment: str) -> Iterator[HeldRun]:
        for name, rows in self._histories.items():
            times = [time for row in rows if (time := _time(row))]
            yield HeldRun(
                id=self._id(name),
                experiment=experiment,
                name=name,
                began_ms=min(times, default=0),
                ended_ms=max(times, default=None),
                imprint=str(len(rows)),
            )
        for number, row in enumerate(self._rows):
            yield self._run(experiment, number, row)

    def _run(self, experiment: str, number: int, row: Row) -> HeldRun:
        name = next((str(row[key]) for key in _NAMES if row.get(key)), f"row {number + 1}")
        key = str(row.get("id") or row.get("ID") or f"{name}/{row.get('Created') or number}")
        began = next((moment for key in _BEGAN if (moment := _moment(row.get(key)))), 0)
        runtime = number_of(row.get("Runtime") or row.get("_runtime")) or 0.0
        state = str(row.get("State") or row.get("state") or "finished")
        metrics, parameters = _parted(row)
        return HeldRun(
            id=self._id(key),
            experiment=experiment,
            name=name,
            user=str(row.get("User") or ""),
            status=_STATES.get(state.lower(), "FINISHED"),
            began_ms=began,
            ended_ms=began + int(runtime * 1000) if state.lower() != "running" else None,
            parameters=parameters,
            tags=_tags(row),
            keys=tuple(metrics),
            imprint=f"{number};{sorted(metrics.items())!r}",
        )

    def points(self, runs: Sequence[HeldRun]) -> Iterator[HeldPoints]:
        for held in runs:
            if held.name in self._histories and held.id == self._id(held.name):
                yield from _points(held.id, self._histories[held.name])
                continue
            row = self._rows[int(held.imprint.partition(";")[0])]
            step = int(number_of(_dictionary(row.get("summary")).get("_step")) or 0)
            for key, value in _parted(row)[0].items():
                columns = array("q", [step]), array("q", [held.ended_ms or held.began_ms])
                yield HeldPoints(held.id, key, Points(*columns, array("d", [value])))

    def files(self, location: str) -> Iterable[HeldFile]:
        return ()

    def models(self, experiment: str) -> Iterator[HeldModel]:
        yield from ()

    def names(self) -> Iterator[HeldName]:
        yield from ()

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        yield from ()

    def trace_files(self, held: HeldTrace) -> Iterable[HeldFile]:
        return ()

    def _id(self, key: str) -> str:
        return sha256(f"wandb\n{self._experiment}\n{key}".encode()).hexdigest()[:32]


# ---------------------------------------------------------------------------- reading


def _read(path: Path) -> list[Row]:
    ending = path.suffix.lower()
    try:
        if ending == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as lines:
                return [{str(k): _cell(v) for k, v in row.items()} for row in csv.DictReader(lines)]
        if ending == ".jsonl":
            lines = path.read_text("utf-8").splitlines()
            return [_demand_row(json.loads(line)) for line in lines if line.strip()]
        if ending == ".json":
            return _of_json(json.loads(path.read_text("utf-8")))
        if ending == ".parquet":
            return _of_parquet(path)
    except (ValueError, csv.Error, RecursionError) as error:
        raise Invalid(f"{path} cannot be read: {error}", code="bad-table") from error
    raise Invalid(
        f"{path} is no table that is known",
        code="bad-table",
        hint="Pass a file that ends in .csv, .json, .jsonl or .parquet, or a folder wandb.",
    )


def _of_json(value: object) -> list[Row]:
    """Return the rows of a list of objects, or of columns as pandas writes them."""
    if isinstance(value, list):
        return [_demand_row(item) for item in cast("list[object]", value)]
    columns = _demand_row(value)
    if columns and all(isinstance(column, dict) for column in columns.values()):
        places = dict.fromkeys(place for column in columns.values() for place in column)
        return [{name: column.get(at) for name, column in columns.items()} for at in places]
    return [columns]


def _of_parquet(path: Path) -> list[Row]:
    try:
        polars = import_module("polars")
    except ModuleNotFoundError as error:
        raise Unsupported(
            "reading Parquet needs the library Polars, which is not installed",
            code="no-library",
            hint="Install it: `pip install 'trivet[local]'`.",
        ) from error
    try:
        return cast("list[Row]", polars.read_parquet(path).to_dicts())
    except polars.exceptions.PolarsError as error:
        raise Invalid(f"{path} cannot be read: {error}", code="bad-table") from error


def _demand_row(value: object) -> Row:
    if not isinstance(value, dict):
        raise Invalid(f"a row is a {type(value).__name__}; expected an object", code="bad-table")
    return cast("Row", value)


def _cell(text: Any) -> Any:
    """Return the number that a cell has; other texts as they are, empty ones as None."""
    if not isinstance(text, str) or not text.strip():
        return None
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return float(text)
    return text


# ------------------------------------------------------------------------------ rows


def _parted(row: Row) -> tuple[dict[str, float], dict[str, str]]:
    """Part a row into metrics and parameters."""
    summary = _dictionary(row.get("summary")) or _dictionary(row.get("summary_metrics"))
    metrics: dict[str, float] = {}
    parameters = {
        key: text_of(value)
        for key, value in flattened(_dictionary(row.get("config")))
        if not key.startswith("_")
    }
    others = ((key, value) for key, value in row.items() if key not in _KNOWN)
    for key, value in (*flattened(summary), *flattened(dict(others))):
        number = number_of(value)
        if key.startswith("_") or key in {"Notes", "User", "Tags", "Sweep"} or value is None:
            continue
        if number is not None and not isinstance(value, bool):
            metrics[key] = number
        elif isinstance(value, str | bool):
            parameters.setdefault(key, text_of(value))
    return metrics, parameters


def _tags(row: Row) -> dict[str, str]:
    notes = row.get("Notes") or row.get("notes")
    texts = {"mlflow.note.content": notes, "wandb.sweep": row.get("Sweep")}
    tags = str(row.get("Tags") or "")
    found = {key: str(value) for key, value in texts.items() if value}
    return found | {f"wandb.tag.{tag.strip()}": "true" for tag in tags.split(",") if tag.strip()}


def _dictionary(value: object) -> Row:
    """Return a mapping, also one that was written as JSON or as Python writes it."""
    if isinstance(value, dict):
        return cast("Row", value)
    if isinstance(value, str) and value.lstrip().startswith("{"):
        for parse in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                found = parse(value)
                return cast("Row", found) if isinstance(found, dict) else {}
    return {}


def _histories(rows: list[Row], step: str, stem: str) -> dict[str, list[Row]]:
    """Return the rows of each run, with the step as `_step`."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        plain = {key: value for key, value in row.items() if key != step and value is not None}
        by_run: dict[str, Row] = {}
        for key, value in plain.items():
            chart = _CHART.fullmatch(key)
            if key.endswith(("__MIN", "__MAX")):
                continue  # of several steps that the chart draws as one
            run, metric = (chart[1], chart[2]) if chart else (stem, key)
            by_run.setdefault(run, {})[metric] = value
        for run, values in by_run.items():
            found.setdefault(run, []).append({**values, "_step": row.get(step)})
    return found


def _points(run: str, rows: list[Row]) -> Iterator[HeldPoints]:
    columns: dict[str, tuple[array[int], array[int], array[float]]] = {}
    for row in rows:
        step, time_ms = number_of(row.get("_step")) or 0.0, _time(row)
        for key, value in flattened(row):
            number = number_of(value)
            if number is None or key.startswith("_") or not math.isfinite(step):
                continue
            steps, times, numbers = columns.setdefault(key, (array("q"), array("q"), array("d")))
            steps.append(int(step))
            times.append(time_ms)
            numbers.append(number)
    for key, held in columns.items():
        yield HeldPoints(run, key, Points(*held))


def _time(row: Row) -> int:
    return _moment(row.get("_timestamp"))


def _moment(value: object) -> int:
    """Return milliseconds since 1970 of a number of seconds, or of a date; 0 for all else."""
    number = number_of(value)
    if number is not None:
        return int(number * 1000) if math.isfinite(number) and 0 <= number < 1e11 else 0
    if isinstance(value, datetime):
        return int(_aware(value).timestamp() * 1000)
    with suppress(TypeError, ValueError, OverflowError):
        return int(_aware(datetime.fromisoformat(str(value))).timestamp() * 1000)
    return 0


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
