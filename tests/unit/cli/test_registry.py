"""`trivet models alias`, `deprecate`, `comment`, `delete`, `history`, `show`, `list`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trivet.models.model_versions import NewVersion
from trivet.tracking.artifacts import Artifacts, owner_of
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import Opening, ReportedRuns
from trivet.workspace.registering import registry_doors
from trivet.workspace.workspace import open as open_workspace

Trivet = Callable[..., Any]


@pytest.fixture
def letters(project: Path) -> Path:
    """A name with two logged versions."""
    with open_workspace(project) as ws:
        names, versions = registry_doors(ws.stores, ws.scope)
        runs = ReportedRuns(
            ws.stores,
            ws.scope,
            Experiments(ws.stores, ws.scope, ws.clock),
            Metrics(ws.stores),
        )
        names.make("letters")
        for weights in (b"one", b"two"):
            run = runs.open(Opening(location="mlflow-artifacts:/0/{run}/artifacts"))
            files = Artifacts(ws.stores, ws.scope)
            files.put(owner_of("run", run.id), "model/weights", weights)
            versions.make("letters", NewVersion(source=f"runs:/{run.id}/model"))
    return project


def test_a_version_says_that_its_run_was_deleted(letters: Path, trivet: Trivet) -> None:
    shown = trivet("models", "show", "letters:1")
    assert "deleted" not in shown.out
    run = trivet("models", "show", "letters:1", "--json").data["version"]["run"]
    with open_workspace(letters) as ws:
        ws.tracking.reported.delete(run)
    assert f"{run} (deleted; it can be restored)" in trivet("models", "show", "letters:1").out
    with open_workspace(letters) as ws:
        ws.tracking.reported.restore(run)
    assert trivet("models", "show", "letters:1").out == shown.out


@pytest.mark.usefixtures("letters")
def test_a_deprecation_is_seen_wherever_the_version_is_shown(trivet: Trivet) -> None:
    said = trivet(
        *("models", "deprecate", "letters@1", "--why", "a broken feed", "--instead", "letters:2")
    )
    assert said.code == 0, said.err
    for words in (
        ("models", "list"),
        ("models", "show", "letters:1"),
        ("models", "history", "letters:1"),
        ("models", "history", "letters"),
    ):
        assert "a broken feed; use letters:2" in trivet(*words).out, words
    said = trivet("models", "alias", "letters:1", "best", "--reason", "why not")
    assert said.code == 0
    assert "warning: letters:1 is deprecated by" in said.err
    listed = trivet("models", "list", "--json").data
    assert [each["deprecation"] is None for each in listed] == [True, False]
    assert trivet("models", "deprecate", "letters:1", "--undo").code == 0
    assert "DEPRECATED" not in trivet("models", "show", "letters:1").out
    assert trivet("models", "deprecate", "letters:1", "--undo").code != 0
    assert trivet("models", "deprecate", "letters:1").code != 0


@pytest.mark.usefixtures("letters")
def test_comments_are_written_reworded_and_listed(trivet: Trivet) -> None:
    made = trivet("models", "comment", "letters:1", "weak", "--json").data
    trivet("models", "comment", made["id"], "weak on old letters", "--edit")
    assert "weak on old letters (edited 1 times)" in trivet("models", "comment", "letters:1").out
    told = trivet("models", "history", "letters:1", "--json").data
    assert [each["what"] for each in told["events"]] == ["comment", "comment", "registered"]
    assert told["comments"][0]["earlier"][0]["text"] == "weak"
    trivet("models", "comment", made["id"], "--withdraw")
    assert "(withdrawn)" in trivet("models", "comment", "letters:1").out
    assert trivet("models", "comment", "letters:9", "nobody").code != 0


@pytest.mark.usefixtures("letters")
def test_a_logged_version_has_an_alias_and_is_deleted(trivet: Trivet) -> None:
    said = trivet("models", "alias", "letters:2", "best", "--reason", "it is new")
    assert "letters@best is letters:2 now" in said.out
    moved = trivet("models", "history", "letters@best").out
    assert "it is new" in moved
    assert "best" in trivet("models", "show", "letters@best").out
    assert trivet("models", "delete", "letters").code != 0
    assert trivet("models", "delete", "letters:2").code == 0
    assert trivet("models", "show", "letters:2").code != 0
    gone = trivet("models", "history", "letters@best", "--json").data
    assert [(move["before"], move["label"]) for move in gone["moves"]] == [
        ("letters:2", ""),
        ("", "letters:2"),
    ]
    assert trivet("models", "delete", "letters", "--all").code == 0
    assert "no models yet" in trivet("models", "list").out


@pytest.mark.usefixtures("letters")
def test_a_protected_alias_takes_a_deprecated_version_by_force(trivet: Trivet) -> None:
    trivet("models", "deprecate", "letters:1", "--why", "a broken feed")
    trivet("models", "protect", "best")
    words = ("models", "alias", "letters:1", "best", "--reason", "no other")
    refused = trivet(*words)
    assert "letters:1 is deprecated (a broken feed)" in refused.err
    assert "needs 1 approvals" in trivet(*words, "--force", "the other fails").err


@pytest.mark.usefixtures("letters")
def test_a_card_is_written_with_its_gaps_and_filled(trivet: Trivet, project: Path) -> None:
    page, text = project / "card.html", project / "card.md"
    said = trivet("models", "card", "letters@1", "--html", str(page), "--markdown", str(text))
    assert said.code == 0, said.err
    assert "gaps; written to" in said.out
    assert "<h1>letters:1</h1>" in page.read_text("utf-8")
    gap = 'trivet models describe letters:1 ethics "..."'
    assert gap in text.read_text("utf-8")
    assert "ethics" in trivet("models", "describe", "letters:1").out
    written = trivet("models", "describe", "letters:1", "ethics", "nothing personal is in it")
    assert written.code == 0, written.err
    told = trivet("models", "card", "letters:1")
    assert "nothing personal is in it" in told.out
    assert gap not in told.out
    data = trivet("models", "card", "letters:1", "--json").data
    assert {section["key"] for section in data["sections"]} >= {"ethics", "training-data", "use"}
    assert trivet("models", "describe", "letters:1", "poetry", "a").code != 0
    assert trivet("models", "describe", "letters:1", "use").code != 0
    assert trivet("models", "card", "letters:9").code != 0


@pytest.mark.usefixtures("letters")
def test_lineage_is_shown_both_ways_and_drawn(trivet: Trivet, project: Path) -> None:
    page = project / "lineage.html"
    said = trivet("lineage", "letters:1", "--html", str(page))
    assert said.code == 0, said.err
    assert "made from:\n└─ run " in said.out
    assert "went into:\nnothing that is on record" in said.out
    assert "<svg" in page.read_text("utf-8")
    data = trivet("lineage", "letters:1", "--up", "--json").data
    assert [node["kind"] for node in data["nodes"]] == ["model version", "run"]
    assert trivet("lineage", "letters:1", "--up", "--down").code != 0
    assert trivet("lineage", "nobody:1").code != 0
