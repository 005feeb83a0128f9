"""Random histories of a ledger, compared step by step with the simplest possible model."""

from collections.abc import Callable
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from msgspec import UNSET
from msgspec.structs import replace

from trivet.core.errors import Conflict, NotFound
from trivet.core.facts import Batch, Draft, Forgotten, HeadMove, HeadMoved, Receipt, Scope, draft
from trivet.core.ids import new_id
from trivet.core.ports import Damage
from trivet.testing.contracts.trio import Note, Trio

_SCOPES = st.sampled_from([Scope(project=p, actor=a) for p in ("x", "y") for a in ("ada", "bob")])
_NAMES = st.sampled_from(["model", "model/a", "release"])
_ABOUT = st.sampled_from(["", "a", "b", "ü"])
_several = cast("Callable[..., Any]", multiple)
_HISTORIES = 15
_STEPS = 25


class LedgerMachine(RuleBasedStateMachine):
    """Keeps the model: facts in order with their project, heads, and what was forgotten."""

    facts = Bundle("facts")
    batches = Bundle("batches")

    def __init__(self, open_stores: Callable[[], Trio]) -> None:
        super().__init__()
        self.stores = open_stores()
        self.order: list[tuple[str, str, str]] = []  # (identifier or "", kind, project)
        self.drafts: dict[str, Draft] = {}
        self.forgotten: set[str] = set()
        self.heads: dict[tuple[str, str], str] = {}
        self.links = 0

    @initialize(target=facts)
    def first_fact(self) -> Any:
        fact = draft(Note(about="a"))
        self._commit(Scope(project="x", actor="ada").batch("the first", [fact]))
        return fact

    @rule(
        target=facts,
        scope=_SCOPES,
        abouts=st.lists(_ABOUT, min_size=1, max_size=4),
        parents=st.lists(facts, max_size=3),
    )
    def write(self, scope: Scope, abouts: list[str], parents: list[Draft]) -> Any:
        ids = tuple(parent.id for parent in parents)
        drafts = [draft(Note(about=about), parents=ids) for about in abouts]
        self._commit(scope.batch("write", drafts))
        return _several(*drafts)

    @rule(target=batches, scope=_SCOPES, name=_NAMES, old=facts, right=st.booleans())
    def write_and_move(self, scope: Scope, name: str, old: Draft, *, right: bool) -> Any:
        fact = draft(Note(about="b"), parents=(old.id,))
        standing = self.heads.get((scope.project, name))
        expect = standing if right else (old.id if standing != old.id else None)
        batch = scope.batch("move", [fact], heads=[HeadMove(name=name, to=fact.id, expect=expect)])
        if expect == standing:
            return _several((batch, self._commit(batch)))
        self._refused(Conflict, batch)
        return _several()

    @rule(known=batches)
    def retry(self, known: tuple[Batch, Receipt]) -> None:
        batch, receipt = known
        assert self.stores.ledger.commit(batch) == receipt

    @rule(scope=_SCOPES, name=_NAMES, to=st.none() | facts)
    def move_blindly(self, scope: Scope, name: str, to: Draft | None) -> None:
        self._commit(scope.batch("move", heads=[HeadMove(name=name, to=to.id if to else None)]))

    @rule(scope=_SCOPES, fact=facts, name=_NAMES)
    def fail_behind_good_parts(self, scope: Scope, fact: Draft, name: str) -> None:
        orphan = draft(Note(about="a"), parents=(new_id(),))
        batch = scope.batch("fail", [draft(Note(about="a")), orphan])
        self._refused(NotFound, batch)
        batch = scope.batch("fail", heads=[HeadMove(name=name, to=fact.id)])
        self._refused(NotFound, replace(batch, forget=(fact.id, new_id())))

    @rule(scope=_SCOPES, fact=facts)
    def contradict(self, scope: Scope, fact: Draft) -> None:
        if fact.id in self.forgotten and self._project(fact.id) == scope.project:
            return
        self._refused(Conflict, scope.batch("no", [replace(fact, payload=b'{"about":"no"}')]))

    @rule(scope=_SCOPES, fact=facts)
    def forget(self, scope: Scope, fact: Draft) -> None:
        self._commit(replace(scope.batch("forget"), forget=(fact.id,)))

    @rule(about=_ABOUT, project=st.sampled_from([None, "x", "y"]))
    def search(self, about: str, project: str | None) -> None:
        found = self.stores.ledger.find(
            Note.KIND, where={"about": about}, project=project, limit=1000
        ).entries
        expected = [
            identifier
            for identifier, kind, owner in reversed(self.order)
            if kind == Note.KIND
            and identifier not in self.forgotten
            and self.drafts[identifier].index["about"] == about
            and project in {None, owner}
        ]
        assert [entry.id for entry in found] == expected

    @rule(fact=facts)
    def descend(self, fact: Draft) -> None:
        found = self.stores.ledger.find(Note.KIND, parent=fact.id, limit=1000).entries
        assert [entry.id for entry in found] == [
            identifier
            for identifier, kind, _ in reversed(self.order)
            if kind == Note.KIND and fact.id in self.drafts[identifier].parents
        ]

    @invariant()
    def the_feed_is_the_model(self) -> None:
        entries = self.stores.ledger.since(0)
        assert [entry.seq for entry in entries] == list(range(1, len(self.order) + 1))
        for entry, (identifier, kind, project) in zip(entries, self.order, strict=True):
            assert (entry.kind, entry.project) == (kind, project)
            if kind == Note.KIND:
                fact = self.drafts[identifier]
                payload = None if identifier in self.forgotten else fact.payload
                assert (entry.id, entry.parents) == (identifier, fact.parents)
                assert entry.payload == payload

    @invariant()
    def heads_stand_where_the_model_says(self) -> None:
        for project in ("x", "y"):
            standing = {head.name: head.target for head in self.stores.ledger.heads(project)}
            assert standing == {n: t for (p, n), t in self.heads.items() if p == project}

    def teardown(self) -> None:
        found = list(self.stores.ledger.verify())
        assert [item for item in found if isinstance(item, Damage)] == []
        assert len(found) == self.links
        self.stores.close()

    def _commit(self, batch: Batch) -> Receipt:
        receipt = self.stores.ledger.commit(batch)
        before = len(self.order)
        for item in batch.facts:
            self.drafts[item.id] = item
            self.order.append((item.id, item.kind, batch.project))
        for move in batch.heads:
            self._model_move(batch.project, move)
        for identifier in batch.forget:
            if identifier not in self.forgotten:
                self.forgotten.add(identifier)
                self.order.append(("", Forgotten.KIND, batch.project))
        self.links += len(self.order) > before
        assert receipt.seq == len(self.order)
        assert receipt.link == self.links
        return receipt

    def _model_move(self, project: str, move: HeadMove) -> None:
        standing = self.heads.get((project, move.name))
        assert move.expect is UNSET or move.expect == standing
        if move.to is not None:
            self.heads[project, move.name] = move.to
        elif standing is None:
            return
        else:
            del self.heads[project, move.name]
        self.order.append(("", HeadMoved.KIND, project))

    def _refused(self, kind: type[Exception], batch: Batch) -> None:
        try:
            self.stores.ledger.commit(batch)
        except kind:
            return
        raise AssertionError(f"the ledger accepted what it should refuse: {batch.reason}")

    def _project(self, identifier: str) -> str:
        return next(project for known, _, project in self.order if known == identifier)


def run_histories(open_stores: Callable[[], Trio]) -> None:
    """Run random histories, each against a fresh store."""
    run_state_machine_as_test(
        cast("Any", lambda: LedgerMachine(open_stores)),
        settings=settings(max_examples=_HISTORIES, stateful_step_count=_STEPS, deadline=None),
    )
