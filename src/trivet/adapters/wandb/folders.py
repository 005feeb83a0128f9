"""Folders in which W&B's client keeps runs, `wandb/run-*` and `wandb/offline-run-*`."""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from trivet.adapters.wandb.log import read_log
from trivet.adapters.wandb.messages import (
    CONFIG,
    EXIT,
    HISTORY,
    RUN,
    STATS,
    SUMMARY,
    RunMessage,
    flattened,
    kind_of,
    number_of,
    read_exit,
    read_items,
    read_run,
    read_time,
    text_of,
)
from trivet.core.errors import Corrupt, Forbidden, Invalid, NotFound
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
from trivet.core.protobuf import Malformed

_LOGS: Final = "run-*.wandb"
_SCHEME: Final = "wandb:"
_POINTS: Final = 50_000
_OWN: Final = re.compile(r"_(?:step|timestamp|runtime|wandb)\b.*")
_NO_PROJECT: Final = "uncategorized"


class LogHoldings:
    """What the folders of W&B's client hold.

    Args:
        folder: A run's folder, or one above it, such as `wandb`.
        experiment: Where all runs go; each to the experiment of its project when empty.

    Raises:
        NotFound: There is no such folder.
        Invalid: There is no log of a run in it.
    """

    def __init__(self, folder: Path, experiment: str = "") -> None:
        if not folder.is_dir():
            raise NotFound(f"there is no folder {folder}", code="no-folder")
        self._folder = folder.resolve()
        self._experiment = experiment
        self.problems: list[str] = []
        self._logs = sorted(
            path
            for path in self._folder.rglob(_LOGS)
            if path.is_file() and not path.parent.is_symlink()
        )
        if not self._logs:
            raise Invalid(
                f"{folder} has no runs: no file in it is called {_LOGS}",
                code="no-runs",
                hint="Name the folder `wandb`, or an exported table: FILE.csv, .json or .parquet.",
            )

    @property
    def name(self) -> str:
        return str(self._folder)

    def close(self) -> None:
        """Nothing is held open."""

    def experiments(self) -> Iterator[HeldExperiment]:
        for name in dict.fromkeys(self._home(self._about(log)) for log in self._logs):
            yield HeldExperiment(id=name, name=name)

    def runs(self, experiment: str) -> Iterator[HeldRun]:
        for log in self._logs:
            if self._home(self._about(log)) == experiment:
                yield self._run(log, experiment)

    def models(self, experiment: str) -> Iterator[HeldModel]:
        yield from ()

    def names(self) -> Iterator[HeldName]:
        yield from ()

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        yield from ()

    def trace_files(self, held: HeldTrace) -> Iterable[HeldFile]:
        return ()

    # ------------------------------------------------------------------------- runs

    def _run(self, log: Path, experiment: str) -> HeldRun:
        about = RunMessage()
        config: dict[str, Any] = {}
        last_ms, code = 0, None
        for kind, data in self._messages(log):
            if kind == RUN:
                about = read_run(data)
                config |= about.config
            elif kind == CONFIG:
                config |= dict(read_items(data))
            elif kind == HISTORY:
                last_ms = max(last_ms, _time(dict(read_items(data))))
            elif kind == EXIT:
                code = read_exit(data)
        id = about.id or log.stem.removeprefix("run-")
        ended_ms = max(last_ms, about.began_ms)
        return HeldRun(
            id=sha256(f"wandb\n{about.project}\n{id}".encode()).hexdigest()[:32],
            experiment=experiment,
            name=about.name or id,
            status=_status(code),
            began_ms=about.began_ms,
            ended_ms=None if code is None else ended_ms,
            location=_SCHEME + log.parent.relative_to(self._folder).as_posix(),
            parameters={
                key: text_of(value) for key, value in flattened(config) if not _OWN.fullmatch(key)
            },
            tags=_tags(about, id),
            imprint=f"{log.relative_to(self._folder)};{log.stat().st_size}",
        )

    def points(self, runs: Sequence[HeldRun]) -> Iterator[HeldPoints]:
        for held in runs:
            yield from self._points(held, self._folder / held.imprint.rpartition(";")[0])

    def _points(self, held: HeldRun, log: Path) -> Iterator[HeldPoints]:
        columns: dict[str, tuple[array[int], array[int], array[float]]] = {}
        count = 0
        for key, step, time_ms, value in self._figures(log):
            steps, times, values = columns.setdefault(key, (array("q"), array("q"), array("d")))
            steps.append(step)
            times.append(time_ms)
            values.append(value)
            count += 1
            if count >= _POINTS:
                yield from _chunks(held.id, columns)
                columns, count = {}, 0
        yield from _chunks(held.id, columns)

    def _figures(self, log: Path) -> Iterator[tuple[str, int, int, float]]:
        """Yield all numbers of a log: name, step, time and value.

        What a summary alone has stands at the last step.
        """
        summary: dict[str, Any] = {}
        met: set[str] = set()
        number = step = time_ms = 0
        for kind, data in self._messages(log):
            if kind == HISTORY:
                row = dict(read_items(data))
                step, time_ms = _step(row), _time(row)
                for key, value in _numbers(row):
                    met.add(key)
                    yield key, step, time_ms, value
            elif kind == SUMMARY:
                summary |= dict(read_items(data))
            elif kind == STATS:
                number += 1
                figures = dict(read_items(data, updates=3))
                for key, value in _numbers(figures):
                    yield f"system/{key}", number, read_time(data), value
        for key, value in _numbers(summary):
            if key not in met:
                yield key, step, time_ms, value

    # ------------------------------------------------------------------------ files

    def files(self, location: str) -> Iterable[HeldFile]:
        folder = (self._folder / location.removeprefix(_SCHEME) / "files").resolve()
        if not folder.is_relative_to(self._folder):
            raise Forbidden("it lies outside of the folder that is imported", code="outside")
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file() and not path.is_symlink():
                yield HeldFile(
                    path=path.relative_to(folder).as_posix(),
                    size_bytes=path.stat().st_size,
                    open=_Opener(path),
                )

    # ----------------------------------------------------------------------- inside

    def _home(self, about: RunMessage) -> str:
        return self._experiment or about.project or _NO_PROJECT

    def _about(self, log: Path) -> RunMessage:
        """Return what a log says of its run; it says so at its beginning."""
        for kind, data in self._messages(log):
            if kind == RUN:
                return read_run(data)
        return RunMessage()

    def _messages(self, log: Path) -> Iterator[tuple[int, bytes]]:
        """Yield the messages of a log up to where it is damaged."""
        try:
            for record in read_log(log):
                kind, data = kind_of(record)
                _check(kind, data)
                yield kind, data
        except (Corrupt, Malformed, OSError) as error:
            text = f"{log}: {error}; what came before was taken"
            if text not in self.problems:
                self.problems.append(text)


