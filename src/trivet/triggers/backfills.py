"""Back-fills: one flow over many partitions, a run for each, in the order asked for.

Level-triggered like everything here: each look compares which partitions have a task with which
should, and adds those that are missing, never more than may run at once. A task's key is made of
the back-fill's name, the flow and the partition, so asking again changes nothing: a back-fill that
was stopped at any moment goes on where it was. What is tried again is the same task, so that
effects which it had are not repeated.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import msgspec

from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import (
    Batch,
    HeadMove,
    Inbox,
    Scope,
    TaskMove,
    TaskNew,
    TaskOverride,
    draft,
    read,
)
from trivet.core.ids import check_name, sha256_hex
from trivet.core.ports import Stores, Task, TaskState
from trivet.pipelines.requests import PAST, RunRequest, new_task
from trivet.triggers.facts import BackfillSet
from trivet.triggers.partitions import Partition, key_of, label_of, parse_axis, partitions_of

_ATTEMPTS = 3
_MOST_AT_ONCE = 256
_MOST_OPEN = 1000

State = Literal["waiting", "ready", "running", "done", "failed", "cancelled"]


class PartitionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where one partition stands."""

    label: str
    values: dict[str, str | int]
    state: State
    task: str
    """Key of its task; of the task to come while it is waiting."""
    reason: str = ""
    """Why it failed."""


class BackfillStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where a back-fill stands."""

    id: str
    spec: BackfillSet
    partitions: tuple[PartitionStatus, ...]

    def count(self, *states: State) -> int:
        """Count the partitions in some states."""
        return sum(1 for item in self.partitions if item.state in states)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do until somebody asks for more."""
        open_states: tuple[State, ...] = ("ready", "running")
        waiting: tuple[State, ...] = () if self.spec.cancelled else ("waiting",)
        return not self.count(*open_states, *waiting)


