"""How a `Ledger` is searched and followed: a part of its suite."""

from typing import Any

import pytest

from trivet.core.errors import Invalid
from trivet.core.facts import Scope, draft
from trivet.core.ids import new_id
from trivet.testing.contracts.trio import SCOPE, Note, OnTrio, Remark, Trio, note

OTHERS = Scope(project="bank", actor="grace")


class SearchContract(OnTrio):
    """Search by kind, field, parent and project; pages; the feed."""

    def test_search_narrows_by_kind_field_parent_and_project(self, stores: Trio) -> None:
        root = note("root")
        tea, milk = note("tea", 1, parents=(root.id,)), note("milk", 1)
        remark = draft(Remark(about="tea"), parents=(root.id,))
        stores.ledger.commit(SCOPE.batch("r", [root, tea, milk, remark]))
        foreign = note("tea", 2, parents=(root.id,))
        stores.ledger.commit(OTHERS.batch("r", [foreign]))

        def found(kind: str | None = None, **search: Any) -> list[str]:
            page = stores.ledger.find(kind, **search)
            assert page.after is None
            return [entry.id for entry in page.entries]

        assert found(Note.KIND) == [foreign.id, milk.id, tea.id, root.id]
        assert found(Note.KIND, project="shop") == [milk.id, tea.id, root.id]
        assert found(project="bank") == [foreign.id]
        assert found(Note.KIND, where={"about": "tea"}) == [foreign.id, tea.id]
        assert found(Note.KIND, where={"about": "tea"}, project="shop") == [tea.id]
        assert found(Note.KIND, where={"mark": "1"}) == [milk.id, tea.id]
        assert found(Remark.KIND, where={"about": "tea"}) == [remark.id]
        assert found(parent=root.id) == [foreign.id, remark.id, tea.id]
        assert found(parent=root.id, project="shop") == [remark.id, tea.id]
        assert found(Note.KIND, parent=root.id) == [foreign.id, tea.id]
        assert found(Note.KIND, where={"about": "tea"}, parent=root.id, project="bank") == [
            foreign.id
        ]
        assert found() == [foreign.id, remark.id, milk.id, tea.id, root.id]
        assert found("contract.nothing") == found(project="nowhere") == found(parent=new_id()) == []
        assert found(Note.KIND, where={"nothing": "tea"}) == []

    @pytest.mark.parametrize("newest_first", [True, False])
    @pytest.mark.parametrize(
        "search",
        [
            {},
            {"kind": Note.KIND},
            {"kind": Note.KIND, "project": "shop"},
            {"kind": Note.KIND, "where": {"about": "tea"}},
            {"parent": "root"},
        ],
    )
    def test_pages_cover_a_long_answer_without_gap_or_repeat(
        self, stores: Trio, search: dict[str, Any], *, newest_first: bool
    ) -> None:
        root = note("root")
        stores.ledger.commit(SCOPE.batch("r", [root]))
        for number in range(6):
            facts = [note("tea", n, parents=(root.id,)) for n in range(4)]
            stores.ledger.commit((SCOPE if number % 2 else OTHERS).batch("r", facts))
        if "parent" in search:
            search = {"parent": root.id}
        whole = stores.ledger.find(**search, limit=1000, newest_first=newest_first)
        seqs: list[int] = []
        after = None
        for _ in range(100):
            page = stores.ledger.find(**search, limit=3, after=after, newest_first=newest_first)
            seqs += [entry.seq for entry in page.entries]
            after = page.after
            if after is None:
                break
        assert seqs == [entry.seq for entry in whole.entries]
        assert seqs == sorted(seqs, reverse=newest_first)
        assert len(seqs) >= 12

    @pytest.mark.parametrize(
        "search",
        [
            {"where": {"about": "tea"}},
            {"kind": Note.KIND, "where": {"about": "tea", "mark": "1"}},
            {"limit": 0},
            {"limit": 1001},
            {"parent": "x"},
        ],
    )
    def test_senseless_searches_are_refused(self, stores: Trio, search: dict[str, Any]) -> None:
        with pytest.raises(Invalid):
            stores.ledger.find(**search)

    def test_the_feed_gives_every_entry_once_and_in_order(self, stores: Trio) -> None:
        for _ in range(3):
            stores.ledger.commit(SCOPE.batch("r", [note(), note()]))
        seqs: list[int] = []
        while more := stores.ledger.since(seqs[-1] if seqs else 0, limit=4):
            seqs += [entry.seq for entry in more]
        assert seqs == [1, 2, 3, 4, 5, 6]
