"""What is known of any run, whoever recorded it: a flow, a program, a client of MLflow."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from trivet.core.errors import NotFound
from trivet.core.ids import time_of
from trivet.core.ports import SeriesKey, Stores
from trivet.core.training import Machine
from trivet.core.trees import read_tree
from trivet.tracking.comparison import CodeSide, CurvePoints, Side
from trivet.tracking.environment import read_lock
from trivet.tracking.facts import CodeState, Environment, Run
from trivet.tracking.found import FoundRun
from trivet.tracking.reporting.runs import ReportedRuns
from trivet.tracking.reporting.sampling import PREFIX

_COMMIT: Final = "mlflow.source.git.commit"
_SOURCE: Final = "mlflow.source.name"
_POINTS: Final = 400
_MOST_CURVES: Final = 200


class Examiner:
    """Reads everything that is known of a run.

    Args:
        stores: Where it is.
        reported: The runs that programs report.
    """

    def __init__(self, stores: Stores, reported: ReportedRuns) -> None:
        self._stores = stores
        self._reported = reported

    def of_flow(self, run: Run, known: FoundRun | None, metrics: Sequence[str] | None) -> Side:
        """Return what is known of the run of a flow; `known` is what searches find of it."""
        started = run.started
        parameters = {name: _text(value) for name, value in started.parameters.items()}
        latest = self._stores.series.summaries(run.id)
        figures = {name: summary.latest.value for name, summary in latest.items()}
        figures |= run.finished.metrics if run.finished else {}
        return Side(
            run=known or _found(run, parameters, figures),
            parameters=parameters,
            metrics=figures,
            code=self._code(started.code),
            machine=_machine(started.environment, None),
            packages=self._packages(started.environment),
            data=tuple(dict.fromkeys((*started.data, *self._read_meanwhile(run)))),
            curves=self._curves(run.id, metrics),
        )

    def of_program(self, found: FoundRun, metrics: Sequence[str] | None) -> Side:
        """Return what is known of a run that a program or a client reported."""
        seen = self._reported.observed(found.id)
        if seen is None:
            code = CodeSide(entry=found.tags.get(_SOURCE, ""), commit=found.tags.get(_COMMIT))
        else:
            code = self._code(seen.code)
        return Side(
            run=found,
            parameters=found.parameters,
            metrics=found.metrics,
            code=code,
            machine={} if seen is None else _machine(seen.environment, seen.machine),
            packages=None if seen is None else self._packages(seen.environment),
            inputs=self._reported.get(found.id).inputs,
            curves=self._curves(found.id, metrics),
        )

    def _read_meanwhile(self, run: Run) -> Sequence[str]:
        """Return what the run's end names besides its beginning: data that it read as it went."""
        ending = self._stores.ledger.get(run.finished_id) if run.finished_id else None
        return () if ending is None else [id_ for id_ in ending.parents if id_ != run.id]

    def read(self, digest: str) -> bytes | None:
        """Return a stored file, None when it is gone."""
        try:
            with self._stores.blobs.open(digest) as blob:
                return blob.read()
        except NotFound:
            return None

    def _code(self, code: CodeState) -> CodeSide:
        try:
            tree = read_tree(self._stores.blobs, code.tree)
            files = {path: file.digest for path, file in tree.items()}
        except NotFound:
            files = None
        return CodeSide(entry=code.entry, commit=code.commit, is_dirty=code.dirty, files=files)

    def _packages(self, environment: Environment) -> dict[str, str] | None:
        lock = self.read(environment.lock)
        return None if lock is None else read_lock(lock)

    def _curves(self, run: str, metrics: Sequence[str] | None) -> dict[str, CurvePoints]:
        series = self._stores.series
        if metrics is None:
            known = series.summaries(run)
            several = (name for name, summary in known.items() if summary.count > 1)
            metrics = [name for name in several if not name.startswith(PREFIX)][:_MOST_CURVES]
        curves: dict[str, CurvePoints] = {}
        for name in metrics:
            sample = series.curve(SeriesKey(run, name), points=_POINTS, by="order").sample
            if len(sample.steps):
                steps, values = list(map(int, sample.steps)), list(map(float, sample.values))
                curves[name] = CurvePoints(steps=steps, values=values)
        return curves


def _found(run: Run, parameters: dict[str, str], metrics: Mapping[str, float]) -> FoundRun:
    began, finished = time_of(run.id), run.finished
    return FoundRun(
        id=run.id,
        name=run.started.name,
        experiment="",
        status=run.status,
        user="",
        began_ms=began,
        ended_ms=None if finished is None else began + round(finished.seconds * 1000),
        parameters=parameters,
        metrics=dict(metrics),
        tags={},
    )


def _text(value: Any) -> str:  # noqa: ANN401  # whatever a flow was given
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _machine(environment: Environment, machine: Machine | None) -> dict[str, str]:
    seen = {
        "python": environment.python,
        "platform": environment.platform,
        "processors": str(environment.processors),
        "memory_bytes": str(environment.memory_bytes),
    }
    if machine is not None and machine.cpu:
        seen["cpu"] = machine.cpu
    if machine is not None and machine.gpus:
        seen["gpus"] = ", ".join(gpu.name for gpu in machine.gpus)
    return seen
