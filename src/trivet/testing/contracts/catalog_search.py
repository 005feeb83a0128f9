"""How a `Catalog` is searched: a part of its suite."""

import math
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.core.catalog import (
    Amendment,
    Compare,
    Condition,
    Document,
    Either,
    Every,
    Has,
    OneOf,
    Operator,
    Order,
    Search,
    Value,
)
from trivet.core.errors import Invalid
from trivet.testing.contracts import catalog_model as model
from trivet.testing.contracts.trio import OnTrio, Trio

RUNS = "runs"


def amendment(identifier: str, group: str = "one", **changes: Any) -> Amendment:
    """Make a change of a run."""
    return Amendment(collection=RUNS, id=identifier, group=group, **changes)


def search(**changes: Any) -> Search:
    """Make a search among runs."""
    return Search(collection=RUNS, **changes)


def found(stores: Trio, **changes: Any) -> list[str]:
    """Search and return identifiers."""
    page = stores.catalog.search(search(**changes))
    return [document.id for document in page.documents]


def all_pages(stores: Trio, wanted: Search) -> list[Document]:
    """Follow a search to its end."""
    documents: list[Document] = []
    while True:
        page = stores.catalog.search(wanted)
        assert len(page.documents) <= wanted.limit
        documents += page.documents
        if page.after is None:
            return documents
        assert len(page.documents) == wanted.limit
        wanted = Search(
            collection=wanted.collection,
            groups=wanted.groups,
            where=wanted.where,
            order=wanted.order,
            after=page.after,
            limit=wanted.limit,
        )


