"""Make a small workspace of the present stored format, for the upgrade tests.

python tools/make_fixture.py tests/fixtures/format-1

Run it once when a new format is born, and never again for that format: what it wrote then must be
readable for ever. The folder holds the project's files, its stores (as `stores`, since `.trivet`
is not kept in version control) and `expected.json`: what a reader must find.
"""

import json
import platform
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from trivet.core.clock import EventClock, to_micros
from trivet.models.encoding import Encoder
from trivet.serving.answering import Asked, answer
from trivet.serving.endpoints import Endpoints
from trivet.serving.exchange import LabelIn
from trivet.serving.facts import PREDICTIONS
from trivet.workspace.delivery import deliver, release_model
from trivet.workspace.fsck import check_stores
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

START = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 2
LARGEST_BYTES = 300_000

FILES = {
    "trivet.toml": 'project = "left"\nflow = "pipeline:train"\n[up]\nport = 0\nserving_port = 0\n',
    "gate.toml": "[calibration]\nlimit = 0.5\n",
    "release.toml": "automatic = false\n",
    "monitor.toml": '[triggers.quality]\ncause = "alert"\nwatch = "left"\n',
    "pipeline.py": '''\
"""A small flow: a table, a model, a curve."""

from typing import Any

import lightgbm as lgb

from trivet import Data, flow, step
from trivet.models.candidate import Candidate
from trivet.models.encoding import Encoder, Frame, as_frame
from trivet.models.signatures import fit_signature
from trivet.pipelines.context import current


@step
def fit(training: Frame) -> Candidate:
    """Fit a handful of small trees."""
    signature = fit_signature(training, "left", "binary")
    encoder = Encoder(signature)
    data = lgb.Dataset(
        encoder.encode_frame(training),
        encoder.encode_target(training),
        categorical_feature=list(encoder.categorical),
    )
    options = {"objective": "binary", "num_leaves": 4, "num_threads": 1, "verbose": -1, "seed": 1}
    return Candidate.of(lgb.train(options, data, 4), signature, sample=training)


@flow
def train(customers: Data = "customers") -> dict[str, Any]:
    """Every fourth row is held out."""
    table = as_frame(customers).with_row_index("row")
    training = table.filter(table["row"] % 4 != 0).drop("row")
    holdout = table.filter(table["row"] % 4 == 0).drop("row")
    for number in range(20):
        current().log(loss=1.0 / (number + 1), step=number)
    return {"model": fit(training), "training": training, "holdout": holdout, "rows": 240}
''',
}


def customers(rows: int = 240) -> pl.DataFrame:
    numbers = range(rows)
    return pl.DataFrame(
        {
            "x": [None if n % 17 == 0 else (n * 37 % 101) / 10 for n in numbers],
            "plan": ["abc"[n * 7 % 3] for n in numbers],
            "since": [START.date() - timedelta(days=n * 13 % 700) for n in numbers],
            "left": [(n * 37 % 101) / 10 + (n * 11 % 5) > 7 for n in numbers],
        }
    )


def make(project: Path) -> dict[str, Any]:
    """Make the project and return what a reader must find in it."""
    for name, text in FILES.items():
        (project / name).write_text(text, encoding="utf-8")
    clock = EventClock(START)
    with open_workspace(project, actor="ada", clock=clock) as workspace:
        dataset = workspace.data.publish(
            "customers",
            {"customers": customers()},
            trees={"notes": {"read/me.txt": b"Where the rows came from."}},
            source="a fixture",
        )
        run = workspace.pipelines.run("pipeline:train")
        delivered = deliver(workspace, run)
        assert delivered is not None, "the flow returned no candidate"
        assert delivered.model is not None, delivered.verdict.reasons
        workspace.tracking.note(run.id, "the first of its kind")
        workspace.models.set_alias("left", "tried", delivered.model, "for the fixture")
        release = release_model(workspace, delivered.model, why="first")
        predictions = ask(workspace)
        label(workspace, list(predictions))
        clock.move_to(START + 4 * timedelta(days=1))
        windows = workspace.monitoring.look().windows
        workspace.triggers.fire("quality", "to have one")
        workspace.access.issue("shop", "application")
        assert check_stores(workspace.stores).is_sound
        return {
            "dataset": dataset.id,
            "rows": sha256(repr(customers().rows()).encode()).hexdigest(),
            "run": run.id,
            "model": delivered.model.id,
            "package": delivered.package,
            "release": release.id,
            "predictions": predictions,
            "windows": len(windows),
            "facts": len(workspace.stores.ledger.since(0, 100_000)),
            "chain": chain(workspace),
            "heads": [head.name for head in workspace.stores.ledger.heads("left")],
        }


def ask(workspace: Workspace) -> dict[str, list[float]]:
    """Answer some rows as serving does, and log them; return the outputs by identifier."""
    endpoints = Endpoints(workspace.stores, workspace.scope)
    endpoints.refresh()
    live = endpoints.get("left")
    found: dict[str, list[float]] = {}
    for day in range(DAYS):
        noon = to_micros(START + day * timedelta(days=1) + timedelta(hours=12))
        table = customers().slice(20 * day, 20)
        rows = Encoder(live.variants.champion.signature).rows_of(table)
        units = [f"unit-{n}" for n in range(len(rows))]
        answered = answer(live, Asked(rows, units, [noon] * len(rows), None))
        workspace.stores.log.append(PREDICTIONS, answered.records)
        found |= dict(zip(answered.ids, map(list, answered.outputs), strict=True))
    return found


def label(workspace: Workspace, ids: list[str]) -> None:
    truth = customers()["left"].to_list()
    labels = [LabelIn(prediction=i, value=truth[n]) for n, i in enumerate(ids)]
    workspace.serving.label(labels, source="a fixture")


def chain(workspace: Workspace) -> str:
    """The hash of the audit chain's last link."""
    return [link.hash for link in workspace.stores.ledger.verify() if hasattr(link, "hash")][-1]


def main(target: Path) -> int:
    # What is checked in tells nothing about the machine that made it.
    platform.platform = lambda *_, **__: "Linux"
    project = Path(tempfile.gettempdir()) / "trivet-fixture" / "left"
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    try:
        expected = make(project)
        (project / ".trivet" / "token").unlink(missing_ok=True)
        shutil.rmtree(project / "__pycache__", ignore_errors=True)
        (project / ".trivet").rename(project / "stores")
        text = json.dumps(expected, indent=1, sort_keys=True)
        (project / "expected.json").write_text(text + "\n", encoding="utf-8")
        size = sum(p.stat().st_size for p in project.rglob("*") if p.is_file())
        if size > LARGEST_BYTES:
            print(f"{size} bytes are too many; expected at most {LARGEST_BYTES}")
            return 1
        shutil.copytree(project, target)
    finally:
        shutil.rmtree(project.parent)
    print(f"{size} bytes in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