class BackfillsService:
    """Back-fills of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._ledger = stores.ledger
        self._journal = stores.journal
        self._scope = scope
        self._done: set[str] = set()

    def start(
        self,
        flow: str,
        over: Sequence[str],
        *,
        name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        newest_first: bool = False,
        at_once: int = 1,
    ) -> BackfillStatus:
        """Begin a back-fill, or go on with the one of this name.

        Args:
            flow: `module:function`.
            over: Axes, see `partitions.parse_axis`.
            name: Names the back-fill; made of what it fills when omitted, so that the same
                question is the same back-fill.
            parameters: Further parameters of every run.
            newest_first: Run the last partition first.
            at_once: How many may run at the same time.

        Raises:
            Invalid: An axis, the name or a number will not do.
            Conflict: The name stands for another back-fill (code `other-backfill`).
        """
        spec = _spec(flow, over, name, parameters, newest_first, at_once)
        before = self._named(spec.name)
        if before is None:
            return self._set(spec, None, f"back-fill {flow} over {', '.join(over)}")
        _check_same(before[1], spec)
        return self._go_on(before, at_once=at_once, newest_first=newest_first)

    def imagine(
        self,
        flow: str,
        over: Sequence[str],
        *,
        name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        newest_first: bool = False,
        at_once: int = 1,
    ) -> BackfillStatus:
        """Say what `start` of the same would find; nothing is recorded.

        Raises:
            Invalid: As `start`.
        """
        spec = _spec(flow, over, name, parameters, newest_first, at_once)
        before = self._named(spec.name)
        if before is not None:
            _check_same(before[1], spec)
            spec = msgspec.structs.replace(spec, again=before[1].again)
        return self._status(before[0] if before else "", spec)

    def retry_failed(self, name: str) -> BackfillStatus:
        """Try again what failed; what is done stays done.

        Raises:
            NotFound: There is no back-fill of this name.
        """
        identifier, old = self._get(name)
        again = self._ended(old, "failed", "cancelled")
        spec = msgspec.structs.replace(old, again=again, cancelled=False)
        return self._set(spec, identifier, f"try what failed in back-fill {name} again")

    def cancel(self, name: str, reason: str) -> BackfillStatus:
        """End a back-fill: nothing more begins, what is under way goes on to its end.

        Raises:
            NotFound: There is no back-fill of this name.
        """
        identifier, old = self._get(name)
        if not old.cancelled:
            spec = msgspec.structs.replace(old, cancelled=True)
            self._set(spec, identifier, reason)
        self.feed(name)
        return self.status(name)

    def status(self, name: str) -> BackfillStatus:
        """Say where a back-fill stands, partition by partition, in the order to run.

        Raises:
            NotFound: There is no back-fill of this name.
        """
        identifier, spec = self._get(name)
        return self._status(identifier, spec)

    def all(self) -> tuple[BackfillStatus, ...]:
        """Return every back-fill, by name."""
        heads = self._ledger.heads(self._scope.project, "backfill/")
        return tuple(self.status(head.name.removeprefix("backfill/")) for head in heads)

    def look(self) -> int:
        """Ask for what may begin in every open back-fill; return how many runs were asked for."""
        heads = self._ledger.heads(self._scope.project, "backfill-open/")
        return sum(self.feed(head.name.removeprefix("backfill-open/")) for head in heads)

    def feed(self, name: str) -> int:
        """Ask for as many runs of a back-fill as may begin now; return how many.

        Safe from several processes at once: they would ask for the same tasks.

        Raises:
            NotFound: There is no back-fill of this name.
        """
        identifier, spec = self._get(name)
        if spec.cancelled:
            self._withdraw(spec)
        waiting = (item for item in self._walk(spec) if item.state == "waiting")
        first = [] if spec.cancelled else list(islice(waiting, spec.at_once))
        # Looked up behind what waits: whoever feeds it meanwhile can only leave less to ask for.
        under_way = {task.key for task in self._open_tasks(spec, "ready", "running")}
        room = max(0, spec.at_once - len(under_way))
        chosen = [item for item in first if item.task not in under_way][:room]
        if not chosen and not under_way:
            self._close(identifier, name)
        if not chosen:
            return 0
        try:
            self._ledger.commit(self._batch_of(chosen, spec, identifier))
        except Conflict as error:
            if error.code != "seen":
                raise
            return 0  # another process fed it at this moment
        _, now = self._get(name)
        if now.cancelled:  # in this very moment: nobody else would take these back
            self._withdraw(now)
        return len(chosen)

    def _batch_of(
        self, chosen: Sequence[PartitionStatus], spec: BackfillSet, identifier: str
    ) -> Batch:
        again = [item for item in chosen if item.task in spec.again]
        tasks = [_task_of(item, spec, identifier) for item in chosen if item not in again]
        overrides = [TaskOverride(key=item.task, state="ready") for item in again]
        # Each is tried again once for each time that somebody asks for it.
        source = f"backfill-again/{self._scope.project}"
        inbox = [Inbox(source=source, key=f"{i.task}/{spec.again[i.task]}") for i in again]
        why = f"feed back-fill {spec.name}"
        return self._scope.batch(why, tasks=[*tasks, *overrides], inbox=inbox)

    def is_open(self, name: str) -> bool:
        """Whether there was something left to do at the last feeding."""
        return self._ledger.head(self._scope.project, f"backfill-open/{name}") is not None

    def _open_tasks(self, spec: BackfillSet, *states: TaskState) -> list[Task]:
        beginning = f"{self._scope.project}/backfill/{spec.name}/"
        found = [
            task
            for state in states
            for task in self._journal.tasks(PAST, state=state, limit=_MOST_OPEN)
        ]
        return [task for task in found if task.key.startswith(beginning)]

    def _withdraw(self, spec: BackfillSet) -> None:
        for task in self._open_tasks(spec, "ready"):
            move = TaskMove(
                key=task.key, owner=self._scope.actor, epoch=task.epoch, state="cancelled"
            )
            try:
                self._ledger.commit(self._scope.batch("back-fill cancelled", tasks=[move]))
            except Conflict as error:
                if error.code != "fenced":
                    raise
                # A runner took it at this moment: it goes on to its end.

    def _close(self, identifier: str, name: str) -> None:
        head = HeadMove(name=f"backfill-open/{name}", to=None, expect=identifier)
        try:
            self._ledger.commit(self._scope.batch("nothing is left to do", heads=[head]))
        except Conflict as error:
            if error.code != "head-moved":
                raise
            # Somebody asked for more, or closed it first.

    def _go_on(
        self, before: tuple[str, BackfillSet], *, at_once: int, newest_first: bool
    ) -> BackfillStatus:
        identifier, old = before
        spec = msgspec.structs.replace(
            old,
            at_once=at_once,
            newest_first=newest_first,
            cancelled=False,
            again=old.again | self._ended(old, "cancelled") if old.cancelled else old.again,
        )
        if spec == old:
            return self._status(identifier, old)
        return self._set(spec, identifier, f"go on with back-fill {old.name}")

    def _set(self, spec: BackfillSet, before: str | None, why: str) -> BackfillStatus:
        fact = draft(spec, parents=[before] if before else [])
        heads = [
            HeadMove(name=f"backfill/{spec.name}", to=fact.id, expect=before),
            HeadMove(name=f"backfill-open/{spec.name}", to=fact.id),
        ]
        self._ledger.commit(self._scope.batch(why, [fact], heads=heads))
        return self._status(fact.id, spec)

    def _named(self, name: str) -> tuple[str, BackfillSet] | None:
        head = self._ledger.head(self._scope.project, f"backfill/{name}")
        if head is None:
            return None
        return head.target, read(self._ledger.get(head.target), BackfillSet)

    def _get(self, name: str) -> tuple[str, BackfillSet]:
        found = self._named(name)
        if found is None:
            raise NotFound(
                f"no back-fill is named {name!r}",
                code="no-backfill",
                hint="List them: `trivet backfill`.",
            )
        return found

    def _status(self, identifier: str, spec: BackfillSet) -> BackfillStatus:
        return BackfillStatus(id=identifier, spec=spec, partitions=tuple(self._walk(spec)))

    def _walk(self, spec: BackfillSet) -> Iterator[PartitionStatus]:
        """Yield where each partition stands, in the order to run."""
        for partition, key in self._keys(spec):
            state, reason = self._standing(spec, key)
            yield PartitionStatus(
                label=label_of(partition), values=partition, state=state, task=key, reason=reason
            )

    def _keys(self, spec: BackfillSet) -> Iterator[tuple[Partition, str]]:
        beginning = f"{self._scope.project}/backfill/{spec.name}/"
        for partition, name in _plan(spec.flow, spec.over, spec.newest_first):
            yield partition, beginning + name

    def _standing(self, spec: BackfillSet, key: str) -> tuple[State, str]:
        if key in self._done:
            return "done", ""
        task = self._journal.task(key)
        if task is None or _is_tried_again(spec, task):
            return "waiting", ""
        if task.state == "done":
            self._done.add(key)  # and stays so; from every other state there is a way back
        return task.state, why_failed(task)

    def _ended(self, spec: BackfillSet, *states: TaskState) -> dict[str, int]:
        """Return the tasks that stand so, with their epochs."""
        keys = (key for _, key in self._keys(spec) if key not in self._done)
        found = (self._journal.task(key) for key in keys)
        return {task.key: task.epoch for task in found if task and task.state in states}


def _is_tried_again(spec: BackfillSet, task: Task) -> bool:
    is_over = task.state in {"failed", "cancelled"}
    return is_over and spec.again.get(task.key) == task.epoch


@lru_cache(maxsize=8)
def _plan(
    flow: str,
    over: tuple[str, ...],
    newest_first: bool,  # noqa: FBT001  # as the fact says
) -> tuple[tuple[Partition, str], ...]:
    """Return the partitions and what names each, in the order to run."""
    found = partitions_of([*map(parse_axis, over)], newest_first=newest_first)
    return tuple((partition, key_of(flow, partition)) for partition in found)


def _task_of(item: PartitionStatus, spec: BackfillSet, asked_by: str) -> TaskNew:
    values = spec.parameters | item.values
    asked = RunRequest(flow=spec.flow, parameters=values, asked_by=asked_by)
    task = new_task(asked, key=item.task, max_attempts=_ATTEMPTS)
    return msgspec.structs.replace(task, queue=PAST)


def why_failed(task: Task) -> str:
    """Say in one line why a task failed, from what its run printed last; empty when it did not."""
    if task.state != "failed":
        return ""
    try:
        result = msgspec.json.decode(task.result or b"{}", type=dict[str, Any])
    except msgspec.DecodeError:
        return "no reason was recorded"
    if "error" in result:
        return str(result["error"])
    lines = [line.strip() for line in str(result.get("output", "")).splitlines() if line.strip()]
    told = [line for line in lines if "the run failed:" in line]
    if told:
        return told[-1].partition("the run failed:")[2].strip()
    if not lines:
        return "its process ended without a word; it was begun as often as allowed"
    return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1])


def _spec(  # what `start` and `imagine` were given, in their order
    flow: str,
    over: Sequence[str],
    name: str | None,
    parameters: Mapping[str, Any] | None,
    newest_first: bool,  # noqa: FBT001  # the same
    at_once: int,
) -> BackfillSet:
    spec = BackfillSet(
        name=check_name(name or _name_of(flow, over, parameters or {}), "back-fill name"),
        flow=flow,
        over=tuple(over),
        parameters=dict(parameters or {}),
        newest_first=newest_first,
        at_once=_checked(at_once),
    )
    _check_spec(spec)
    return spec


def _check_same(old: BackfillSet, spec: BackfillSet) -> None:
    if (old.flow, old.over, old.parameters) != (spec.flow, spec.over, spec.parameters):
        raise Conflict(
            f"back-fill {spec.name!r} is over something else: {old.flow} {', '.join(old.over)}",
            code="other-backfill",
            hint="Choose another name, or leave --name out.",
        )


def _checked(at_once: int) -> int:
    if not 1 <= at_once <= _MOST_AT_ONCE:
        raise Invalid(
            f"at_once is {at_once}; expected 1 to {_MOST_AT_ONCE}",
            code="bad-at-once",
            hint="Each is a process of its own.",
        )
    return at_once


def _check_spec(spec: BackfillSet) -> None:
    axes = [parse_axis(text) for text in spec.over]
    partitions_of(axes)
    both = {axis.parameter for axis in axes} & set(spec.parameters)
    if both:
        raise Invalid(
            f"the parameter {min(both)!r} is both gone over and set",
            code="bad-over",
            hint="Leave one of the two out.",
        )


def _name_of(flow: str, over: Sequence[str], parameters: Mapping[str, Any]) -> str:
    packed = msgspec.json.encode([flow, list(over), dict(parameters)], order="sorted")
    word = "".join(c if c.isascii() and c.isalnum() else "-" for c in flow.rpartition(":")[2])
    return f"{word.lower().strip('-')[:40] or 'flow'}-{sha256_hex(packed)[:8]}"
