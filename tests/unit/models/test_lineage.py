"""Lineage of what Trivet made itself: from data to predictions, and back."""

import re

import pytest
from tests.unit.models.doors import Registry

from trivet.core.errors import Invalid, NotFound
from trivet.core.ids import new_id
from trivet.serving.facts import PREDICTIONS, Prediction
from trivet.serving.records import encode_record
from trivet.workspace.lineage.graph import Direction, Lineage
from trivet.workspace.lineage.page import lineage_page
from trivet.workspace.lineage.tree import draw_tree
from trivet.workspace.lineage.walking import trace_lineage


def traced(registry: Registry, reference: str, direction: Direction = "both") -> Lineage:
    return trace_lineage(registry.stores, registry.scope.project, reference, direction=direction)


def kinds(found: Lineage) -> set[str]:
    return {f"{node.kind} {node.label}" for node in found.nodes}


@pytest.fixture
def served(registry: Registry) -> str:
    """A release with three predictions; the identifier of one of them."""
    model = registry.register()
    release = registry.releases.release("front", model, why="the first")
    ids = [new_id() for _ in range(3)]
    records = [
        encode_record(
            Prediction(
                id=each,
                time_us=1,
                endpoint="front",
                release=release.id,
                variant="champion",
                role="live",
                assignment="random",
                share=1.0,
                unit=None,
                event_us=None,
                inputs=(),
                output=b"\0\0\0\0",
                package=model.version.package,
                micros=1,
            )
        )
        for each in ids
    ]
    registry.stores.log.append(PREDICTIONS, records)
    return ids[1]


@pytest.mark.usefixtures("served")
def test_data_leads_to_the_models_and_the_predictions(registry: Registry) -> None:
    (data,) = registry.run.started.data
    found = traced(registry, data, "down")
    assert kinds(found) >= {
        "data parcels",
        "run train",
        "verdict gate lenient",
        "model version parcels:1",
        "release front #1",
        "predictions 3 predictions",
        "alias parcels@champion",
    }
    assert found.is_complete


def test_a_prediction_leads_to_the_data_and_the_code(registry: Registry, served: str) -> None:
    found = traced(registry, served, "up")
    assert kinds(found) >= {
        f"prediction {served}",
        "release front #1",
        "model version parcels:1",
        "run train",
        "data parcels",
    }
    assert any(node.kind == "code" for node in found.nodes)
    assert any(node.kind == "environment" for node in found.nodes)
    assert kinds(traced(registry, served, "down")) == {f"prediction {served}"}


def test_a_run_s_end_is_its_run_and_each_box_stands_once(registry: Registry) -> None:
    registry.register()
    found = traced(registry, "parcels:1")
    assert len({node.key for node in found.nodes}) == len(found.nodes)
    assert len(set(found.arrows)) == len(found.arrows)
    assert not [node for node in found.nodes if node.kind == "run's end"]
    lines = draw_tree(found).splitlines()
    assert sum("run train" in line and "see above" not in line for line in lines) == 1


def test_releases_do_not_lead_to_each_other(registry: Registry) -> None:
    first, second = registry.register(), registry.register()
    registry.releases.release("front", first, why="one")
    registry.releases.release("front", second, why="two")
    found = traced(registry, "parcels:1", "down")
    assert "release front #1" in kinds(found)
    assert "release front #2" not in kinds(found)


def test_the_page_breaks_long_identifiers_and_no_moment(registry: Registry) -> None:
    model = registry.register()
    page = lineage_page(traced(registry, "parcels:1"))
    assert f'<td class="identifier">{model.id}</td>' in page
    assert re.search(r'<td class="moment">\d{4}-\d\d-\d\d \d\d:\d\d</td>', page)


def test_what_is_nothing_is_not_found(registry: Registry) -> None:
    for reference in ("nothing", "0" * 32, "parcels:7", "@", "a@b"):
        with pytest.raises(NotFound):
            traced(registry, reference)
    with pytest.raises(Invalid):
        trace_lineage(registry.stores, registry.scope.project, registry.run.id, limit=0)
    with pytest.raises(Invalid):
        traced(registry, " ")
