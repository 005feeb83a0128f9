"""Routes by which people approve what others want with protected aliases.

The tracking server has them, too, for each of its projects: an alias that an MLflow client may not
move is of no use where nobody can approve.
"""

from typing import Final, Literal

import msgspec

from trivet.access.permissions import Permission
from trivet.core.facts import Scope
from trivet.http.application import Handler, Request
from trivet.http.routes import Route
from trivet.models.approvals import Approval, Approvals
from trivet.web.asking import body_as, get, post
from trivet.workspace.workspace import Workspace

ROOT: Final = "/approvals"


class ApprovalWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What becomes of a request to move a protected alias."""

    decision: Literal["approve", "refuse"]
    reason: str


def approval_routes(workspace: Workspace, project: str) -> tuple[Route[Handler], ...]:
    """Build the routes of one project's approvals."""

    def requests(workspace: Workspace, _: Request) -> tuple[Approval, ...]:
        scope = Scope(project=project, actor=workspace.scope.actor)
        return Approvals(workspace.stores, scope).requests()

    def decide(workspace: Workspace, request: Request) -> Approval:
        wish = body_as(request, ApprovalWish)
        scope = Scope(project=project, actor=request.principal.name)
        approvals = Approvals(workspace.stores, scope)
        decided = approvals.approve if wish.decision == "approve" else approvals.refuse
        return decided(request.values["id"], wish.reason)

    listing = get(
        ROOT,
        Permission.READ,
        "List requests to move protected aliases",
        requests,
        response=tuple[Approval, ...],
    )
    deciding = post(
        f"{ROOT}/{{id}}",
        Permission.APPROVE,
        "Approve or refuse what another asked for",
        decide,
        request=ApprovalWish,
        response=Approval,
    )
    return listing(workspace), deciding(workspace)


def is_approving(route: Route[Handler]) -> bool:
    """Say whether a route is one of these, of the project at the root."""
    return route.path == ROOT or route.path.startswith(f"{ROOT}/")
