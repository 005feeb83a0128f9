"""The whole suite, and a trial of Trivet on it.

`python -m benchmarks.edits.suite` prints what Trivet does with each change.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from benchmarks.edits.case import Edit, edit
from benchmarks.edits.classes import CLASSES
from benchmarks.edits.corners import CORNERS
from benchmarks.edits.functions import DECORATORS, FUNCTIONS
from benchmarks.edits.libraries import LIBRARIES
from benchmarks.edits.modules import COMPUTED, MODULES
from benchmarks.edits.nothing import NOTHING
from benchmarks.edits.settings import SETTINGS
from benchmarks.edits.values import ARGUMENTS, CONSTANTS, DECLARED

EDITS: tuple[Edit, ...] = (
    *(*FUNCTIONS, *DECORATORS, *CLASSES, *CONSTANTS, *MODULES),
    *(*COMPUTED, *ARGUMENTS, *DECLARED, *CORNERS, *LIBRARIES, *SETTINGS, *NOTHING),
)
_SLOW = "jinja2, lightgbm, numpy, pandas, polars, pydantic, skops.io, sklearn.model_selection"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What came of one project: run, run again as it is, changed, and run once more."""

    edit: Edit
    statuses: tuple[str, str, str]
    """Of the step in the three runs: `run` or `remembered`."""
    answers: tuple[str, str, str]
    """What the flow got from the step."""
    truths: tuple[str, str, str]
    """What the plain function returns in the same process."""

    @property
    def is_stale(self) -> bool:
        """Whether some answer is not what the code says."""
        return self.answers != self.truths

    @property
    def reran(self) -> bool:
        """Whether the step ran again after the change."""
        return self.statuses[2] == "run"


def try_trivet(root: Path, edits: Sequence[Edit] = EDITS) -> Iterator[Outcome]:
    """Run every case three times through a workspace, each time in a process of its own.

    The interpreter of each round is a new one with its own seed of hashing; within a round a
    process is forked for each case before anything of a project was loaded.

    Args:
        root: An empty folder.
        edits: The cases.
    """
    places = {case.name: root / f"project{number}" for number, case in enumerate(edits)}
    for case in edits:
        places[case.name].mkdir()
        _start(places[case.name], case)
    rounds: list[list[dict[str, str]]] = []
    for seed in ("1", "2", "3"):
        if seed == "3":
            for case in edits:
                case.apply(places[case.name])
        rounds.append(_round(seed, list(places.values())))
    for case, *said in zip(edits, *rounds, strict=True):
        one, two, three = said
        yield Outcome(
            case,
            (one["status"], two["status"], three["status"]),
            (one["answer"], two["answer"], three["answer"]),
            (one["truth"], two["truth"], three["truth"]),
        )


def _round(seed: str, places: Sequence[Path]) -> list[dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.edits.suite", *map(str, places)],
        capture_output=True,
        check=False,
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _run_each(places: Sequence[Path]) -> None:
    """Fork one process per project, none of which has seen another project."""
    _warm_up()
    for place in places:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _be_child(place)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise SystemExit(f"the project in {place} failed")


def _warm_up() -> None:
    """Load Trivet with all that a run needs, and slow libraries, so that no child has to."""
    path, folder = [*sys.path], Path.cwd()
    with TemporaryDirectory() as place:
        _start(Path(place), edit("warm", f"import {_SLOW}\ndef compute(x):\n    return x\n"))
        _run(Path(place))
        os.chdir(folder)
    sys.path[:] = path
    for name in {"pipeline", "work"} & sys.modules.keys():
        del sys.modules[name]


def _start(place: Path, case: Edit) -> None:
    (place / "trivet.toml").write_text('project = "edits"\n', "utf-8")
    case.write(place)


def _be_child(place: Path) -> NoReturn:
    code = 1
    try:
        print(json.dumps(_run(place)), flush=True)
        code = 0
    except Exception:  # noqa: BLE001  # whatever a case does wrong
        traceback.print_exc()
    finally:
        os._exit(code)


def _run(place: Path) -> dict[str, str]:
    import trivet

    library = place / "site-packages"
    sys.path[:0] = [str(place), *([str(library)] if library.is_dir() else [])]
    os.chdir(place)
    with trivet.open(place) as workspace:
        run = workspace.pipelines.run("pipeline:main")
        answer = workspace.pipelines.value(run.id, "answer")
        (status,) = {
            step.status for step in workspace.pipelines.steps(run.id) if step.step == "compute"
        }
    truth = sys.modules["pipeline"].main()["answer"]
    return {"status": status, "answer": repr(answer), "truth": repr(truth)}


def _report() -> None:
    stale = wasted = 0
    with TemporaryDirectory() as folder:
        for outcome in try_trivet(Path(folder)):
            case = outcome.edit
            stale += outcome.is_stale
            wasted += outcome.reran and not case.reruns
            right = not outcome.is_stale and outcome.statuses[1] == "remembered"
            mark = "ok   " if right and outcome.reran == case.reruns else "WRONG"
            print(f"{mark} {outcome.statuses[2]:<10} {case.name}", *outcome.statuses[:2])
    print(f"{len(EDITS)} changes: {stale} stale, {wasted} run for nothing")


if __name__ == "__main__":
    if sys.argv[1:]:
        _run_each([Path(name) for name in sys.argv[1:]])
    else:
        _report()
