"""How runs begin and end, whatever happens to their processes."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

from trivet.core.errors import Conflict, Invalid, TrivetError, Unavailable
from trivet.core.facts import Claim, Scope, TaskMove, TaskNew, TaskOverride, draft, read
from trivet.core.ids import NAME_PATTERN, new_id, sha256_hex
from trivet.core.ports import Stores, Task
from trivet.core.search import find_all
from trivet.core.tasks import fenced
from trivet.pipelines.assets import Assets
from trivet.pipelines.context import Definition
from trivet.pipelines.facts import CancelAsked
from trivet.pipelines.failures import Terminated, add_note, describe_failure
from trivet.pipelines.inputs import Inputs
from trivet.pipelines.loading import name_of
from trivet.pipelines.logs.masking import without_secrets
from trivet.pipelines.requests import FOREGROUND, PAST
from trivet.pipelines.running import OnEvent, RunUnderWay
from trivet.pipelines.tenure import LEASE_S, Tenure, hold, is_gone, leave, new_owner
from trivet.tracking.facts import Output, Run, RunStarted, RunStatus
from trivet.tracking.service import Along, Attempt, TrackingService

_TRIES = 100
_SWEPT = 20
_LOOKED_BACK = 1000
"""So many runs of a flow are looked through for the one that is resumed."""
_PAGE = 50
_CANCELS = 100
_UNWINDS = timedelta(minutes=2)
"""How long a cancelled run may take to record its end itself."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How a run was asked for, besides its parameters."""

    asked_by: str | None = None
    request: str | None = None
    again: Collection[str] = ()
    on_event: OnEvent | None = None


class UnderWay(NamedTuple):
    """A run with who answers its calls, and by what right it writes."""

    run: Run
    caller: RunUnderWay
    tenure: Tenure


