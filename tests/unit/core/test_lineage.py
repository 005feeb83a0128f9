import pytest

from trivet.core.errors import NotFound
from trivet.core.facts import Fact, Scope, draft
from trivet.core.ids import new_id
from trivet.core.lineage import ancestors, descendants
from trivet.core.ports import Ledger
from trivet.testing.memory_ledger import memory_database


class Made(Fact, frozen=True, kw_only=True):
    KIND = "made"
    name: str


@pytest.fixture
def ledger() -> Ledger:
    return memory_database().ledger


def add(ledger: Ledger, name: str, *parents: str) -> str:
    fact = draft(Made(name=name), parents=parents)
    ledger.commit(Scope(project="p", actor="a").batch("test", [fact]))
    return fact.id


def test_a_diamond_is_walked_once_from_either_end(ledger: Ledger) -> None:
    top = add(ledger, "top")
    left, right = add(ledger, "left", top), add(ledger, "right", top)
    bottom = add(ledger, "bottom", left, right)
    up, down = ancestors(ledger, bottom), descendants(ledger, top)
    assert [entry.id for entry in up.entries] == [bottom, left, right, top]
    assert {entry.id for entry in down.entries} == {top, left, right, bottom}
    assert set(up.arrows) == set(down.arrows)
    assert len(up.arrows) == 4


def test_a_walk_that_stops_early_says_so(ledger: Ledger) -> None:
    last = add(ledger, "0")
    for number in range(1, 20):
        last = add(ledger, str(number), last)
    assert ancestors(ledger, last).complete
    short = ancestors(ledger, last, limit=5)
    assert not short.complete
    assert len(short.entries) == 5


def test_walking_from_nothing_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        ancestors(ledger, new_id())
