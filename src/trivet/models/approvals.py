"""Approvals: protected aliases and stages move when enough people agreed to this very content."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.facts import Draft, Entry, Fact, HeadMove, Scope, draft, read
from trivet.core.ids import check_id
from trivet.core.ports import Ledger
from trivet.core.search import find_all
from trivet.models.facts import (
    AliasProtected,
    ApprovalGiven,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalUsed,
    VersionStage,
)

State = Literal["open", "approved", "refused", "used"]

_PROTECTION: Final = "protection/"
_MOST: Final = 10
_MOST_PATTERN: Final = 500


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What an alias shall point at: a version with the digest of its content and its verdict."""

    model: str | None
    label: str
    digest: str = ""
    verdict: str | None = None


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it stands."""

    id: str
    requested: ApprovalRequested
    by: str
    state: State
    needed: int
    given: tuple[str, ...]
    """Who approved it."""


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """What the commit of a move must write beside it; nothing when nothing is protected."""

    facts: tuple[Draft, ...] = ()
    moves: tuple[HeadMove, ...] = ()


class Approvals:
    """The protections and approvals of one project.

    Args:
        ledger: Where they are recorded.
        scope: Project and actor.
    """

    def __init__(self, ledger: Ledger, scope: Scope) -> None:
        self._ledger = ledger
        self._scope = scope

    def protect(self, pattern: str, approvals: int) -> None:
        """Demand approvals for aliases, or with 0 no longer.

        Args:
            pattern: `champion`, `prod*`, `churn@champion`, `stage/Production`; `*` and `?` stand
                for any characters and one.
            approvals: How many people must approve, 0 to 10.

        Raises:
            Invalid: The pattern is empty, or the number out of range.
        """
        if not 0 < len(pattern) <= _MOST_PATTERN or not pattern.isprintable():
            raise Invalid(
                "the pattern is empty, too long or not printable",
                code="bad-pattern",
                hint="Write for example champion, churn@champion or stage/Production.",
            )
        if not 0 <= approvals <= _MOST:
            raise Invalid(f"approvals is {approvals}; expected 0 to {_MOST}", code="bad-approvals")
        fact = draft(AliasProtected(pattern=pattern, approvals=approvals))
        head = HeadMove(name=_PROTECTION + pattern, to=fact.id)
        self._commit(f"protect {pattern} by {approvals} approvals", [fact], [head])

    def protections(self) -> dict[str, int]:
        """Return how many approvals each pattern demands."""
        heads = self._ledger.heads(self._scope.project, _PROTECTION)
        facts = (read(self._ledger.get(head.target), AliasProtected) for head in heads)
        return {fact.pattern: fact.approvals for fact in facts if fact.approvals}

    def needed(self, place: str) -> int:
        """Return how many approvals a place demands, `name@alias` or `name@stage/Production`."""
        alias = place.rpartition("@")[2]
        demands = (
            approvals
            for pattern, approvals in self.protections().items()
            if fnmatchcase(place if "@" in pattern else alias, pattern)
        )
        return max(demands, default=0)

    def demand(self, name: str, alias: str, content: Callable[[], Content]) -> Passage:
        """Return what a move must write beside it; refuse it, and ask for approval, without one.

        Args:
            name: The registered name.
            alias: The alias, or `stage/` and a stage.
            content: Tells what it shall point at; asked only where something is protected.

        Raises:
            Forbidden: It is protected, and not approved (code `approval-needed`). A request is
                open then, and the message names it.
        """
        place = f"{name}@{alias}"
        needed = self.needed(place)
        if not needed:
            return Passage()
        wanted = content()
        alike = [each for each in self.requests(place) if _is_about(each.requested, wanted)]
        for approval in alike:
            if approval.state == "approved":
                used = draft(ApprovalUsed(request=approval.id), parents=[approval.id])
                move = HeadMove(name=_used_head(approval.id), to=used.id, expect=None)
                return Passage(facts=(used,), moves=(move,))
        open_ = next((each for each in alike if each.state == "open"), None)
        raise _not_approved(place, open_ or self._ask(place, name, wanted), needed)

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
        entry = self._ledger.get(check_id(request, "request"))
        if entry is None or entry.project != self._scope.project:
            raise NotFound(f"no request {request}", code="no-request")
        return self._approval(entry)

    def approve(self, request: str, reason: str) -> Approval:
        """Approve a request in one's own name.

        Raises:
            NotFound: There is no such request.
            Invalid: No reason is given.
            Forbidden: It is one's own (code `own-request`).
            Conflict: It is decided already, or one has approved it (code `decided`).
        """
        return self._decide(request, ApprovalGiven(request=request, reason=_reason(reason)))

    def refuse(self, request: str, reason: str) -> Approval:
        """Refuse a request, once and for all. One may refuse what one asked for oneself.

        Raises:
            NotFound: There is no such request.
            Invalid: No reason is given.
            Conflict: It is decided already (code `decided`).
        """
        return self._decide(request, ApprovalRefused(request=request, reason=_reason(reason)))

    # ------------------------------------------------------------------- inside

    def _ask(self, place: str, name: str, wanted: Content) -> Approval:
        requested = ApprovalRequested(
            place=place,
            name=name,
            model=wanted.model,
            label=wanted.label,
            digest=wanted.digest,
            verdict=wanted.verdict,
        )
        parents = [id_ for id_ in (wanted.model, wanted.verdict) if id_]
        fact = draft(requested, parents=parents)
        self._commit(f"ask to move {place} to {wanted.label}", [fact])
        return self.get(fact.id)

    def _decide(self, request: str, decision: ApprovalGiven | ApprovalRefused) -> Approval:
        known, me = self.get(request), self._scope.actor
        if known.state not in {"open", "approved"} or me in known.given:
            raise Conflict(
                f"the request {request} is decided: {known.state}, approved by "
                f"{', '.join(known.given) or 'nobody'}",
                code="decided",
                hint="Ask anew by moving the alias again.",
            )
        if isinstance(decision, ApprovalGiven) and me == known.by:
            raise Forbidden(
                f"{me} asked for this, and nobody approves what they asked for",
                code="own-request",
                hint="Let somebody else approve it.",
            )
        fact = draft(decision, parents=[request])
        word = "approve" if isinstance(decision, ApprovalGiven) else "refuse"
        self._commit(f"{word} {known.requested.place}: {decision.reason}", [fact])
        return self.get(request)

    def _approval(self, entry: Entry) -> Approval:
        requested = read(entry, ApprovalRequested)
        approvers = {each.actor for each in self._about(ApprovalGiven, entry.id)} - {entry.actor}
        given = tuple(sorted(approvers))
        needed = max(self.needed(requested.place), 1)
        state: State = "approved" if len(given) >= needed else "open"
        if any(self._about(ApprovalRefused, entry.id)):
            state = "refused"
        if self._ledger.head(self._scope.project, _used_head(entry.id)) is not None:
            state = "used"
        return Approval(
            id=entry.id,
            requested=requested,
            by=entry.actor,
            state=state,
            needed=needed,
            given=given,
        )

    def _about(self, kind: type[Fact], request: str) -> Iterator[Entry]:
        return find_all(
            self._ledger, kind.KIND, where={"request": request}, project=self._scope.project
        )

    def _commit(self, reason: str, facts: list[Draft], moves: list[HeadMove] | None = None) -> None:
        self._ledger.commit(self._scope.batch(reason, facts, heads=moves or []))


def stage_place(stage: VersionStage) -> str:
    """Return what stands for a stage where an alias would."""
    return f"stage/{stage}"


def _used_head(request: str) -> str:
    return f"approval/{request}"


def _is_about(requested: ApprovalRequested, wanted: Content) -> bool:
    return (requested.model, requested.digest, requested.verdict) == (
        wanted.model,
        wanted.digest,
        wanted.verdict,
    )


def _reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid("the reason is empty", code="no-reason", hint="Say why.")
    return reason.strip()


def _not_approved(place: str, approval: Approval, needed: int) -> Forbidden:
    return Forbidden(
        f"{place} is protected: {approval.requested.label} needs {needed} approvals and has "
        f"{len(approval.given)}; the request is {approval.id}",
        code="approval-needed",
        hint=f'Let others run `trivet models approve {approval.id} --reason "..."`, then try '
        "again.",
        detail={"request": approval.id, "place": place, "needed": needed},
    )