class Lifecycle:
    """Begins and ends the runs of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        tracking: The tracking room.
        assets: The catalogue of what runs return.
        folder: The project's folder.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        tracking: TrackingService,
        assets: Assets,
        folder: Path,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._tracking = tracking
        self._assets = assets
        self._folder = folder

    def begin(
        self, flow: Definition, inputs: Inputs, order: Order, task: Task | None
    ) -> tuple[Run, Task]:
        """Record that a run begins, behind the task that asked for it or one of its own.

        Runs for the same request that have no end by now are recorded as lost.

        Raises:
            Conflict: Somebody else holds the task by now (code `fenced`), or another process is
                carrying out the same request (`request-under-way`).
        """
        if task is not None:
            request = order.request or task.key
            self._lose(r for r in self._tracking.runs(request=request) if self._is_over(r, task))
            attempt = Attempt(
                id=new_id(),
                request=request,
                task=task.key,
                tasks=[hold(task)],
                asked_by=order.asked_by,
            )
            return self._start(flow, inputs, attempt), task
        for _ in range(_TRIES):
            attempt = self._own_attempt(flow, inputs, order)
            try:
                run = self._start(flow, inputs, attempt)
            except Conflict as error:
                # Another process has begun the same in this moment: what to do is decided anew.
                if error.code != "fenced":
                    raise
            else:
                return run, cast("Task", self._stores.journal.task(attempt.task))
        raise Unavailable(
            f"others kept beginning what flow {run_name(flow)!r} was to be run for",
            code="busy",
            hint="Run it again.",
        )

    def succeed(
        self, under_way: UnderWay, metrics: Mapping[str, float], outputs: Iterable[Output]
    ) -> Run:
        """Record that a run ended well, and its outputs as versions of assets.

        Raises:
            Conflict: The run is somebody else's by now (code `fenced`).
            Unavailable: Other runs kept moving the same assets (code `busy`).
        """
        under_way.caller.settle()
        run, tasks = under_way.run, [_end_of(under_way.tenure, "done")]
        named = tuple(outputs)
        news = () if under_way.tenure.task.queue == PAST else named
        for _ in range(_TRIES):
            facts, heads, notes = self._assets.advance(run, news)
            under_way.caller.warn(notes)
            along = Along(facts=facts, heads=heads, tasks=tasks)
            try:
                return self._tracking.finish(
                    run.id, "succeeded", metrics=metrics, outputs=named, along=along
                )
            except Conflict as error:
                if error.code != "head-moved":
                    raise
        raise Unavailable(
            f"others kept moving the assets of flow {run.started.name!r} while run {run.id} ended",
            code="busy",
            hint="Run it again; its steps are remembered.",
        )

    def fail(self, under_way: UnderWay, error: BaseException) -> BaseException:
        """Record that a run ended in an error, was interrupted, cancelled, or taken over.

        Returns:
            What is to be raised: the error itself, or what it stands for.
        """
        run, _, tenure = under_way
        is_stopped = isinstance(error, KeyboardInterrupt | Terminated)
        try:
            is_ours = tenure.look()
        except TrivetError:
            is_ours = True  # the store is away: recording the end will say so
        if tenure.is_cancelled:
            self._end(under_way, "cancelled", error, None)
            return Conflict(f"run {run.id} was cancelled", code="run-cancelled")
        if not is_ours and self._tracking.get(run.id).status == "succeeded":
            add_note(error, f"run {run.id} had ended well before")
            return error
        if not is_ours:
            add_note(error, f"run {run.id} was taken over by another process meanwhile")
            return fenced(tenure.task.key) if is_stopped else error
        self._end(
            under_way,
            "cancelled" if is_stopped else "failed",
            error,
            _end_of(tenure, "cancelled" if is_stopped else "done"),
        )
        return error

    def cancel(self, run_id: str, reason: str) -> Run:
        """Cancel a run, wherever it runs; see `PipelinesService.cancel`."""
        run = self._tracking.get(run_id)
        key = run.started.task
        if run.finished is not None or key is None:
            raise Conflict(
                f"run {run_id} is {run.status}; expected one that is under way",
                code="run-finished",
                hint="List those that run: `trivet runs --status running`.",
            )
        task = self._stores.journal.task(key)
        asked = draft(CancelAsked(run=run_id), parents=[run_id])
        override = TaskOverride(key=key, state="cancelled")
        self._stores.ledger.commit(self._scope.batch(reason, [asked], tasks=[override]))
        if task is None or is_gone(task):
            return self._tracking.finish(run_id, "cancelled", error=reason)
        return run

    def sweep(self) -> tuple[Run, ...]:
        """Record the end of runs whose process is gone: lost, or cancelled; return them."""
        journal = self._stores.journal
        lost: list[Run] = []
        for task in journal.tasks(FOREGROUND, state="running"):
            if is_gone(task):
                runs = self._tracking.runs(request=task.body.decode())
                lost += self._lose(run for run in runs if run.started.task == task.key)
        asked_for = (
            *(
                task
                for task in journal.tasks(state="running")
                if task.queue != FOREGROUND and is_gone(task)
            ),
            *journal.tasks(state="failed", limit=_SWEPT),
        )
        for task in asked_for:
            runs = self._tracking.runs(request=task.key)
            # Read again, after its runs: a retry may have begun another one meanwhile.
            now = journal.task(task.key)
            if now is not None and (now.state == "failed" or is_gone(now)):
                lost += self._lose(runs)
        return tuple(lost + self._end_cancelled())

    def retry(self, key: str, reason: str) -> Task:
        """Send a dead letter again; see `PipelinesService.retry`."""
        task = self._stores.journal.task(key)
        if task is not None and task.state not in {"failed", "cancelled"}:
            raise Conflict(
                f"task {key!r} is {task.state}; expected one that failed or was cancelled",
                code="task-open",
            )
        if task is not None and task.queue == FOREGROUND:
            raise Conflict(
                f"task {key!r} is that of a run which a person began; no runner takes it",
                code="not-asked-for",
                hint="Run the flow again: `trivet run` goes on where it stood.",
            )
        change = TaskOverride(key=key, state="ready")
        self._stores.ledger.commit(self._scope.batch(reason, tasks=[change]))
        return cast("Task", self._stores.journal.task(key))

    def _start(self, flow: Definition, inputs: Inputs, attempt: Attempt) -> Run:
        return self._tracking.start(
            run_name(flow),
            entry=name_of(flow),
            folder=self._folder,
            parameters=inputs.parameters,
            data=inputs.data,
            assets=inputs.assets,
            attempt=attempt,
        )

    def _own_attempt(self, flow: Definition, inputs: Inputs, order: Order) -> Attempt:
        """Return an attempt with a task of its own, which two processes cannot both begin.

        Raises:
            Conflict: Another process is carrying out the request (code `request-under-way`).
        """
        run_id = new_id()
        request = order.request or self._resumed(flow, name_of(flow), inputs) or run_id
        before = self._tracking.runs(request=request) if request != run_id else ()
        for run in before:
            if run.finished is None and not self._is_over(run, None):
                raise Conflict(
                    f"request {request!r} is being carried out by run {run.id}",
                    code="request-under-way",
                    hint=f"Wait for its end, or cancel it: `trivet runs cancel {run.id}`.",
                )
        self._lose(before)
        # Named after what it follows: whoever follows the same asks for the same task, and the
        # hold that goes with it is refused to all but one.
        after = before[0].id if before else sha256_hex(request.encode())[:32]
        owner = new_owner()
        new = TaskNew(
            key=f"{FOREGROUND}/{self._scope.project}/after-{after}",
            queue=FOREGROUND,
            body=request.encode(),
            max_attempts=1,
            claim=Claim(owner, LEASE_S),
        )
        mine = TaskMove(key=new.key, owner=owner, epoch=1, state="running")
        return Attempt(
            id=run_id, request=request, task=new.key, tasks=[new, mine], asked_by=order.asked_by
        )

    def _resumed(self, flow: Definition, entry: str, inputs: Inputs) -> str | None:
        """Return the request of the last run with these parameters, if that is not fulfilled."""
        wanted = (entry, dict(inputs.parameters))
        for run_id, started in self._started(run_name(flow)):
            if (started.code.entry, started.parameters) == wanted:
                run = self._tracking.get(run_id)
                if run.status == "succeeded":
                    return None
                # Whoever comes while another goes on from a failure is not to do it all again.
                goes_on = len(self._tracking.runs(request=started.request, limit=2)) > 1
                return started.request if goes_on or self._is_over(run, None) else None
        return None

    def _started(self, name: str) -> Iterator[tuple[str, RunStarted]]:
        """Yield the beginnings of the runs of a name, newest first."""
        begun = find_all(
            self._stores.ledger,
            RunStarted.KIND,
            where={"name": name},
            project=self._scope.project,
            newest_first=True,
            page=_PAGE,
        )
        for found in islice(begun, _LOOKED_BACK):
            if found.payload is not None:
                yield found.id, read(found, RunStarted)

    def _is_over(self, run: Run, successor: Task | None) -> bool:
        """Say whether a run ended without success, or was left behind by its process."""
        if run.finished is not None:
            return run.status != "succeeded"
        if successor is not None and run.started.task == successor.key:
            return True  # its epoch is over: whoever began it writes nothing more
        task = self._stores.journal.task(run.started.task or "")
        return task is None or is_gone(task)

    def _end_cancelled(self) -> list[Run]:
        """End runs that were cancelled and have not recorded it: killed, or in native code."""
        asked = self._stores.ledger.find(
            CancelAsked.KIND, project=self._scope.project, limit=_CANCELS
        )
        ended: list[Run] = []
        for entry in asked.entries:
            if entry.payload is None or datetime.now(UTC) - entry.time < _UNWINDS:
                continue
            run = self._tracking.get(read(entry, CancelAsked).run)
            if run.finished is None:
                with suppress(Conflict):  # it has ended in this moment
                    ended.append(self._tracking.finish(run.id, "cancelled", error=entry.reason))
        return ended

    def _lose(self, runs: Iterable[Run]) -> list[Run]:
        """Record runs that have no end as lost; whoever wakes up again writes nothing more."""
        lost: list[Run] = []
        for run in runs:
            if run.finished is None:
                task = self._stores.journal.task(run.started.task or "")
                ends: list[TaskOverride] = []
                if task is not None and task.queue == FOREGROUND:
                    ends.append(TaskOverride(key=task.key, state="cancelled"))
                along = Along(tasks=ends)
                error = "its process ended without recording an end"
                with suppress(Conflict):  # somebody else has recorded its end in this moment
                    lost.append(self._tracking.finish(run.id, "lost", error=error, along=along))
        return lost

    def _end(
        self,
        under_way: UnderWay,
        status: RunStatus,
        error: BaseException,
        change: TaskMove | None,
    ) -> None:
        run, caller, tenure = under_way
        step = caller.step_that_failed(error)
        text = without_secrets(describe_failure(error, step, self._folder))
        try:
            if change is not None:
                caller.settle()
            tasks = () if change is None else (change,)
            self._tracking.finish(run.id, status, error=text, along=Along(tasks=tasks))
        except TrivetError as trouble:
            # The user's error is the one to raise; the run will look like one that was lost.
            leave(tenure.task)
            add_note(error, f"the end of run {run.id} could not be recorded: {trouble}")
        if step is None:
            add_note(error, f"in flow {run.started.name!r} of run {run.id}")


def name_runs(function: str) -> str:
    """Return how the runs of a function of this name are called: lower-case, as names are."""
    return function.lower().strip("_") or "flow"


def run_name(flow: Definition) -> str:
    """Name a flow's runs, as `name_runs` does.

    Raises:
        Invalid: Nothing that a name may be can be made of it.
    """
    name = name_runs(flow.name)
    if NAME_PATTERN.fullmatch(name) is None:
        raise Invalid(
            f"flow {flow.name!r} cannot give its runs a name; expected at most 64 of the letters "
            "a-z, digits and '_'",
            code="bad-name",
            hint="Rename the function; steps and parameters may be called as you like.",
        )
    return name


def _end_of(tenure: Tenure, state: str) -> TaskMove:
    """Return what becomes of the task with the run's end: one's own ends, another's is held."""
    is_own = tenure.task.queue == FOREGROUND
    return msgspec.structs.replace(tenure.hold, state=state) if is_own else tenure.hold