class _Opener:
    """Opens a file when it is called."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> Any:
        return self._path.open("rb")


def _check(kind: int, data: bytes) -> None:
    """Read a message once, so that whoever reads it again meets nothing malformed."""
    if kind == RUN:
        read_run(data)
    elif kind == STATS:
        list(read_items(data, updates=3))
        read_time(data)
    elif kind in {HISTORY, CONFIG, SUMMARY}:
        list(read_items(data))
    elif kind == EXIT:
        read_exit(data)


def _tags(about: RunMessage, id: str) -> dict[str, str]:
    texts = {
        "wandb.run_id": id,
        "wandb.project": about.project,
        "wandb.group": about.group,
        "wandb.job_type": about.job_type,
        "wandb.sweep": about.sweep,
        "wandb.host": about.host,
        "mlflow.note.content": about.notes,
        **{f"wandb.tag.{tag}": "true" for tag in about.tags},
    }
    return {key: text for key, text in texts.items() if text}


def _status(code: int | None) -> str:
    if code is None:
        return "RUNNING"
    return "FINISHED" if code == 0 else "FAILED"


def _numbers(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a row; pictures, histograms and their kin are none."""
    media = tuple(f"{key.removesuffix('_type')}" for key in row if key.endswith("._type"))
    for key, value in flattened(row):
        number = number_of(value)
        if number is None or _OWN.fullmatch(key) or (media and key.startswith(media)):
            continue
        yield key, number


def _step(row: dict[str, Any]) -> int:
    return int(number_of(row.get("_step")) or 0)


def _time(row: dict[str, Any]) -> int:
    return int((number_of(row.get("_timestamp")) or 0.0) * 1000)


def _chunks(
    run: str, columns: "dict[str, tuple[array[int], array[int], array[float]]]"
) -> Iterator[HeldPoints]:
    for key, (steps, times, values) in columns.items():
        yield HeldPoints(run, key, Points(steps, times, values))
