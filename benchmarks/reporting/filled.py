"""A project with very many runs, filled through the embedded store and kept for the next time.

What each run would have written one by one is committed by the hundreds: the same facts, documents
and points, so that nothing that is searched or read later knows the difference.
"""

import random
import shutil
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

import trivet as tv
from benchmarks.__main__ import OUTPUT
from benchmarks.reporting.servers import SETTINGS
from trivet.core.catalog import Amendment, Document
from trivet.core.facts import Draft, draft
from trivet.core.ids import new_id
from trivet.core.ports import Points, SeriesKey
from trivet.tracking.reporting.documents import opened_run, reported_run
from trivet.tracking.reporting.facts import RunOpened, RunReported
from trivet.workspace.workspace import Workspace

METRICS = 50
_EACH = 500
_DONE = "filled.txt"
_FAMILIES = ("resnet", "bert", "gpt", "tree")
_BEGAN_MS = 1_700_000_000_000


class Filled(NamedTuple):
    """A run as it is committed with many others."""

    facts: tuple[Draft, Draft]
    document: Amendment
    points: list[tuple[SeriesKey, Points]]


def filled(runs: int) -> Path:
    """Return the folder of a project with so many runs; fill it when it is not there."""
    folder = OUTPUT / f"runs-{runs}"
    stamp = folder / _DONE
    wanted = f"{runs} runs of {METRICS} metrics, form 4\n"
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "trivet.toml").write_text(SETTINGS, "utf-8")
        with tv.open(folder) as workspace:
            fill(workspace, runs)
        stamp.write_text(wanted, "utf-8")
    return folder


def fill(workspace: Workspace, runs: int) -> None:
    stores = workspace.stores
    experiment = workspace.tracking.experiments.default()
    chance = random.Random(7)
    group = workspace.tracking.experiments.group_of(experiment.number)
    for first in range(0, runs, _EACH):
        numbers = range(first, min(first + _EACH, runs))
        made = list(runs_of(numbers, chance, experiment.id, group))
        stores.series.append([chunk for run in made for chunk in run.points], synced=False)
        batch = workspace.scope.batch(
            f"{len(made)} runs",
            [fact for run in made for fact in run.facts],
            documents=[run.document for run in made],
        )
        stores.ledger.commit(batch, synced=False)
        if first % 10_000 == 0:
            print(f"filling: {first:,} of {runs:,} runs", file=sys.stderr, flush=True)
            workspace.tracking.reported.metrics.catch_up()
    # As in a project that has been searched before.
    stores.series.compact()
    workspace.tracking.reported.metrics.catch_up()


def runs_of(numbers: range, chance: random.Random, experiment: str, group: str) -> Iterator[Filled]:
    for number in numbers:
        run, began_ms = new_id(), _BEGAN_MS + number * 1000
        name = f"{chance.choice(_FAMILIES)}-{number}"
        parameters = {
            "lr": str(10.0 ** -chance.randint(1, 5)),
            "depth": str(chance.randint(1, 20)),
        }
        metrics = {f"m{at}": chance.random() for at in range(METRICS)}
        location = f"mlflow-artifacts:/0/{run}/artifacts"
        opened = RunOpened(
            experiment=experiment, name=name, user="bench", began_ms=began_ms, location=location,
            tags={"family": name.partition("-")[0]},
        )  # fmt: skip
        reported = RunReported(
            run=run, parameters=parameters, status="succeeded", ended_ms=began_ms + 500
        )
        begun = opened_run(group, run, opened)
        known = Document(id=run, group=group, attributes=begun.set, notes=begun.note)
        ended = reported_run(known, reported)
        values = {f"metrics.{key}": value for key, value in metrics.items()}
        places = {f"latest.{key}": [0, began_ms] for key in metrics}
        document = msgspec.structs.replace(
            begun,
            set={**begun.set, **ended.set, **values},
            once=ended.once,
            note={**begun.note, **ended.note, **places},
        )
        points = [
            (SeriesKey(run, key), Points(array("q", [0]), array("q", [began_ms]), array("d", [v])))
            for key, v in metrics.items()
        ]
        facts = draft(opened, id=run, parents=[experiment]), draft(reported, parents=[run])
        yield Filled(facts, document, points)
