"""Approvals: protected aliases and stages move when enough people agreed to this very content."""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from trivet.access.standing import same_person, was_handed_out_by, was_revoked
from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.facts import Draft, Entry, Fact, HeadMove, Scope, draft, read
from trivet.core.ids import check_id
from trivet.core.ports import Stores
from trivet.core.search import find_all
from trivet.models.contents import Content, Contents, Described
from trivet.models.facts import (
    ApprovalGiven,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalUsed,
)
from trivet.models.freezing import Freezing
from trivet.models.names import head_of
from trivet.models.protections import Protections
from trivet.models.remarks import AliasForced
from trivet.models.standing import deprecation_of

State = Literal["open", "approved", "refused", "used", "obsolete"]
"""How a request stands; obsolete is one whose version was deleted before it was decided."""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it stands."""

    id: str
    requested: ApprovalRequested
    by: str
    state: State
    needed: int
    given: tuple[str, ...]
    """Who approved it, and is still believed."""
    void: tuple[str, ...] = ()
    """Whose approval does not count any more: the token behind it was revoked."""


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """What the commit of a move must write beside it; nothing when nothing is protected."""

    facts: tuple[Draft, ...] = ()
    moves: tuple[HeadMove, ...] = ()
    expect: str | UnsetType | None = UNSET
    """Where the alias must stand in that moment; anywhere when nothing is protected."""


class Approvals:
    """The protections and approvals of one project.

    Args:
        stores: Where they are recorded.
        scope: Project and actor.
        contents: Tells what versions are made of.
    """

    def __init__(self, stores: Stores, scope: Scope, contents: Described | None = None) -> None:
        self._ledger = stores.ledger
        self._scope = scope
        self._contents = contents or Contents(stores, scope)
        self._protections = Protections(stores.ledger, scope)
        self._freezing = Freezing(stores, scope, self._contents, self._protections)

    def protect(self, pattern: str, approvals: int) -> None:
        """Demand approvals for aliases, or with 0 no longer.

        The files of versions at which a protected alias points are frozen.

        Args:
            pattern: `champion`, `prod*`, `churn@champion`, `stage/Production`; `*` and `?` stand
                for any characters and one.
            approvals: How many people must approve, 0 to 10.

        Raises:
            Invalid: The pattern is empty, or the number out of range.
        """
        fact, head = self._protections.protecting(pattern, approvals)
        self._commit(f"protect {pattern} by {approvals} approvals", [fact], [head])
        facts, moves = self._freezing.freeze_protected()
        moves += self._freezing.thawed()
        if moves:
            self._commit(f"freeze what {pattern} protects", facts, moves)

    def protections(self) -> dict[str, int]:
        """Return how many approvals each pattern demands."""
        return self._protections.all()

    def needed(self, place: str) -> int:
        """Return how many approvals a place demands, `name@alias` or `name@stage/Production`."""
        return self._protections.needed(place)

    def demand(
        self, name: str, alias: str, content: Callable[[], Content], *, force: str = ""
    ) -> Passage:
        """Return what a move must write beside it; refuse it, and ask for approval, without one.

        Args:
            name: The registered name.
            alias: The alias, or `stage/` and a stage.
            content: Tells what it shall point at; asked only where something is protected.
            force: Why it shall point at a version that is deprecated, all the same.

        Raises:
            Forbidden: It is protected, and the version is deprecated (code `deprecated`), or the
                move is not approved (`approval-needed`). A request is open then, and the message
                names it.
        """
        place = f"{name}@{alias}"
        needed = self.needed(place)
        if not needed:
            return Passage()
        wanted, before = content(), self._before(name, alias)
        forced = self._forced(place, wanted, force)
        alike = [each for each in self.requests(place) if _is_about(each, wanted, before)]
        for approval in alike:
            if approval.state == "approved":
                used = draft(ApprovalUsed(request=approval.id), parents=[approval.id])
                move = HeadMove(name=_decided_head(approval.id), to=used.id, expect=None)
                expect = UNSET if alias.startswith("stage/") else before
                return Passage(facts=(used, *forced), moves=(move,), expect=expect)
        open_ = next((each for each in alike if each.state == "open"), None)
        raise _not_approved(place, open_ or self._ask(place, name, wanted, before), needed)

    def requests(self, place: str | None = None) -> tuple[Approval, ...]:
        """Return requests, newest first: all, or those about one place."""
        where = {} if place is None else {"place": place}
        found = find_all(
            self._ledger,
            ApprovalRequested.KIND,
            where=where,
            project=self._scope.project,
            newest_first=True,
        )
        return tuple(self._approval(entry) for entry in found if entry.payload is not None)

    def get(self, request: str) -> Approval:
        """Return a request.

        Raises:
            NotFound: There is none of this identifier in this project.
        """
        return self._approval(self._entry(request))

    def approve(self, request: str, reason: str) -> Approval:
        """Approve a request in one's own name. The version's files are frozen from then on.

        Raises:
            NotFound: There is no such request.
            Invalid: No reason is given.
            Forbidden: It is one's own (code `own-request`).
            Conflict: It is decided already, or one has approved it (code `decided`); or what was
                asked for has changed since (`changed`).
        """
        known = self._demand_undecided(request, ApprovalGiven(request=request, reason=reason))
        requested = known.requested
        frozen: tuple[list[Draft], list[HeadMove]] = ([], [])
        if requested.model is not None and requested.digest:
            why = f"{requested.label} was approved for {requested.place}"
            frozen = self._freezing.freeze(requested.model, why)
            now = self._contents.of(requested.model)
            is_same = (now.digest, now.verdict) == (requested.digest, requested.verdict)
            if not is_same or self._freezing.is_deleted(requested.model):
                raise _changed(requested)
        given = ApprovalGiven(request=request, reason=_reason(reason))
        return self._decide(known, given, *frozen)

    def refuse(self, request: str, reason: str) -> Approval:
        """Refuse a request, once and for all. One may refuse what one asked for oneself.

        Raises:
            NotFound: There is no such request.
            Invalid: No reason is given.
            Conflict: It is decided already (code `decided`).
        """
        refusal = ApprovalRefused(request=request, reason=_reason(reason))
        known = self._demand_undecided(request, refusal)
        refused = self._decide(known, refusal, [], [])
        if known.requested.model is not None:
            self._let_go([known.requested.model], f"thaw what {request} had frozen")
        return refused

    def thawing(self, models: list[str]) -> list[HeadMove]:
        """Return what lets go of the files of versions that are being deleted."""
        return self._freezing.thawed(models, gone=True)

    # ------------------------------------------------------------------- inside

    def _let_go(self, models: list[str], reason: str) -> None:
        moves = self._freezing.thawed(models)
        if moves:
            self._commit(reason, [], moves)

    def _before(self, name: str, alias: str) -> str | None:
        if alias.startswith("stage/"):
            return None
        head = self._ledger.head(self._scope.project, head_of(name, alias))
        return None if head is None else head.target

    def _forced(self, place: str, wanted: Content, force: str) -> tuple[Draft, ...]:
        """Refuse a deprecated version, or return the fact that it shall be all the same."""
        if wanted.model is None or not wanted.digest:
            return ()
        found = deprecation_of(self._ledger, self._scope.project, wanted.model)
        if found is None:
            return ()
        if not force.strip():
            raise _deprecated(place, wanted.label, found.why)
        forced = AliasForced(place=place, model=wanted.model, why=found.why, reason=force.strip())
        return (draft(forced, parents=[wanted.model, found.id]),)

    def _ask(self, place: str, name: str, wanted: Content, before: str | None) -> Approval:
        requested = ApprovalRequested(
            place=place,
            name=name,
            model=wanted.model,
            label=wanted.label,
            digest=wanted.digest,
            verdict=wanted.verdict,
            before=before,
        )
        parents = [id_ for id_ in (wanted.model, wanted.verdict) if id_]
        fact = draft(requested, parents=parents)
        self._commit(f"ask to move {place} to {wanted.label}", [fact])
        return self.get(fact.id)

    def _demand_undecided(
        self, request: str, decision: ApprovalGiven | ApprovalRefused
    ) -> Approval:
        entry = self._entry(request)
        known, me = self._approval(entry), self._scope.actor
        _reason(decision.reason)
        mine = next((each for each in known.given if same_person(me) == same_person(each)), None)
        if known.state == "obsolete":
            raise _changed(known.requested)
        if known.state not in {"open", "approved"}:
            raise _decided(known)
        if mine is not None:
            raise _given(known, mine)
        if isinstance(decision, ApprovalGiven):
            project = self._scope.project
            is_own = same_person(me) == same_person(known.by)
            if is_own or was_handed_out_by(self._ledger, project, me, known.by, entry.time):
                raise _own(me, known.by)
        return known

    def _decide(
        self,
        known: Approval,
        decision: ApprovalGiven | ApprovalRefused,
        facts: list[Draft],
        moves: list[HeadMove],
    ) -> Approval:
        fact = draft(decision, parents=[known.id])
        word = "approve"
        # Whoever approves or refuses what is used or refused in this very moment comes too late.
        decided = HeadMove(name=_decided_head(known.id), to=None, expect=None)
        if isinstance(decision, ApprovalRefused):
            word, decided = "refuse", HeadMove(name=decided.name, to=fact.id, expect=None)
        reason = f"{word} {known.requested.place}: {decision.reason}"
        try:
            self._commit(reason, [fact, *facts], [decided, *moves])
        except Conflict as error:
            if error.detail.get("name") == decided.name:
                raise _decided(self.get(known.id)) from error
            raise
        return self.get(known.id)

    def _entry(self, request: str) -> Entry:
        entry = self._ledger.get(check_id(request, "request"))
        is_known = entry is not None and entry.kind == ApprovalRequested.KIND
        if entry is None or not is_known or entry.project != self._scope.project:
            raise NotFound(
                f"no request {request}",
                code="no-request",
                hint="`trivet models approve` lists those that wait.",
            )
        return entry

    def _approval(self, entry: Entry) -> Approval:
        requested = read(entry, ApprovalRequested)
        given, void = self._approvers(entry)
        needed = max(self.needed(requested.place), 1)
        state: State = "approved" if len(given) >= needed else "open"
        head = self._ledger.head(self._scope.project, _decided_head(entry.id))
        decision = None if head is None else self._ledger.get(head.target)
        if decision is not None:
            state = "used" if decision.kind == ApprovalUsed.KIND else "refused"
        elif any(self._about(ApprovalRefused, entry.id)):
            state = "refused"
        elif requested.model is not None and self._freezing.is_deleted(requested.model):
            state = "obsolete"
        return Approval(
            id=entry.id,
            requested=requested,
            by=entry.actor,
            state=state,
            needed=needed,
            given=given,
            void=void,
        )

    def _approvers(self, entry: Entry) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return who approved a request, each person once; and whose word counts no more."""
        project = self._scope.project
        given: dict[str, str] = {}
        void: set[str] = set()
        for each in self._about(ApprovalGiven, entry.id):
            person = same_person(each.actor)
            if person == same_person(entry.actor):
                continue
            if was_revoked(self._ledger, project, each.actor, each.time):
                void.add(each.actor)
            else:
                given.setdefault(person, each.actor)
        return tuple(sorted(given.values())), tuple(sorted(void - set(given.values())))

    def _about(self, kind: type[Fact], request: str) -> Iterator[Entry]:
        return find_all(
            self._ledger, kind.KIND, where={"request": request}, project=self._scope.project
        )

    def _commit(self, reason: str, facts: list[Draft], moves: list[HeadMove] | None = None) -> None:
        self._ledger.commit(self._scope.batch(reason, facts, heads=moves or []))


