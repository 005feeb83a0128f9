"""Routes by which people approve what others want with protected aliases.

The tracking server has them, too: an alias that an MLflow client may not move is of no use where
nobody can approve.
"""

from typing import Final, Literal

import msgspec

from trivet.access.permissions import Permission
from trivet.core.facts import Scope
from trivet.http.application import Request
from trivet.models.approvals import Approval, Approvals
from trivet.web.asking import RouteOf, body_as, get, post
from trivet.workspace.workspace import Workspace


class ApprovalWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What becomes of a request to move a protected alias."""

    decision: Literal["approve", "refuse"]
    reason: str


def _approvals(workspace: Workspace, _: Request) -> tuple[Approval, ...]:
    return Approvals(workspace.stores, workspace.scope).requests()


def _approve(workspace: Workspace, request: Request) -> Approval:
    wish = body_as(request, ApprovalWish)
    scope = Scope(project=workspace.scope.project, actor=request.principal.name)
    approvals = Approvals(workspace.stores, scope)
    decide = approvals.approve if wish.decision == "approve" else approvals.refuse
    return decide(request.values["id"], wish.reason)


ROUTES: Final[tuple[RouteOf, ...]] = (
    get(
        "/approvals",
        Permission.READ,
        "List requests to move protected aliases",
        _approvals,
        response=tuple[Approval, ...],
    ),
    post(
        "/approvals/{id}",
        Permission.APPROVE,
        "Approve or refuse what another asked for",
        _approve,
        request=ApprovalWish,
        response=Approval,
    ),
)
