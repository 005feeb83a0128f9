"""Back-fills of a workspace: checked against the flow, rehearsed, and executed here and now."""

from collections.abc import Iterable

import msgspec

from trivet.core.errors import Invalid
from trivet.data.naming import suggest
from trivet.pipelines.inputs import parameter_kinds
from trivet.pipelines.requests import PAST
from trivet.triggers.backfills import BackfillStatus, PartitionStatus
from trivet.workspace.settings import FOLDER
from trivet.workspace.supervision import Supervisor, Tell, is_supervised, part_of
from trivet.workspace.workspace import Workspace


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """What a back-fill would do about one partition."""

    partition: str
    action: str
    """`done`, `remember` or `run`; for a task that exists, its state."""
    because: str = ""


def check_flow(workspace: Workspace, flow: str, parameters: Iterable[str]) -> None:
    """Check that a flow takes parameters of these names.

    Raises:
        Invalid: It does not; the hint names one that it takes.
        NotFound: There is no such flow.
    """
    known = parameter_kinds(workspace.pipelines.load_flow(flow))
    for name in parameters:
        if name not in known:
            raise Invalid(
                f"flow {flow!r} has no parameter {name!r}",
                code="no-parameter",
                hint=suggest(name, known),
            )


def rehearse(workspace: Workspace, status: BackfillStatus) -> tuple[Rehearsed, ...]:
    """Say what each partition would do, without running a step.

    The flow's own lines are run, as in `trivet run --plan`.
    """
    return tuple(_rehearsed(workspace, status, item) for item in status.partitions)


def _rehearsed(workspace: Workspace, status: BackfillStatus, item: PartitionStatus) -> Rehearsed:
    if item.state != "waiting":
        return Rehearsed(partition=item.label, action=item.state, because=item.reason)
    try:
        plan = workspace.pipelines.plan(status.spec.flow, **(status.spec.parameters | item.values))
    except Exception as error:  # noqa: BLE001  # the user's own lines: the other partitions go on
        because = f"it cannot be planned: {type(error).__name__}: {error}"
        return Rehearsed(partition=item.label, action="run", because=because)
    if plan.complete and not plan.to_run:
        return Rehearsed(partition=item.label, action="remember", because="every step is known")
    steps = ", ".join(dict.fromkeys(step.step for step in plan.to_run))
    return Rehearsed(partition=item.label, action="run", because=f"to do: {steps or 'the flow'}")


def has_daemon(workspace: Workspace) -> bool:
    """Whether `trivet up` runs on this project, with runners that execute back-fills."""
    return workspace.settings.up.runners > 0 and is_supervised(workspace.folder / FOLDER)


def fill_here(workspace: Workspace, name: str, tell: Tell) -> int | None:
    """Execute a back-fill to its end, in runner processes of its own.

    A Ctrl-C ends the runs under way in order and gives their tasks back; the same call goes on.

    Args:
        workspace: Whose back-fill it is.
        name: The back-fill.
        tell: Where to say what happens.

    Returns:
        The signal that ended it before its end; None when it was carried through.
    """
    status = workspace.backfills.status(name)
    left = status.count("waiting", "ready", "running")
    workers = min(status.spec.at_once, left)
    parts = [
        part_of(f"runner {number + 1}", workspace.folder, "--queue", PAST)
        for number in range(workers)
    ]

    def look() -> None:
        workspace.backfills.feed(name)
        if not workspace.backfills.is_open(name):
            supervisor.stop()

    supervisor = Supervisor(parts, tell, look)
    workspace.backfills.feed(name)
    if workers:
        supervisor.run()
    return supervisor.signal
