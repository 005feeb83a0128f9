"""`trivet models approve`, `protect` and `history`: aliases that move when people agreed."""

from argparse import Namespace

import msgspec

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import table
from trivet.core.errors import Invalid
from trivet.models.approvals import Approval
from trivet.models.facts import AliasMove
from trivet.workspace.workspace import open as open_workspace


def _approve(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        approvals = ws.models.approvals
        if not options.request:
            waiting = [each for each in approvals.requests() if each.state == "open"]
            return Answer(waiting, _requests(waiting, "nobody waits for an approval"))
        if not options.reason:
            raise Invalid("--reason is not given", code="bad-arguments", hint="Say why.")
        decide = approvals.refuse if options.refuse else approvals.approve
        found = decide(options.request, options.reason)
    where = f"{found.requested.place} to {found.requested.label}"
    return Answer(found, f"{where}: {found.state}, {len(found.given)} of {found.needed} approvals")


def _protect(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        approvals = ws.models.approvals
        if options.pattern:
            approvals.protect(options.pattern, options.approvals)
        found = approvals.protections()
    rows = [(pattern, needed) for pattern, needed in found.items()]
    return Answer(found, table(("pattern", "approvals"), rows, empty="nothing is protected"))


class _History(msgspec.Struct, frozen=True):
    moves: tuple[AliasMove, ...]
    requests: tuple[Approval, ...]


def _history(options: Namespace) -> Answer:
    name, _, alias = options.name.rpartition("@") if "@" in options.name else (options.name, "", "")
    with open_workspace(options.project) as ws:
        aliases = (alias,) if alias else ws.models.alias_names(name)
        moves = [move for each in aliases for move in ws.models.history(name, each)]
        requests = tuple(
            each
            for each in ws.models.approvals.requests()
            if each.requested.name == name and (not alias or each.requested.place == options.name)
        )
    moves.sort(key=lambda move: move.time, reverse=True)
    rows = [
        (move.time.strftime("%Y-%m-%d %H:%M"), move.alias, move.label or "-", move.by, move.reason)
        for move in moves
    ]
    text = table(("time", "alias", "version", "by", "reason"), rows, empty="no alias ever moved")
    if requests:
        text += f"\n\n{_requests(requests, '')}"
    return Answer(_History(tuple(moves), requests), text)


def _requests(items: "list[Approval] | tuple[Approval, ...]", empty: str) -> str:
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
    "history": Command(
        "Show where aliases pointed, who moved them, and what was asked for.",
        "trivet models history churn@champion",
        _history,
        (Argument("name", "`name`, or `name@alias`"),),
    ),
}