class CatalogSearchContract(OnTrio):
    """Conditions, orders, groups and pages."""

    def test_notes_are_left_out_when_they_are_not_wanted(self, stores: Trio) -> None:
        stores.catalog.write([amendment("a", set={"m": 1}, note={"words": ["x"]})])
        (whole,) = stores.catalog.search(search()).documents
        (bare,) = stores.catalog.search(search(with_notes=False)).documents
        assert (whole.attributes, whole.notes) == ({"m": 1}, {"words": ["x"]})
        assert (bare.attributes, bare.notes) == ({"m": 1}, {})
        assert stores.catalog.get(RUNS, ["a"]) == (whole,)

    @pytest.mark.parametrize(
        ("operator", "value", "expected"),
        [
            ("=", 1, "b"),
            ("!=", 1, "acd"),
            ("<", 1, "a"),
            ("<=", 1, "ab"),
            (">", 1, "c"),
            (">=", 1.0, "bc"),
            ("=", math.nan, ""),
            ("!=", math.nan, "abcd"),
            ("<", math.nan, ""),
            ("=", "1", "e"),
            ("!=", "1", "fg"),
            (">", "1", "fg"),
            ("<=", "x", "e"),
            ("<", "茶", "ef"),
        ],
    )
    def test_numbers_are_compared_with_numbers_and_text_with_text(
        self, stores: Trio, operator: Operator, value: Value, expected: str
    ) -> None:
        there = (-math.inf, 1, 1e300, math.nan, "1", "xy", "茶")
        stores.catalog.write(
            amendment(name, set={"m": value}) for name, value in zip("abcdefg", there, strict=True)
        )
        stores.catalog.write([amendment("without")])
        assert found(stores, where=Compare("m", operator, value)) == list(expected)

    @pytest.mark.parametrize(
        ("operator", "pattern", "expected"),
        [
            ("like", "model", "a"),
            ("like", "model%", "ac"),
            ("like", "%odel-%", "c"),
            ("like", "m_del", "a"),
            ("like", "_____", "abe"),
            ("like", "%", "abcdef"),
            ("like", "[m]odel", ""),
            ("like", "*", ""),
            ("like", "mo", ""),
            ("like", "%\n%", "d"),
            ("ilike", "MODEL", "ab"),
            ("ilike", "m%É", "f"),
            ("ilike", "strass_", ""),
            ("ilike", "straß%", "e"),
        ],
    )
    def test_patterns_mean_the_whole_text(
        self, stores: Trio, operator: Operator, pattern: str, expected: str
    ) -> None:
        there = ("model", "MODEL", "model-2\\%", "two\nlines", "STRAß", "mariné")
        stores.catalog.write(
            amendment(name, set={"t": text}) for name, text in zip("abcdef", there, strict=True)
        )
        stores.catalog.write([amendment("number", set={"t": 1.0})])
        assert found(stores, where=Compare("t", operator, pattern)) == list(expected)

    def test_conditions_are_joined_and_negated(self, stores: Trio) -> None:
        stores.catalog.write(
            [
                amendment("a", set={"m": 1.0, "t": "x"}),
                amendment("b", set={"m": 2.0}),
                amendment("c", set={"t": "y"}),
                amendment("d", set={"m": math.nan}),
                amendment("e"),
            ]
        )
        low, text = Compare("m", "<", 2), Has("t")
        cases: list[tuple[Condition, str]] = [
            (Every(()), "abcde"),
            (Either(()), ""),
            (Every((low, text)), "a"),
            (Either((low, text)), "ac"),
            (Has("m"), "abd"),
            (Has("m", negated=True), "ce"),
            (Has("never", negated=True), "abcde"),
            (OneOf("m", (1, 2.0, "y")), "ab"),
            (OneOf("m", (1.0, math.nan), negated=True), "bd"),
            (OneOf("m", (), negated=True), "abd"),
            (OneOf("t", ()), ""),
            (Every((Either((low, text)), Has("m", negated=True))), "c"),
        ]
        for condition, expected in cases:
            assert found(stores, where=condition) == list(expected), condition

    @pytest.mark.parametrize(
        ("falls", "expected"), [(False, "caebdfgh"), (True, "beacfdgh")], ids=["rising", "falling"]
    )
    def test_numbers_stand_before_text_then_nan_and_last_what_is_missing(
        self, stores: Trio, expected: str, *, falls: bool
    ) -> None:
        there = {
            "a": 1.0,
            "b": math.inf,
            "c": -math.inf,
            "d": "",
            "e": 1.5,
            "f": "1",
            "g": math.nan,
        }
        stores.catalog.write(amendment(name, set={"m": value}) for name, value in there.items())
        stores.catalog.write([amendment("h")])
        assert found(stores, order=(Order("m", falls=falls),)) == list(expected)

    def test_ties_are_broken_by_further_orders_and_then_by_identifiers(self, stores: Trio) -> None:
        stores.catalog.write(
            amendment(name, set={"m": m, "t": t})
            for name, m, t in (("d", 0.0, "x"), ("c", -0.0, "x"), ("b", 0.0, "y"), ("a", 1.0, "z"))
        )
        assert found(stores, order=(Order("m"), Order("t", falls=True))) == ["b", "c", "d", "a"]
        assert found(stores, order=(Order("never"),)) == ["a", "b", "c", "d"]

    def test_long_text_is_compared_whole_and_ordered_by_its_beginning(self, stores: Trio) -> None:
        long = "x" * 150_000
        texts = {"a": long + "b", "b": long + "a", "c": long[:200], "d": long[:199]}
        stores.catalog.write(amendment(name, set={"t": text}) for name, text in texts.items())
        for name, text in texts.items():
            assert found(stores, where=Compare("t", "=", text)) == [name]
            assert found(stores, where=OneOf("t", (text,))) == [name]
        assert found(stores, where=Compare("t", ">", long)) == ["a", "b"]
        assert found(stores, where=Compare("t", "<", long)) == ["c", "d"]
        assert found(stores, where=Compare("t", "like", "%xb")) == ["a"]
        assert found(stores, where=Compare("t", "ilike", "%XA")) == ["b"]
        wanted = search(order=(Order("t"),), limit=1)
        pages = all_pages(stores, wanted)
        assert [document.id for document in pages] == ["d", "a", "b", "c"]
        assert pages[1].attributes == {"t": texts["a"]}

    def test_no_pattern_takes_long_to_fail(self, stores: Trio) -> None:
        stores.catalog.write([amendment("a", set={"t": "a" * 200_000})])
        assert found(stores, where=Compare("t", "like", "%a" * 900 + "%b")) == []

    def test_a_search_keeps_to_its_collection_and_groups(self, stores: Trio) -> None:
        stores.catalog.write([amendment("a", "one"), amendment("b", "two"), amendment("c", "x:y")])
        other = Amendment(collection="models", id="a", group="one", set={"m": 1.0})
        stores.catalog.write([other])
        assert found(stores) == ["a", "b", "c"]
        assert found(stores, groups=("two", "one", "two", "none")) == ["a", "b"]
        assert found(stores, groups=("x:y",)) == ["c"]
        assert found(stores, groups=()) == found(stores, groups=("One",)) == []
        (model,) = stores.catalog.search(Search(collection="models")).documents
        assert (model.group, model.attributes) == ("one", {"m": 1.0})
        assert stores.catalog.search(Search(collection="nothing")).documents == ()

    def test_thousands_of_groups_and_values_are_no_trouble(self, stores: Trio) -> None:
        stores.catalog.write(
            amendment(f"{number:04}", f"group {number}", set={"m": number, "t": f"text {number}"})
            for number in range(3000)
        )
        groups = tuple(f"group {number}" for number in range(0, 40_000, 2))
        texts = OneOf("t", tuple(f"text {number}" for number in range(40_000)), negated=True)
        numbers = OneOf("m", tuple(range(2, 40_000)))
        assert len(found(stores, groups=groups, limit=5000)) == 1500
        assert found(stores, groups=groups, where=numbers, limit=2) == ["0002", "0004"]
        assert found(stores, where=Every((numbers, texts))) == []

    def test_a_page_says_whether_there_are_more(self, stores: Trio) -> None:
        stores.catalog.write(amendment(name, set={"m": 1.0, "t": "x"}) for name in "abc")
        order = (Order("m"), Order("t"), Order("never"))
        page = stores.catalog.search(search(order=order, limit=2))
        assert page.after == (1.0, "x", None, "b")
        (last,) = stores.catalog.search(search(order=order, limit=2, after=page.after)).documents
        assert last.id == "c"
        assert stores.catalog.search(search(limit=3)).after is None
        assert stores.catalog.search(search(after=("c",))).documents == ()

    def test_pages_go_on_while_other_documents_change(self, stores: Trio) -> None:
        still = {f"still {number:03}" for number in range(150)}
        stores.catalog.write(
            amendment(name, set={"m": float(number % 7)}) for number, name in enumerate(still)
        )
        stores.catalog.write(amendment(f"moving {number}", set={"m": 0.0}) for number in range(150))
        seen: list[str] = []
        after = None
        for turn in range(200):
            page = stores.catalog.search(search(order=(Order("m"),), after=after, limit=7))
            seen += [one.id for one in page.documents if one.id in still]
            after = page.after
            if after is None:
                break
            stores.catalog.write(
                [
                    amendment(f"moving {turn % 150}", set={"m": float(turn % 9)}),
                    amendment(f"moving {turn + 30}", remove=True),
                    amendment(f"new {turn}", set={"m": float(turn % 5)}),
                ]
            )
        assert after is None
        assert sorted(seen) == sorted(still)

    @pytest.mark.parametrize(
        "changes",
        [
            {"limit": 0},
            {"limit": 50_001},
            {"after": ()},
            {"after": (1.0,)},
            {"after": (1.0, "a")},
            {"after": ("a",), "order": (Order("m"),)},
            {"after": (True, "a"), "order": (Order("m"),)},
            {"after": ((), "a"), "order": (Order("m"),)},
            {"where": Compare("m", "like", 1.0)},
            {"where": Compare("m", "like", "%" * 2001)},
            {"where": Compare("m", cast("Operator", "~"), 1.0)},
            {"where": Compare("m", "=", cast("Value", None))},
            {"where": Compare("m", "=", 10**400)},
            {"where": OneOf("m", (True,))},
            {"where": Compare("m", "=", "\ud800")},
            {"where": Every((Has("m"),) * 2001)},
            {"order": (Order("m"),) * 51},
        ],
    )
    def test_senseless_searches_are_refused(self, stores: Trio, changes: dict[str, Any]) -> None:
        stores.catalog.write([amendment("a", set={"m": 1.0})])
        with pytest.raises(Invalid):
            stores.catalog.search(search(**changes))

    def test_a_condition_nested_too_deep_is_refused(self, stores: Trio) -> None:
        condition: Condition = Has("m")
        for _ in range(100_000):
            condition = Every((condition,))
        with pytest.raises(Invalid):
            stores.catalog.search(search(where=condition))
        # Taken apart by hand: a garbage collector would recurse as deep.
        while isinstance(condition, Every):
            (condition,) = condition.parts

    def test_any_search_finds_what_a_look_at_every_document_finds(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        opener = type(self).open_stores
        documents = st.lists(
            st.tuples(st.integers(0, 30), st.sampled_from(model.GROUPS), model.attributes),
            max_size=40,
        )

        @settings(max_examples=60, deadline=None)
        @given(
            documents=documents,
            where=st.none() | model.conditions,
            order=model.orders,
            groups=model.groups,
            limit=st.integers(1, 5),
        )
        def holds(
            documents: list[tuple[int, str, dict[str, Value]]],
            where: Condition | None,
            order: tuple[Order, ...],
            groups: tuple[str, ...] | None,
            limit: int,
        ) -> None:
            stores = opener(tmp_path_factory.mktemp("catalog"))
            known: dict[str, Document] = {}
            for number, group, attributes in documents:
                name = f"{number}"
                stores.catalog.write([amendment(name, remove=True)])
                stores.catalog.write([amendment(name, group, set=attributes)])
                known[name] = Document(id=name, group=group, attributes=attributes, notes={})
            wanted = search(where=where, order=order, groups=groups, limit=limit)
            assert [one.id for one in all_pages(stores, wanted)] == model.expected(known, wanted)
            assert found(
                stores, where=where, order=order, groups=groups, limit=50_000
            ) == model.expected(known, wanted)
            stores.close()

        holds()