def _decided_head(request: str) -> str:
    return f"approval/{request}"


def _is_about(approval: Approval, wanted: Content, before: str | None) -> bool:
    known = approval.requested
    return (known.model, known.digest, known.verdict, known.before) == (
        wanted.model,
        wanted.digest,
        wanted.verdict,
        before,
    )


def _reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid("the reason is empty", code="no-reason", hint="Say why.")
    return reason.strip()


def _given(known: Approval, by: str) -> Conflict:
    return Conflict(
        f"{by} has approved the request {known.id} already, and counts once",
        code="decided",
        hint="Others approve or refuse it now.",
    )


def _decided(known: Approval) -> Conflict:
    return Conflict(
        f"the request {known.id} is decided: {known.state}, approved by "
        f"{', '.join(known.given) or 'nobody'}",
        code="decided",
        hint="Ask anew by moving the alias again.",
    )


def _own(me: str, by: str) -> Forbidden:
    return Forbidden(
        f"{me} asked for this, and nobody approves what they asked for"
        if same_person(me) == same_person(by)
        else f"{by} asked for this, and then issued {me}'s token: nobody approves what they asked "
        "for",
        code="own-request",
        hint="Let somebody else approve it.",
    )


def _changed(requested: ApprovalRequested) -> Conflict:
    return Conflict(
        f"{requested.label} is not what was asked for any more: it was deleted, or its files or "
        "its verdict changed",
        code="changed",
        hint="Let it be asked for anew: move the alias again.",
    )


def _deprecated(place: str, label: str, why: str) -> Forbidden:
    return Forbidden(
        f"{label} is deprecated ({why}), and {place} is protected",
        code="deprecated",
        hint="Choose another version; or `trivet models alias ... --force WHY`, which is recorded.",
    )


def _not_approved(place: str, approval: Approval, needed: int) -> Forbidden:
    return Forbidden(
        f"{place} is protected: {approval.requested.label} needs {needed} approvals and has "
        f"{len(approval.given)}; the request is {approval.id}",
        code="approval-needed",
        hint=f'Let others run `trivet models approve {approval.id} --reason "..."`, then try '
        "again.",
        detail={"request": approval.id, "place": place, "needed": needed},
    )
