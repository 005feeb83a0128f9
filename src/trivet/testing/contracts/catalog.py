"""What every `Catalog` does. Subclass `CatalogContract` and say how a folder's store is opened."""

import math
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from trivet.core.catalog import Amendment, Compare, Document, Has, Order
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import HeadMove
from trivet.core.ids import new_id
from trivet.testing.contracts.catalog_search import (
    RUNS,
    CatalogSearchContract,
    all_pages,
    amendment,
    found,
    search,
)
from trivet.testing.contracts.trio import SCOPE, OpenStores, Trio, note
from trivet.testing.processes import PROCESSES, run_together


def write_many(open_stores: OpenStores, folder: Path, process: str) -> None:
    """Write documents of its own one by one, and change one that all change."""
    stores = open_stores(folder)
    for turn in range(30):
        own = amendment(f"{process} {turn}", process, set={"turn": turn, "by": process})
        shared = amendment("shared", set={f"{process}": turn}, note={process: turn})
        if turn % 2:
            stores.catalog.write([own, shared])
        else:
            stores.ledger.commit(SCOPE.batch("r", [note(own.id)], documents=[own, shared]))
    stores.close()


def get(stores: Trio, identifier: str) -> Document | None:
    """Return a run."""
    return next(iter(stores.catalog.get(RUNS, [identifier])), None)


