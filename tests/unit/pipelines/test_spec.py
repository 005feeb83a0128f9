from typing import Any

import pytest

from trivet.core.errors import Invalid
from trivet.pipelines.authoring import flow
from trivet.pipelines.spec import Edge, preview

SOURCE = """
import polars as pl

@step
def load(path): ...
@step
def features(rows, power=2): ...
@step
def fit(X, rate): ...
@step
def score(model, X): ...
@effect
def announce(text): ...

@flow
def main(path: File = "data.csv", history: Data | None = None, rate: float = 0.5, *, power: int):
    X = features(load(path), power=power)
    if rate > 0:
        model = fit(X, rate=rate)
    else:
        model = fit(X, 0.1)
    folds = [score(model, fold) for fold in X]
    more = map(score, folds, X)
    announce(f"score {folds}")
    return {"model": model, "score": score(model, X), "more": more}
"""


def test_a_flow_is_drawn_from_its_source(project: Any) -> None:
    project.write(SOURCE)
    graph = preview(project.pipelines.load_flow("pipeline:main"))
    assert [(node.id, node.kind) for node in graph.nodes] == [
        *[("load", "step"), ("features", "step"), ("fit", "step"), ("fit#2", "step")],
        *[("score", "step"), ("score#2", "map"), ("announce", "effect"), ("score#3", "step")],
    ]
    assert [node.id for node in graph.nodes if node.is_conditional] == ["fit", "fit#2"]
    assert [node.id for node in graph.nodes if node.is_repeated] == ["score", "score#2"]
    assert {
        Edge(source="input:path", target="load", argument="0"),
        Edge(source="load", target="features", argument="0"),
        Edge(source="input:power", target="features", argument="power"),
        Edge(source="input:rate", target="fit", argument="rate"),
        Edge(source="features", target="score", argument="1"),
        Edge(source="score", target="announce", argument="0"),
    } <= set(graph.edges)
    assert graph.outputs == {"model": ("fit#2",), "score": ("score#3",), "more": ("score#2",)}


def test_a_flow_s_parameters_are_the_fields_of_its_form(project: Any) -> None:
    project.write(SOURCE)
    graph = preview(project.pipelines.load_flow("pipeline:main"))
    fields = [(item.name, item.kind, item.type, item.required) for item in graph.inputs]
    assert fields == [
        ("path", "file", "File", False),
        ("history", "data", "Data", False),
        ("rate", "value", "float", False),
        ("power", "value", "int", True),
    ]
    assert graph.inputs[2].default == 0.5


def test_lines_are_those_of_the_file(project: Any) -> None:
    project.write(SOURCE)
    graph = preview(project.pipelines.load_flow("pipeline:main"))
    text = (project.folder / "pipeline.py").read_text().splitlines()
    assert "load(path)" in text[graph.nodes[0].line - 1]


def test_what_is_no_flow_or_has_no_source_says_so() -> None:
    with pytest.raises(Invalid, match="no flow"):
        preview(lambda: None)
    names: dict[str, Any] = {"__name__": "cell"}
    exec("def f():\n    return 1", names)  # noqa: S102  # a function without a file
    with pytest.raises(Invalid, match="cannot be read"):
        preview(flow(names["f"]))
