"""What an earlier Trivet wrote is opened, read whole, and worked with.

`tests/fixtures/format-N` was made by `tools/make_fixture.py` when format N was born.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trivet.core.catalog import Catalog, Document, Search
from trivet.core.ports import Link
from trivet.serving.records import output_values
from trivet.tracking.reporting.points import Metrics
from trivet.workspace.fsck import check_stores
from trivet.workspace.stores import FORMAT
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

FIXTURES = Path(__file__).parents[1] / "fixtures"
FORMATS = sorted(FIXTURES.glob("format-*"))
LARGEST_BYTES = 300_000


@pytest.fixture(params=FORMATS, ids=lambda folder: folder.name)
def project(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project as that version left it."""
    monkeypatch.delitem(sys.modules, "pipeline", raising=False)  # each has one of this name
    folder = tmp_path / "left"
    shutil.copytree(request.param, folder)
    (folder / "stores").rename(folder / ".trivet")
    (folder / ".trivet").chmod(0o700)
    return folder


@pytest.fixture
def expected(project: Path) -> dict[str, Any]:
    return json.loads((project / "expected.json").read_text("utf-8"))


@pytest.fixture
def workspace(project: Path) -> Iterator[Workspace]:
    with open_workspace(project, actor="eve") as workspace:
        yield workspace


def test_there_is_a_fixture_of_every_format_so_far() -> None:
    assert [folder.name for folder in FORMATS] == [f"format-{n + 1}" for n in range(FORMAT)]


def test_a_fixture_is_small_and_tells_nothing_of_a_machine() -> None:
    for folder in FORMATS:
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < LARGEST_BYTES
        for path in files:
            content = path.read_bytes()
            for word in (b"/home/", b"/root", b"site-packages", b"trv_"):
                assert word not in content, (path, word)


def test_every_fact_and_every_head_is_there(workspace: Workspace, expected: dict[str, Any]) -> None:
    ledger = workspace.stores.ledger
    links = [link for link in ledger.verify() if isinstance(link, Link)]
    assert expected["chain"] in {link.hash for link in links}
    assert len(ledger.since(0, 100_000)) >= expected["facts"]
    assert {head.name for head in ledger.heads("left")} >= set(expected["heads"])
    assert check_stores(workspace.stores).is_sound


def test_the_data_is_there_row_by_row(workspace: Workspace, expected: dict[str, Any]) -> None:
    dataset = workspace.data.get(expected["dataset"])
    frame = pl.DataFrame(workspace.data.table(dataset))
    assert sha256(repr(frame.rows()).encode()).hexdigest() == expected["rows"]
    assert workspace.data.profile(dataset).rows == frame.height
    assert list(workspace.data.files(dataset, "notes")) == ["read/me.txt"]


def test_the_run_is_there_with_its_curve_its_steps_and_its_outputs(
    workspace: Workspace, expected: dict[str, Any]
) -> None:
    run = workspace.tracking.get(expected["run"])
    assert run.status == "succeeded"
    assert run.finished is not None
    assert run.finished.metrics == {"rows": 240.0}
    points = workspace.tracking.metric(run.id, "loss")
    assert list(points.values) == [1.0 / (n + 1) for n in range(20)]
    assert [step.step for step in workspace.pipelines.steps(run.id)] == ["fit"]
    holdout = workspace.pipelines.value(run.id, "holdout")
    assert pl.DataFrame(holdout).height == 60
    assert [note.text for note in workspace.tracking.notes(run.id)] == ["the first of its kind"]


def found_in(catalog: Catalog, collection: str) -> tuple[Document, ...]:
    """Return all documents of the project's group."""
    return catalog.search(Search(collection=collection, groups=("left",), limit=100)).documents


def test_what_there_is_is_found_by_searches(workspace: Workspace, expected: dict[str, Any]) -> None:
    catalog = workspace.stores.catalog
    Metrics(workspace.stores).catch_up()  # as every search does first
    (run,) = catalog.get("runs", [expected["run"]])
    assert (run.attributes["status"], run.attributes["metrics.rows"]) == ("FINISHED", 240.0)
    assert run.attributes["metrics.loss"] == 0.05
    assert [one.attributes["name"] for one in found_in(catalog, "registered-models")] == ["left"]
    assert len(found_in(catalog, "model-versions")) == 1


def test_the_model_is_there_and_answers_its_golden_rows(
    workspace: Workspace, expected: dict[str, Any]
) -> None:
    model = workspace.models.get("left@tried")
    assert (model.id, model.version.package) == (expected["model"], expected["package"])
    package = workspace.models.open(model)
    assert package.golden.rows
    assert workspace.models.verdicts.get(model.version.verdict).passed
    current = workspace.releases.current("left")
    assert current is not None
    assert current.id == expected["release"]


def test_every_prediction_is_there_with_its_label_and_its_whole_story(
    workspace: Workspace, expected: dict[str, Any]
) -> None:
    found = {p.id: list(output_values(p.output)) for p in workspace.serving.predictions("left")}
    assert found == expected["predictions"]
    for identifier in list(found)[:3]:
        why = workspace.serving.why(identifier)
        assert why.label is not None
        assert (why.model_id, why.run_id) == (expected["model"], expected["run"])
        replay = workspace.serving.replay(identifier)
        # The same bits on the kind of machine that made it; elsewhere the same to 1e-5.
        assert replay.recomputed == pytest.approx(replay.recorded, abs=1e-5)


def test_windows_triggers_and_tokens_are_there(
    workspace: Workspace, expected: dict[str, Any]
) -> None:
    assert len(workspace.monitoring.windows("left")) == expected["windows"]
    assert [t.rule.name for t in workspace.triggers.all()] == ["quality"]
    assert [f.outcome for f in workspace.triggers.firings()] == ["fired"]
    assert len(workspace.stores.journal.tasks("runs")) == 1
    assert [grant.token.name for grant in workspace.access.grants()] == ["shop"]


def test_work_goes_on_where_it_was_left(workspace: Workspace, expected: dict[str, Any]) -> None:
    plan = workspace.pipelines.plan("pipeline:train")
    assert [step.step for step in plan.steps] == ["fit"]
    frame = pl.DataFrame(workspace.data.table("customers"))
    second = workspace.data.publish("customers", {"customers": frame.head(3)}, source="later",
                                    append=True)  # fmt: skip
    assert second.commit.tables[0].rows == 243
    again = workspace.releases.release("left", workspace.models.get("left"), why="once more")
    assert again.plan.generation == 2
    assert check_stores(workspace.stores).is_sound