class CatalogContract(CatalogSearchContract):
    """The suite; `stores` is a fresh store per test."""

    def test_a_document_comes_back_whole_and_typed(self, stores: Trio) -> None:
        attributes = {"m": 1.5, "t": "茶\0😀", "whole": 3, "nan": math.nan, "zero": -0.0}
        notes = {"list": [1, {"deep": None}], "text": "x", "no": False, "float": 0.1}
        stores.catalog.write([amendment("ü/1", "group 1", set=attributes, note=notes)])
        document = get(stores, "ü/1")
        assert document is not None
        assert (document.id, document.group, document.notes) == ("ü/1", "group 1", notes)
        assert repr(document.attributes) == repr(attributes | {"whole": 3.0})

    def test_what_an_amendment_does_not_mention_stays(self, stores: Trio) -> None:
        stores.catalog.write(
            [amendment("a", set={"m": 1.0, "t": "x", "u": 2.0}, note={"x": 1, "y": 2})]
        )
        change = Amendment(
            collection=RUNS,
            id="a",
            set={"m": "now text", "new": 3.0},
            drop=("u", "never"),
            note={"x": None, "z": None, "y": [3]},
        )
        stores.catalog.write([change])
        assert get(stores, "a") == Document(
            id="a",
            group="one",
            attributes={"m": "now text", "t": "x", "new": 3.0},
            notes={"y": [3]},
        )
        assert found(stores, where=Has("u")) == found(stores, where=Compare("m", "=", 1.0)) == []
        assert found(stores, where=Compare("m", "=", "now text")) == ["a"]

    def test_an_amendment_sees_what_those_before_it_did(self, stores: Trio) -> None:
        stores.catalog.write(
            [
                amendment("a", set={"m": 1.0}, expect="new"),
                amendment("a", once={"m": 1.0, "n": 1.0}, expect="known"),
                amendment("a", remove=True),
                amendment("a", "two", set={"n": 2.0}, expect="new"),
            ]
        )
        assert get(stores, "a") == Document(id="a", group="two", attributes={"n": 2.0}, notes={})
        assert found(stores, groups=("one",)) == []

    def test_what_is_written_once_may_be_written_again_but_never_changed(
        self, stores: Trio
    ) -> None:
        once = {"p": "1", "n": math.nan}
        stores.catalog.write([amendment("a", once=once)])
        stores.catalog.write([amendment("b"), amendment("a", once={**once, "q": 1.0})])
        for change in ({"p": "2"}, {"p": 1.0}, {"n": 1.0}, {"q": math.nan}):
            with pytest.raises(Conflict) as raised:
                stores.catalog.write([amendment("b", set={"m": 1.0}), amendment("a", once=change)])
            assert raised.value.code == "other-value"
            assert raised.value.detail["name"] in change
            assert raised.value.detail["id"] == "a"
        assert found(stores, where=Has("m")) == []
        stores.catalog.write([amendment("a", set={"p": "3"})])
        assert found(stores, where=Compare("p", "=", "3")) == ["a"]

    def test_a_document_can_be_expected_to_be_new_or_known(self, stores: Trio) -> None:
        stores.catalog.write([amendment("a", expect="new")])
        with pytest.raises(Conflict) as exists:
            stores.catalog.write([amendment("b"), amendment("a", expect="new")])
        assert exists.value.code == "document-exists"
        for change in (amendment("c", remove=True), amendment("c", set={"m": 1.0})):
            with pytest.raises(NotFound) as missing:
                stores.catalog.write([amendment("b"), replace(change, expect="known")])
            assert missing.value.code == "no-document"
        with pytest.raises(Invalid):
            stores.catalog.write([amendment("b"), Amendment(collection=RUNS, id="c")])
        assert found(stores) == ["a"]

    def test_a_removed_document_is_gone_with_everything_in_it(self, stores: Trio) -> None:
        stores.catalog.write(
            amendment(name, set={"m": 1.0, "t": "x"}, note={"n": 1}) for name in "abc"
        )
        stores.catalog.write([amendment("b", remove=True), amendment("never", remove=True)])
        assert get(stores, "b") is None
        assert found(stores, where=Has("m")) == found(stores) == ["a", "c"]
        stores.catalog.write([amendment("b", "two")])
        assert get(stores, "b") == Document(id="b", group="two", attributes={}, notes={})
        assert found(stores, where=Has("t")) == ["a", "c"]

    def test_a_document_moves_to_another_group(self, stores: Trio) -> None:
        stores.catalog.write(amendment(name, set={"m": 1.0, "t": "x"}) for name in "abc")
        stores.catalog.write([amendment("b", "two", set={"m": 2.0})])
        assert found(stores, groups=("one",)) == ["a", "c"]
        assert found(stores, groups=("two",), where=Compare("t", "=", "x")) == ["b"]
        assert found(stores, order=(Order("m", falls=True),)) == ["b", "a", "c"]

    def test_hundreds_of_documents_come_and_go_in_one_group(self, stores: Trio) -> None:
        def make(numbers: range) -> None:
            stores.catalog.write(
                amendment(f"{n:03}", set={"n": n, "t": f"t{n % 5}"}, expect="new") for n in numbers
            )

        make(range(400))
        stores.catalog.write(amendment(f"{n:03}", remove=True) for n in range(0, 400, 3))
        make(range(400, 700))
        stores.catalog.write([amendment(f"{n:03}", drop=("t",)) for n in range(1, 400, 3)])
        left = [n for n in range(700) if n >= 400 or n % 3]
        pages = all_pages(stores, search(order=(Order("n"),), limit=50))
        assert [document.attributes["n"] for document in pages] == left
        with_text = [f"{n:03}" for n in left if n >= 400 or n % 3 == 2]
        assert found(stores, where=Has("t"), limit=1000) == with_text

    def test_documents_are_got_in_the_order_asked_for(self, stores: Trio) -> None:
        stores.catalog.write(amendment(name) for name in "abc")
        got = stores.catalog.get(RUNS, ["c", "never", "a"])
        assert [document.id for document in got] == ["c", "a"]
        assert stores.catalog.get("models", ["a"]) == stores.catalog.get(RUNS, []) == ()

    def test_what_was_written_or_read_is_nobody_else_s_to_change(self, stores: Trio) -> None:
        notes, attributes = {"list": [1]}, {"m": 1.0}
        stores.catalog.write([amendment("a", set=attributes, note=notes)])
        for mine in (notes, getattr(get(stores, "a"), "notes", {})):
            mine["list"].append(2)
        attributes["m"] = 2.0
        expected = Document(id="a", group="one", attributes={"m": 1.0}, notes={"list": [1]})
        assert get(stores, "a") == expected

    def test_names_are_those_that_documents_have_or_had(self, stores: Trio) -> None:
        stores.catalog.write([amendment("a", set={"params.x": 1.0, "paramsy": 1.0, "茶": "x"})])
        stores.catalog.write([amendment("a", drop=("params.x",)), amendment("b", set={"A": 1.0})])
        stores.catalog.write([Amendment(collection="models", id="a", group="g", set={"other": 1})])
        assert stores.catalog.names(RUNS) == ("A", "params.x", "paramsy", "茶")
        assert stores.catalog.names(RUNS, "params") == ("params.x", "paramsy")
        assert stores.catalog.names(RUNS, "params.") == ("params.x",)
        assert stores.catalog.names("nothing") == stores.catalog.names(RUNS, "%") == ()

    def test_names_are_told_of_some_groups_alone(self, stores: Trio) -> None:
        for at, group in enumerate(("one", "two", "two", "three")):
            names = {"params.x": 1.0, f"params.{group}": "text"}
            stores.catalog.write([amendment(str(at), group=group, set=names)])
        names = stores.catalog.names
        assert names(RUNS, groups=["two"]) == ("params.two", "params.x")
        assert names(RUNS, groups=["three", "one"]) == ("params.one", "params.three", "params.x")
        assert names(RUNS, "params.t", groups=["two", "one"]) == ("params.two",)
        assert names(RUNS, groups=[]) == names(RUNS, groups=["none"]) == ()

    @pytest.mark.parametrize(
        "changes",
        [
            {"collection": "Runs"},
            {"collection": ""},
            {"id": ""},
            {"id": "x" * 301},
            {"id": 1},
            {"id": "\ud800"},
            {"group": ""},
            {"group": "x" * 301},
            {"set": {"": 1.0}},
            {"set": {"m": None}},
            {"set": {"m": True}},
            {"set": {"m": b"x"}},
            {"set": {"m": 10**400}},
            {"set": {"m": "x" * 200_001}},
            {"set": {"m": "\ud800"}},
            {"set": {"x" * 301: 1.0}},
            {"once": {"m": [1.0]}},
            {"drop": ("",)},
            {"set": {"m": 1.0}, "once": {"m": 1.0}},
            {"set": {"m": 1.0}, "drop": ("m",)},
            {"note": {"x": object()}},
            {"note": {"x": "\ud800"}},
            {"note": {"x": 2**70}},
            {"note": {1: "x"}},
            {"remove": True, "set": {"m": 1.0}},
            {"remove": True, "expect": "new"},
        ],
    )
    def test_malformed_amendments_refuse_all_of_them(
        self, stores: Trio, changes: dict[str, Any]
    ) -> None:
        bad = replace(amendment("bad"), **changes)
        with pytest.raises(Invalid):
            stores.catalog.write([amendment("a"), bad])
        with pytest.raises(Invalid):
            stores.ledger.commit(SCOPE.batch("r", documents=[amendment("a"), bad]))
        assert found(stores) == []

    def test_documents_of_a_commit_are_there_with_its_facts(self, stores: Trio) -> None:
        fact = note()
        batch = SCOPE.batch("r", [fact], documents=[amendment("a", set={"m": 1}, expect="new")])
        receipt = stores.ledger.commit(batch)
        assert found(stores, where=Compare("m", "=", 1)) == ["a"]
        assert stores.ledger.commit(batch) == receipt  # the very same batch is taken once
        stores.ledger.commit(SCOPE.batch("r", documents=[amendment("b")]), synced=False)
        assert found(stores) == ["a", "b"]

    def test_a_refused_commit_leaves_nothing_of_its_documents(self, stores: Trio) -> None:
        stores.catalog.write([amendment("a", once={"p": "1"}, set={"m": 1.0})])
        first = note("first")
        good = amendment("new", "three", set={"fresh": 1.0})
        change = amendment("a", set={"m": 2.0, "fresh": "x"}, note={"n": 1})
        moved = HeadMove(name="head", to=first.id, expect=new_id())
        refused = [
            SCOPE.batch("r", [first], documents=[good, change, amendment("a", once={"p": "2"})]),
            SCOPE.batch("r", [first], documents=[good, change, amendment("a", expect="new")]),
            SCOPE.batch("r", [first], documents=[good, change, amendment("c", expect="known")]),
            SCOPE.batch("r", [first], documents=[good, change], heads=[moved]),
            SCOPE.batch("r", [note(parents=(new_id(),))], documents=[good, change]),
        ]
        for batch in refused:
            with pytest.raises((Conflict, NotFound)):
                stores.ledger.commit(batch)
            assert stores.ledger.since(0) == ()
            assert found(stores, where=Has("fresh")) == []
            assert found(stores, where=Compare("m", "=", 1.0)) == found(stores) == ["a"]
            assert stores.catalog.names(RUNS) == ("m", "p")
        stores.ledger.commit(SCOPE.batch("r", [first], documents=[good, change]))
        assert found(stores, where=Has("fresh")) == ["a", "new"]

    def test_what_was_written_is_there_when_the_store_is_opened_again(self, tmp_path: Path) -> None:
        self.needs_processes()
        opener = type(self).open_stores
        stores = opener(tmp_path / "again")
        stores.catalog.write([amendment("a", set={"m": 1.0})], synced=False)
        stores.close()
        stores = opener(tmp_path / "again")
        assert found(stores, where=Has("m")) == ["a"]
        stores.close()

    def test_four_processes_write_side_by_side(self, tmp_path: Path) -> None:
        self.needs_processes()
        opener, folder = type(self).open_stores, tmp_path / "stores"
        names = [f"process {number}" for number in range(PROCESSES)]
        run_together(write_many, [(opener, folder, name) for name in names])
        stores = opener(folder)
        for name in names:
            where = Compare("by", "=", name)
            documents = all_pages(stores, search(where=where, order=(Order("turn"),), limit=7))
            assert [document.attributes["turn"] for document in documents] == list(range(30))
            assert {document.group for document in documents} == {name}
        shared = get(stores, "shared")
        assert shared is not None
        assert shared.attributes == shared.notes == dict.fromkeys(names, 29)
        assert len(all_pages(stores, search())) == 30 * PROCESSES + 1
        stores.close()
