"""What every `Ledger` does. Subclass `LedgerContract` and say how a folder's store is opened."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from trivet.core.errors import Conflict, Invalid, NotFound, TrivetError
from trivet.core.facts import (
    Batch,
    Draft,
    Forgotten,
    HeadMove,
    HeadMoved,
    Inbox,
    Link,
    Receipt,
    Scope,
    TaskNew,
    ViewPut,
    draft,
    read,
)
from trivet.core.ids import new_id
from trivet.core.ports import Damage, Ledger, View
from trivet.testing.contracts.ledger_machine import run_histories
from trivet.testing.contracts.ledger_search import OTHERS, SearchContract
from trivet.testing.contracts.trio import SCOPE, Note, OpenStores, Trio, note
from trivet.testing.processes import PROCESSES, run_together


def damage(ledger: Ledger) -> list[Damage]:
    """Return all damage a ledger finds in itself."""
    return [found for found in ledger.verify() if isinstance(found, Damage)]


def count_up(open_stores: OpenStores, folder: Path, times: int) -> int:
    """Raise a counter behind a head by compare-and-set, `times` times; return the lost races."""
    stores = open_stores(folder)
    races = done = 0
    while done < times:
        head = stores.ledger.head(SCOPE.project, "counter")
        before = head.target if head else None
        number = read(stores.ledger.get(before), Note).mark if before else 0
        fact = note("count", number + 1, parents=(before,) if before else ())
        move = HeadMove(name="counter", to=fact.id, expect=before)
        try:
            stores.ledger.commit(SCOPE.batch("count up", [fact], heads=[move]))
            done += 1
        except Conflict:
            races += 1
    stores.close()
    return races


class LedgerContract(SearchContract):
    """The suite; `stores` is a fresh store per test."""

    # --------------------------------------------------------------- facts

    def test_a_fact_comes_back_as_it_was_committed(self, stores: Trio) -> None:
        fact = note("tea", 7)
        receipt = stores.ledger.commit(SCOPE.batch("why not", [fact]))
        entry = stores.ledger.get(fact.id)
        assert entry is not None
        assert (entry.id, entry.kind, entry.payload) == (fact.id, Note.KIND, fact.payload)
        assert (entry.project, entry.actor, entry.reason) == ("shop", "ada", "why not")
        assert entry.parents == ()
        assert entry.seq == receipt.seq == 1
        assert read(entry, Note) == Note(about="tea", mark=7)

    def test_an_unknown_identifier_names_nothing(self, stores: Trio) -> None:
        assert stores.ledger.get(new_id()) is None

    def test_a_large_payload_and_strange_letters_come_back(self, stores: Trio) -> None:
        fact = draft(Note(about="茶 ☕ \x00 'quoted'", text="ü" * 200_000))
        stores.ledger.commit(Scope(project="größe", actor="Ада").batch("因为", [fact]))
        entry = stores.ledger.get(fact.id)
        assert entry is not None
        assert entry.payload == fact.payload
        assert (entry.project, entry.actor, entry.reason) == ("größe", "Ада", "因为")
        found = stores.ledger.find(Note.KIND, where={"about": "茶 ☕ \x00 'quoted'"})
        assert [entry.id for entry in found.entries] == [fact.id]

    def test_parents_keep_their_order(self, stores: Trio) -> None:
        first, second = note(), note()
        child = note(parents=(second.id, first.id, second.id))
        stores.ledger.commit(SCOPE.batch("a family", [first, second, child]))
        entry = stores.ledger.get(child.id)
        assert entry is not None
        assert entry.parents == (second.id, first.id, second.id)

    def test_a_missing_parent_refuses_the_whole_batch(self, stores: Trio) -> None:
        fine, orphan = note(), note(parents=(new_id(),))
        _raises(NotFound, "no-parent", stores.ledger.commit, SCOPE.batch("r", [fine, orphan]))
        assert stores.ledger.since(0) == ()

    def test_the_same_batch_again_answers_with_the_first_receipt(self, stores: Trio) -> None:
        fact = note()
        batch = SCOPE.batch(
            "once",
            [fact],
            heads=[HeadMove(name="h", to=fact.id, expect=None)],
            inbox=[Inbox(source="git", key="1")],
        )
        receipt = stores.ledger.commit(batch)
        stores.ledger.commit(SCOPE.batch("something else", [note()]))
        before = stores.ledger.since(0)
        assert stores.ledger.commit(batch) == receipt
        assert stores.ledger.since(0) == before

    def test_known_facts_are_not_written_twice_beside_new_ones(self, stores: Trio) -> None:
        known, new = note(), note()
        stores.ledger.commit(SCOPE.batch("first", [known]))
        receipt = stores.ledger.commit(SCOPE.batch("second", [known, new, new]))
        assert receipt.seq == 2
        assert [entry.id for entry in stores.ledger.since(0)] == [known.id, new.id]

    def test_a_known_fact_can_still_get_a_head(self, stores: Trio) -> None:
        fact = note()
        stores.ledger.commit(SCOPE.batch("first", [fact]))
        move = HeadMove(name="h", to=fact.id, expect=None)
        stores.ledger.commit(SCOPE.batch("second", [fact], heads=[move]))
        assert _target(stores, "h") == fact.id

    @pytest.mark.parametrize(
        "change", [{"payload": b"{}"}, {"kind": "contract.other"}, {"parents": "itself"}]
    )
    def test_an_identifier_never_gets_another_content(
        self, stores: Trio, change: dict[str, Any]
    ) -> None:
        parent, fact = note(), note()
        stores.ledger.commit(SCOPE.batch("first", [parent, fact]))
        if "parents" in change:
            change = {"parents": (parent.id,)}
        batch = SCOPE.batch("second", [note(), replace(fact, **change)])
        _raises(Conflict, "other-fact", stores.ledger.commit, batch)
        assert len(stores.ledger.since(0)) == 2

    def test_one_batch_cannot_give_an_identifier_two_contents(self, stores: Trio) -> None:
        fact = note()
        batch = SCOPE.batch("both", [fact, replace(fact, payload=b"{}")])
        _raises(Conflict, "other-fact", stores.ledger.commit, batch)
        assert stores.ledger.since(0) == ()

    @pytest.mark.parametrize(
        "fact",
        [
            replace(note(), id="../../etc/passwd"),
            replace(note(), id=new_id().upper()),
            replace(note(), parents=("x",)),
            replace(note(), kind=""),
            replace(note(), kind=HeadMoved.KIND),
            replace(note(), kind=Forgotten.KIND),
        ],
    )
    def test_malformed_and_reserved_facts_are_refused(self, stores: Trio, fact: Draft) -> None:
        with pytest.raises(Invalid):
            stores.ledger.commit(SCOPE.batch("r", [fact]))
        assert stores.ledger.since(0) == ()

    # --------------------------------------------------------------- heads

    def test_a_head_moves_and_every_move_is_a_fact(self, stores: Trio) -> None:
        first, second = note(), note()
        moves = [("to the first", first.id), ("to the second", second.id), ("away", None)]
        stores.ledger.commit(SCOPE.batch("facts", [first, second]))
        for reason, target in moves:
            stores.ledger.commit(SCOPE.batch(reason, heads=[HeadMove(name="best", to=target)]))
            assert _target(stores, "best") == target
        history = stores.ledger.find(
            HeadMoved.KIND, where={"name": "best"}, newest_first=False
        ).entries
        assert [(read(e, HeadMoved).before, read(e, HeadMoved).after) for e in history] == [
            (None, first.id),
            (first.id, second.id),
            (second.id, None),
        ]
        assert [entry.reason for entry in history] == [reason for reason, _ in moves]
        assert [entry.parents for entry in history] == [(first.id,), (second.id,), ()]

    def test_a_head_names_the_fact_that_moved_it(self, stores: Trio) -> None:
        fact = note()
        stores.ledger.commit(SCOPE.batch("r", [fact], heads=[HeadMove(name="h", to=fact.id)]))
        head = stores.ledger.head("shop", "h")
        assert head is not None
        moved = read(stores.ledger.get(head.moved_by), HeadMoved)
        assert (moved.name, moved.after) == ("h", fact.id)
        assert (head.name, head.project) == ("h", "shop")

    @pytest.mark.parametrize("expect", [None, "other"])
    def test_a_head_that_stands_elsewhere_refuses_the_batch(
        self, stores: Trio, expect: str | None
    ) -> None:
        first, other = note(), note()
        stores.ledger.commit(SCOPE.batch("r", [first, other]))
        stores.ledger.commit(SCOPE.batch("r", heads=[HeadMove(name="h", to=first.id)]))
        before = stores.ledger.since(0)
        move = HeadMove(name="h", to=other.id, expect=other.id if expect else None)
        error = _raises(
            Conflict, "head-moved", stores.ledger.commit, SCOPE.batch("r", [note()], heads=[move])
        )
        assert error.detail["found"] == first.id
        assert stores.ledger.since(0) == before
        assert _target(stores, "h") == first.id

    def test_a_head_must_point_at_a_fact(self, stores: Trio) -> None:
        batch = SCOPE.batch("r", [note()], heads=[HeadMove(name="h", to=new_id())])
        _raises(NotFound, "no-target", stores.ledger.commit, batch)
        assert stores.ledger.since(0) == ()

    def test_removing_an_absent_head_changes_nothing(self, stores: Trio) -> None:
        stores.ledger.commit(SCOPE.batch("r", heads=[HeadMove(name="h", to=None, expect=None)]))
        assert stores.ledger.since(0) == ()
        assert stores.ledger.head("shop", "h") is None

    def test_heads_are_listed_by_prefix_within_a_project(self, stores: Trio) -> None:
        fact = note()
        names = ["model/b", "model/a", "model", "model0", "release/%", "release/_"]
        stores.ledger.commit(
            SCOPE.batch("r", [fact], heads=[HeadMove(name=n, to=fact.id) for n in names])
        )
        stores.ledger.commit(OTHERS.batch("r", heads=[HeadMove(name="model/c", to=fact.id)]))

        def listed(prefix: str, project: str = "shop") -> list[str]:
            return [head.name for head in stores.ledger.heads(project, prefix)]

        assert listed("") == sorted(names)
        assert listed("model/") == ["model/a", "model/b"]
        assert listed("release/%") == ["release/%"]
        assert listed("", "bank") == ["model/c"]
        assert listed("", "nowhere") == []

    # ---------------------------------------------------------- forgetting

    def test_a_forgotten_payload_is_gone_and_the_chain_holds(self, stores: Trio) -> None:
        secret, other = note("alice"), note("bob")
        stores.ledger.commit(SCOPE.batch("r", [secret, other]))
        digest = _entry(stores, secret.id).digest
        stores.ledger.commit(_forgetting(secret.id))
        entry = _entry(stores, secret.id)
        assert (entry.payload, entry.digest) == (None, digest)
        assert stores.ledger.find(Note.KIND, where={"about": "alice"}).entries == ()
        assert len(stores.ledger.find(Note.KIND, where={"about": "bob"}).entries) == 1
        (tombstone,) = stores.ledger.find(Forgotten.KIND, where={"subject": secret.id}).entries
        assert read(tombstone, Forgotten) == Forgotten(subject=secret.id, digest=digest)
        assert (tombstone.parents, tombstone.reason) == ((secret.id,), "she asked for it")
        assert damage(stores.ledger) == []

    def test_forgetting_twice_leaves_one_tombstone(self, stores: Trio) -> None:
        fact = note()
        stores.ledger.commit(SCOPE.batch("r", [fact]))
        for _ in range(2):
            stores.ledger.commit(_forgetting(fact.id))
        assert len(stores.ledger.find(Forgotten.KIND).entries) == 1

    def test_what_was_forgotten_does_not_come_back(self, stores: Trio) -> None:
        fact = note()
        batch = SCOPE.batch("r", [fact])
        receipt = stores.ledger.commit(batch)
        stores.ledger.commit(_forgetting(fact.id))
        assert stores.ledger.commit(batch) == receipt
        assert _entry(stores, fact.id).payload is None

    def test_only_facts_of_rooms_can_be_forgotten(self, stores: Trio) -> None:
        fact = note()
        stores.ledger.commit(SCOPE.batch("r", [fact], heads=[HeadMove(name="h", to=fact.id)]))
        head = stores.ledger.head("shop", "h")
        assert head is not None
        _raises(Invalid, "reserved-kind", stores.ledger.commit, _forgetting(head.moved_by))
        _raises(NotFound, "no-fact", stores.ledger.commit, _forgetting(new_id()))

    # --------------------------------------------------------- one for all

    @pytest.mark.parametrize("fault", ["head", "parent", "inbox", "row", "forget"])
    def test_a_refused_batch_leaves_nothing_behind(self, stores: Trio, fault: str) -> None:
        seen, standing = Inbox(source="git", key="seen"), note()
        stores.views.declare(View(name="latest", columns={"key": "text"}, key=("key",)))
        stores.ledger.commit(
            SCOPE.batch("r", [standing], heads=[HeadMove(name="h", to=standing.id)], inbox=[seen])
        )
        before = stores.ledger.since(0)
        fact = note(parents=(new_id(),) if fault == "parent" else ())
        batch = SCOPE.batch(
            "r",
            [note(), fact],
            heads=[
                HeadMove(name="g", to=standing.id),
                *([HeadMove(name="h", to=None, expect=None)] if fault == "head" else []),
            ],
            tasks=[TaskNew(key="task", queue="q", body=b"")],
            inbox=[Inbox(source="git", key="new"), *([seen] if fault == "inbox" else [])],
            rows=[
                ViewPut(view="latest", row={"key": "k"}),
                *([ViewPut(view="unknown", row={})] if fault == "row" else []),
            ],
        )
        batch = replace(batch, forget=(standing.id, *([new_id()] if fault == "forget" else [])))
        with pytest.raises(TrivetError):
            stores.ledger.commit(batch)
        assert stores.ledger.since(0) == before
        assert stores.ledger.head("shop", "g") is None
        assert stores.journal.task("task") is None
        assert stores.views.find("latest") == ()
        stores.ledger.commit(SCOPE.batch("r", inbox=[Inbox(source="git", key="new")]))
        assert damage(stores.ledger) == []

    def test_an_event_that_has_arrived_before_is_a_conflict(self, stores: Trio) -> None:
        batch = SCOPE.batch("r", inbox=[Inbox(source="git", key="1")])
        stores.ledger.commit(batch)
        _raises(Conflict, "seen", stores.ledger.commit, batch)
        stores.ledger.commit(SCOPE.batch("r", inbox=[Inbox(source="svn", key="1")]))

    # ---------------------------------------------------------- the chain

    def test_every_commit_that_writes_facts_adds_one_link(self, stores: Trio) -> None:
        assert list(stores.ledger.verify()) == []
        assert stores.ledger.commit(SCOPE.batch("nothing")) == Receipt(link=0, chain="", seq=0)
        receipts = [stores.ledger.commit(SCOPE.batch("r", [note(), note()])) for _ in range(3)]
        task = TaskNew(key="k", queue="q", body=b"")
        assert stores.ledger.commit(SCOPE.batch("r", tasks=[task])) == receipts[-1]
        assert list(stores.ledger.verify()) == [
            Link(number=n, hash=receipt.chain, first_seq=2 * n - 1, last_seq=2 * n)
            for n, receipt in enumerate(receipts, 1)
        ]
        assert [receipt.seq for receipt in receipts] == [2, 4, 6]

    def test_any_history_agrees_with_a_simple_model(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        run_histories(lambda: type(self).open_stores(tmp_path_factory.mktemp("history")))

    # -------------------------------------------------- many at the same time

    def test_threads_share_a_ledger_and_one_s_conflict_is_its_own(self, stores: Trio) -> None:
        target = note()
        stores.ledger.commit(SCOPE.batch("r", [target], heads=[HeadMove(name="h", to=target.id)]))
        outcomes: list[bool] = []

        def work(number: int) -> None:
            for turn in range(10):
                moves = [HeadMove(name="h", to=target.id, expect=None)] if turn % 3 == 0 else []
                batch = SCOPE.batch("r", [note(str(number), turn)], heads=moves)
                try:
                    stores.ledger.commit(batch)
                    outcomes.append(not moves)
                except Conflict:
                    outcomes.append(bool(moves))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == [True] * 80
        assert len(stores.ledger.find(Note.KIND, limit=1000).entries) == 1 + 8 * 6
        assert damage(stores.ledger) == []

    def test_four_processes_lose_no_update(self, tmp_path: Path) -> None:
        self.needs_processes()
        folder, times = tmp_path / "stores", 25
        opener = type(self).open_stores
        run_together(count_up, [(opener, folder, times)] * PROCESSES)
        stores = opener(folder)
        head = stores.ledger.head(SCOPE.project, "counter")
        assert head is not None
        assert read(stores.ledger.get(head.target), Note).mark == PROCESSES * times
        assert len(stores.ledger.since(0)) == 2 * PROCESSES * times
        assert damage(stores.ledger) == []
        stores.close()

    def test_a_store_opened_again_is_the_same(self, tmp_path: Path) -> None:
        self.needs_processes()
        opener, fact = type(self).open_stores, note()
        first = opener(tmp_path / "stores")
        batch = SCOPE.batch("r", [fact], heads=[HeadMove(name="h", to=fact.id)])
        receipt = first.ledger.commit(batch)
        entries = first.ledger.since(0)
        first.close()
        again = opener(tmp_path / "stores")
        assert again.ledger.since(0) == entries
        assert again.ledger.commit(batch) == receipt
        assert _target(again, "h") == fact.id
        again.close()


def _forgetting(identifier: str) -> Batch:
    return replace(SCOPE.batch("she asked for it"), forget=(identifier,))


def _target(stores: Trio, name: str) -> str | None:
    head = stores.ledger.head(SCOPE.project, name)
    return head.target if head else None


def _entry(stores: Trio, identifier: str) -> Any:
    entry = stores.ledger.get(identifier)
    assert entry is not None
    return entry


def _raises(
    kind: type[TrivetError], code: str, function: Callable[[Batch], object], batch: Batch
) -> TrivetError:
    with pytest.raises(kind) as caught:
        function(batch)
    assert caught.value.code == code
    return caught.value
