"""Routes about facts and heads of any kind: they need no change when a room gets a new noun."""

import msgspec

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Entry, Head
from trivet.core.lineage import ancestors, descendants
from trivet.http.application import Request
from trivet.web.asking import RouteOf, get, limit_of, number_of
from trivet.workspace.workspace import Workspace


class ShownFact(msgspec.Struct, kw_only=True):
    """A fact as the API shows it: the envelope, and the payload unless it was forgotten."""

    id: str
    kind: str
    project: str
    actor: str
    reason: str
    time: str
    seq: int
    parents: tuple[str, ...]
    digest: str
    payload: msgspec.Raw | None


class ShownPage(msgspec.Struct, kw_only=True):
    """A page of facts; pass `after` on for the next one."""

    facts: list[ShownFact]
    after: int | None


class ShownWalk(msgspec.Struct, kw_only=True):
    """Lineage: the facts that were reached, and the arrows (parent, child) between them."""

    facts: list[ShownFact]
    arrows: tuple[tuple[str, str], ...]
    complete: bool


def show(entry: Entry) -> ShownFact:
    """Show an entry."""
    return ShownFact(
        id=entry.id,
        kind=entry.kind,
        project=entry.project,
        actor=entry.actor,
        reason=entry.reason,
        time=entry.time.isoformat(),
        seq=entry.seq,
        parents=entry.parents,
        digest=entry.digest,
        payload=None if entry.payload is None else msgspec.Raw(entry.payload),
    )


def _one(workspace: Workspace, request: Request) -> ShownFact:
    return show(_mine(workspace, request.values["id"]))


def _find(workspace: Workspace, request: Request) -> ShownPage:
    query = request.query()
    known = {"kind", "parent", "after", "limit"}
    where = {name: value for name, value in query.items() if name not in known}
    if where and "kind" not in query:
        raise Invalid(
            "a query by field needs the parameter kind as well",
            code="bad-query",
            hint="For example /facts?kind=model&name=churn.",
        )
    page = workspace.stores.ledger.find(
        query.get("kind"),
        where=where or None,
        parent=query.get("parent"),
        project=workspace.scope.project,
        after=number_of(request, "after"),
        limit=limit_of(request),
    )
    return ShownPage(facts=[show(entry) for entry in page.entries], after=page.after)


def _lineage(workspace: Workspace, request: Request) -> ShownWalk:
    _mine(workspace, request.values["id"])
    direction = request.query().get("direction", "up")
    if direction not in {"up", "down"}:
        raise Invalid("query parameter direction is neither up nor down", code="bad-query")
    walk_from = ancestors if direction == "up" else descendants
    walk = walk_from(workspace.stores.ledger, request.values["id"])
    return ShownWalk(
        facts=[show(entry) for entry in walk.entries], arrows=walk.arrows, complete=walk.complete
    )


def _heads(workspace: Workspace, request: Request) -> tuple[Head, ...]:
    prefix = request.query().get("prefix", "")
    return workspace.stores.ledger.heads(workspace.scope.project, prefix)


def _mine(workspace: Workspace, identifier: str) -> Entry:
    entry = workspace.stores.ledger.get(identifier)
    # A fact of another project is answered like one that does not exist.
    if entry is None or entry.project != workspace.scope.project:
        raise NotFound(f"no fact {identifier}", code="no-fact")
    return entry


_READ = Permission.READ

ROUTES: tuple[RouteOf, ...] = (
    get("/facts", _READ, "Find facts", _find, query=None, response=ShownPage),
    get("/facts/{id}", _READ, "Read one fact", _one, response=ShownFact),
    get(
        "/lineage/{id}",
        _READ,
        "Walk lineage, up or down",
        _lineage,
        query=("direction",),
        response=ShownWalk,
    ),
    get("/heads", _READ, "List heads", _heads, query=("prefix",), response=tuple[Head, ...]),
)
