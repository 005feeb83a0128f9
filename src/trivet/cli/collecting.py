"""`trivet gc`: what rules let go is removed for good, and so are bytes that nothing names."""

import sys
from argparse import Namespace
from datetime import UTC, datetime

from trivet.cli.choosing import open_chosen
from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import size, table
from trivet.cli.retention import RULE_OPTIONS, retention_of
from trivet.core.errors import Invalid
from trivet.tracking.retention.facts import Rule
from trivet.tracking.retention.rules import check_rule
from trivet.workspace.collecting import Collected, Collector, Plan
from trivet.workspace.embedded import only_collector
from trivet.workspace.retiring import Item, Retiring
from trivet.workspace.workspace import Workspace

_HOURS = 24.0
_MOST_SHOWN = 20


def _gc(options: Namespace) -> Answer:
    if not options.grace_hours >= 0:
        raise Invalid(
            f"--grace-hours is {options.grace_hours}; expected a number of hours from 0 on",
            code="bad-arguments",
        )
    with open_chosen(options) as ws:
        collector = _collector(ws, options)
        if options.dry_run:
            plan = collector.plan()
            return Answer(plan, _planned(plan))
        with only_collector(ws.opened.folder):
            if not options.yes:
                _demand_consent(collector.plan())
            done = collector.collect(None if options.json else _tell)
    return Answer(done, _done(done))


def _collector(ws: Workspace, options: Namespace) -> Collector:
    override = Rule(
        trash_days=options.trash_days,
        artifacts_days=options.artifacts_days,
        traces_days=options.traces_days,
    )
    check_rule(override)
    experiments = ws.tracking.experiments
    retiring = Retiring(
        ws.stores,
        experiments,
        retention_of(ws),
        ws.scope.project,
        now=datetime.now(UTC),
        override=override,
    )
    grace_s = options.grace_hours * 3600
    return Collector(ws.stores, ws.scope, experiments, retiring, grace_s=grace_s)


def _demand_consent(plan: Plan) -> None:
    if not sys.stdin.isatty():
        raise Invalid(
            "nobody is there to confirm what is removed for good",
            code="no-consent",
            hint="Look at `trivet gc --dry-run`, then pass --yes.",
        )
    print(_planned(plan), file=sys.stderr)
    print("Remove this for good? Type yes: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise Invalid("nothing was removed", code="no-consent", hint="Type yes, or pass --yes.")


def _tell(part: str) -> None:
    print(f"{part} ...", file=sys.stderr)


def _planned(plan: Plan) -> str:
    rows = [(what, count, size(total)) for what, (count, total) in sorted(plan.counts().items())]
    young = f"; {plan.young} more were put too recently" if plan.young else ""
    shown = [(item.what, item.id, item.experiment, item.why) for item in plan.items[:_MOST_SHOWN]]
    more = len(plan.items) - len(shown)
    lines = [
        table(("would go", "how many", "files"), rows, empty="no rule lets anything go"),
        *(["", table(("what", "which", "experiment", "why"), shown), ""] if shown else []),
        *([f"and {more} more: --json has them all", ""] if more > 0 else []),
        f"{plan.blobs} blobs, {size(plan.blob_bytes)}, would be named by nothing{young}",
    ]
    if plan.shared.blobs:
        by = ", ".join(f"{count} {kind}" for kind, count in sorted(plan.shared.by.items()))
        lines.append(
            f"{plan.shared.blobs} blobs of these, {size(plan.shared.size_bytes)}, stay: other "
            f"facts name them ({by})"
        )
    return "\n".join([*lines, *_held(plan.held)])


def _done(done: Collected) -> str:
    lines = [
        f"{len(done.items)} removed for good; {done.blobs} blobs, {size(done.blob_bytes)}, deleted"
    ]
    if done.skipped:
        lines.append(f"{len(done.skipped)} changed in that moment and stay until the next time")
    return "\n".join([*lines, *_held(done.held)])


def _held(held: tuple[Item, ...]) -> list[str]:
    if not held:
        return []
    rows = [(item.what, item.id, ", ".join(item.held_by)) for item in held[:_MOST_SHOWN]]
    more = len(held) - len(rows)
    lines = ["", table(("past its time", "which", "stays because of"), rows)]
    return [*lines, f"and {more} more: --json has them all"] if more > 0 else lines


gc = Command(
    "Remove for good what rules let go, and bytes that nothing names; --dry-run shows it first.",
    "trivet gc --dry-run",
    _gc,
    (
        Argument("--dry-run", "say what would go, and change nothing", {"action": "store_true"}),
        Argument("--yes", "do not ask before anything is removed", {"action": "store_true"}),
        *RULE_OPTIONS,
        Argument(
            "--grace-hours",
            f"leave bytes that somebody put within so many hours (default: {_HOURS:g}); as long "
            "may pass between putting bytes and naming them",
            {"type": float, "default": _HOURS, "metavar": "HOURS"},
        ),
    ),
    of_projects=True,
)
