"""Versions of models found by what was measured of them, by alias and by tag."""

from collections.abc import Callable
from typing import Any

import pytest

from trivet.core.catalog import Amendment, Search
from trivet.core.errors import Invalid
from trivet.core.facts import Scope, draft
from trivet.core.gates import Finding, Gate, check
from trivet.core.ports import Stores
from trivet.models.documents import REGISTERED, new_version
from trivet.models.facts import LoggedVersion
from trivet.models.service import ModelsService
from trivet.tracking.facts import Run


def gate_of(auc: float) -> Gate:
    """A gate that passes everything and measures one figure."""

    def measure(_: Any) -> Finding:
        evidence = {"metrics": {"auc": [auc, auc - 0.1, auc + 0.1]}}
        return Finding(check="quality", ok=True, summary="fine", evidence=evidence, rows=10)

    return Gate(name="lenient", checks=(check("quality")(measure),))


@pytest.fixture
def models(
    stores: Stores, scope: Scope, service: ModelsService, a_run: Callable[..., Run], trained: Any
) -> ModelsService:
    """Two packaged versions of `parcels`, one of `letters`, and a logged one of `letters`."""
    run = a_run()
    package = service.package(trained.candidate, run=run)
    for name, auc in (("parcels", 0.7), ("parcels", 0.9), ("letters", 0.8)):
        verdict, _ = service.judge(name, package, gate_of(auc), {}, run=run)
        model = service.register(name, package, run=run, verdict_id=verdict)
    service.set_alias("letters", "champion", model, "it is the only one")
    service.set_alias("parcels", "champion", service.get("parcels:1"), "older, and proven")
    service.set_alias("parcels", "next", service.get("parcels:2"), "better")
    (known,) = [d for d in names(stores) if d.attributes["name"] == "letters"]
    made = LoggedVersion(
        name="letters", registered=known.id, version=2, source="runs:/x/m", tags={"team": "blue"}
    )
    fact = draft(made)
    document: Amendment = new_version(scope.project, fact.id, made, user="bob", now_ms=5)
    stores.ledger.commit(scope.batch("log", [fact], documents=[document]))
    return service


def names(stores: Stores) -> Any:
    return stores.catalog.search(Search(collection=REGISTERED)).documents


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["letters:2", "letters:1", "parcels:2", "parcels:1"]),
        ("metrics.auc > 0.75", ["letters:1", "parcels:2"]),
        ("name = 'parcels' AND version >= 2", ["parcels:2"]),
        ("alias = 'champion'", ["letters:1", "parcels:1"]),
        ("alias LIKE 'n%' OR tags.team = 'blue'", ["letters:2", "parcels:2"]),
        ("alias IN ('next', 'champion') AND name = 'parcels'", ["parcels:2", "parcels:1"]),
        ("alias IS NULL", ["letters:2"]),
        ("alias IS NOT NULL AND metrics.auc < 0.75", ["parcels:1"]),
        ("alias = 'nobody'", []),
        ("kind = 'logged'", ["letters:2"]),
        ("kind != 'logged' AND name LIKE 'let%'", ["letters:1"]),
        ("user = 'bob' AND made < '2013-01-01'", ["letters:2"]),
        ("made > '2013-01-01'", ["letters:1", "parcels:2", "parcels:1"]),
    ],
)
def test_a_filter_finds_versions(models: ModelsService, text: str, expected: list[str]) -> None:
    assert [version.label for version in models.search(text).versions] == expected


def test_versions_are_ordered_page_by_page(models: ModelsService) -> None:
    turned: list[str] = []
    after = None
    while True:
        page = models.search(order="metrics.auc DESC", limit=1, after=after)
        turned += [version.label for version in page.versions]
        after = page.after
        if after is None:
            break
    assert turned == ["parcels:2", "letters:1", "parcels:1", "letters:2"]


def test_a_version_says_what_is_known_of_it(models: ModelsService) -> None:
    (found,) = models.search("alias = 'next'").versions
    assert (found.kind, found.aliases, found.metrics) == ("packaged", ("next",), {"auc": 0.9})
    assert found.id == models.get("parcels:2").id
    (logged,) = models.search("kind = 'logged'").versions
    assert (logged.tags, logged.metrics, logged.run) == ({"team": "blue"}, {}, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("metrics.auk > 1", "there is no 'metrics.auk' at character 1"),
        ("params.x = 'a'", "'params'"),
        ("version = 'two'", "expected a number"),
        ("kind = 'boxed'", "no version is of the kind 'boxed'"),
        ("nam = 'x'", "'nam' specified at character 1"),
    ],
)
def test_a_wrong_filter_is_told(models: ModelsService, text: str, told: str) -> None:
    with pytest.raises(Invalid) as refused:
        models.search(text)
    assert told in str(refused.value)


def test_there_is_no_order_of_aliases(models: ModelsService) -> None:
    with pytest.raises(Invalid, match="cannot be ordered by 'alias'"):
        models.search(order="alias")
