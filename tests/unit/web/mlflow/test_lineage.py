"""Lineage of what MLflow's clients made: by what they said of their runs, models and data."""

from typing import Any

import pytest

from trivet.core.errors import NotFound
from trivet.core.ports import Stores
from trivet.workspace.lineage.graph import Lineage
from trivet.workspace.lineage.page import lineage_page
from trivet.workspace.lineage.tree import draw_tree
from trivet.workspace.lineage.walking import trace_lineage

DATASET = {
    "name": "customers",
    "digest": "a1b2",
    "source_type": "local",
    "source": "customers.csv",
}


@pytest.fixture
def made(wire: Any, operator: Any) -> dict[str, str]:
    """A run with data and code that logs a model, which is registered, copied, and used."""
    tags = [
        {"key": "mlflow.source.name", "value": "train.py"},
        {"key": "mlflow.source.git.commit", "value": "c" * 40},
    ]
    run = wire.run(run_name="train", tags=tags)
    used = {"tags": [{"key": "mlflow.data.context", "value": "training"}], "dataset": DATASET}
    wire.post("runs/log-inputs", run_id=run, datasets=[used])
    answer = wire.post("logged-models", experiment_id="0", name="forest", source_run_id=run)
    model = answer["model"]["info"]["model_id"]
    for name in ("churn", "copies"):
        wire.post("registered-models/create", name=name)
    wire.post("model-versions/create", name="churn", source=f"models:/{model}", model_id=model)
    wire.post("model-versions/create", name="copies", source="models:/churn/1")
    operator.post("registered-models/alias", name="churn", alias="best", version="1")
    other = wire.run(run_name="evaluate")
    wire.post("runs/log-inputs", run_id=other, models=[{"model_id": model}])
    return {"run": run, "model": model, "other": other}


def shown(found: Lineage) -> set[str]:
    return {f"{node.kind} {node.label}" for node in found.nodes}


def test_a_version_leads_to_its_data_and_code(made: dict[str, str], stores: Stores) -> None:
    found = trace_lineage(stores, "flights", "churn:1", direction="up")
    assert shown(found) == {
        "model version churn:1",
        "logged model forest",
        "run train",
        "data customers",
        "code cccccccccccc",
    }
    del made


def test_a_version_leads_to_its_copies_and_aliases(made: dict[str, str], stores: Stores) -> None:
    found = trace_lineage(stores, "flights", "churn@best", direction="down")
    assert shown(found) == {
        "model version churn:1",
        "alias churn@best",
        "model version copies:1",
    }
    del made


def test_a_data_set_of_a_program_leads_to_the_models(made: dict[str, str], stores: Stores) -> None:
    found = trace_lineage(stores, "flights", "customers@a1b2", direction="down")
    assert shown(found) >= {
        "data customers",
        "run train",
        "logged model forest",
        "model version churn:1",
        "model version copies:1",
        "run evaluate",
        "alias churn@best",
    }
    with pytest.raises(NotFound):
        trace_lineage(stores, "flights", "customers@other")
    assert made


def test_a_run_that_used_a_model_leads_back_to_it(made: dict[str, str], stores: Stores) -> None:
    found = trace_lineage(stores, "flights", made["other"], direction="up")
    assert shown(found) >= {"run evaluate", "logged model forest", "run train", "data customers"}
    both = trace_lineage(stores, "flights", made["model"])
    assert shown(both) >= {"run train", "run evaluate", "model version churn:1"}


def test_another_project_sees_nothing(made: dict[str, str], stores: Stores) -> None:
    for reference in ("churn:1", made["run"], made["model"], "customers@a1b2"):
        with pytest.raises(NotFound):
            trace_lineage(stores, "letters", reference)


def test_it_is_drawn_as_lines_and_as_a_page(made: dict[str, str], stores: Stores) -> None:
    found = trace_lineage(stores, "flights", "churn:1")
    lines = draw_tree(found)
    assert "made from:\n└─ logged model forest" in lines
    assert "   └─ run train" in lines
    assert "went into:" in lines
    page = lineage_page(found)
    assert page.count("<rect") == len(found.nodes)
    for node in found.nodes:
        assert node.label in page
    assert made


def test_a_walk_that_meets_its_limit_says_so(made: dict[str, str], stores: Stores) -> None:
    found = trace_lineage(stores, "flights", "churn:1", direction="up", limit=2)
    assert not found.is_complete
    assert len(found.nodes) == 3
    known = {node.key for node in found.nodes}
    assert all({arrow.source, arrow.target} <= known for arrow in found.arrows)
    assert "there is more" in draw_tree(found)
    assert made


def test_names_that_would_break_a_page_do_not(wire: Any, stores: Stores) -> None:
    name = '<script>alert("x")</script>\u202e&'.replace("/", "|").replace("\u202e", "")
    wire.post("registered-models/create", name=name)
    run = wire.run(run_name="</svg><script>")
    wire.post("model-versions/create", name=name, source=f"runs:/{run}/model")
    page = lineage_page(trace_lineage(stores, "flights", f"{name}:1"))
    assert "<script" not in page
