"""`trivet models approve` and `protect`: aliases that move when people agreed."""

from argparse import Namespace
from collections.abc import Iterator, Sequence

from trivet.cli.choosing import open_chosen
from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import table
from trivet.core.errors import Invalid
from trivet.models.approvals import Approval
from trivet.models.contents import Contents
from trivet.models.standing import deprecation_of
from trivet.workspace.workspace import Workspace


def _approve(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        approvals = ws.models.approvals
        if not options.request:
            waiting = [each for each in approvals.requests() if each.state == "open"]
            text = requests_table(waiting, "nobody waits for an approval")
            warnings = [f"{each.id}: {words}" for each in waiting for words in _to_mind(ws, each)]
            return Answer(waiting, "\n".join([text, *([""] if warnings else []), *warnings]))
        if not options.reason:
            raise Invalid("--reason is not given", code="bad-arguments", hint="Say why.")
        decide = approvals.refuse if options.refuse else approvals.approve
        found = decide(options.request, options.reason)
    where = f"{found.requested.place} to {found.requested.label}"
    return Answer(found, f"{where}: {found.state}, {len(found.given)} of {found.needed} approvals")


def _to_mind(ws: Workspace, request: Approval) -> Iterator[str]:
    """Yield what somebody should know before they approve."""
    wanted = request.requested
    if wanted.model is None or not wanted.digest:
        return
    if wanted.verdict is not None and not ws.models.verdicts.get(wanted.verdict).passed:
        yield f"the gate refused {wanted.label}: `trivet models show {wanted.label}`"
    said = deprecation_of(ws.stores.ledger, ws.scope.project, wanted.model)
    if said is not None:
        yield f"{wanted.label} is {said}"
    if wanted.verdict is None and Contents(ws.stores, ws.scope).place(wanted.model) is None:
        yield f"the files of {wanted.label} are kept elsewhere and can change unnoticed"


def _protect(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        approvals = ws.models.approvals
        if options.pattern:
            approvals.protect(options.pattern, options.approvals)
        found = approvals.protections()
    rows = [(pattern, needed) for pattern, needed in found.items()]
    return Answer(found, table(("pattern", "approvals"), rows, empty="nothing is protected"))


def requests_table(items: Sequence[Approval], empty: str) -> str:
    """Lay out requests to move protected aliases."""
    rows = [
        (
            each.id,
            each.requested.place,
            each.requested.label,
            each.by,
            f"{len(each.given)} of {each.needed}",
            each.state,
        )
        for each in items
    ]
    return table(
        ("request", "alias", "version", "asked by", "approvals", "state"), rows, empty=empty
    )


VERBS: Group = {
    "approve": Command(
        "Approve what another wants with a protected alias; without a request, list what waits.",
        'trivet models approve REQUEST --reason "seen in the acceptance test"',
        _approve,
        (
            Argument("request", "the request's identifier", {"nargs": "?"}),
            Argument("--reason", "why"),
            Argument("--refuse", "refuse it instead", {"action": "store_true"}),
        ),
    ),
    "protect": Command(
        "Let aliases move only when others approved it; without a pattern, list what is protected.",
        "trivet models protect champion --approvals 1",
        _protect,
        (
            Argument(
                "pattern",
                "`champion`, `prod*`, `churn@champion` or `stage/Production`",
                {"nargs": "?"},
            ),
            Argument(
                "--approvals", "how many must approve; 0 lifts it", {"type": int, "default": 1}
            ),
        ),
    ),
}
