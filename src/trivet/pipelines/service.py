"""The pipelines room's service: flows are run, planned, and their results read back."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Scope, read
from trivet.core.ports import Stores, Task, TaskState
from trivet.data.naming import suggest
from trivet.pipelines.assets import Assets
from trivet.pipelines.context import Context, Definition, entered
from trivet.pipelines.explaining.inquiry import Inquiry
from trivet.pipelines.explaining.why import StepWhy
from trivet.pipelines.facts import KnownAsset, StepDone, StepFailed
from trivet.pipelines.inputs import DataRoom, Inputs, Resolver
from trivet.pipelines.keys import Keys
from trivet.pipelines.lifecycle import Lifecycle, Order, UnderWay, run_name
from trivet.pipelines.limits import Limits
from trivet.pipelines.loading import flow_of, load_flow
from trivet.pipelines.logs.capture import captured, not_captured
from trivet.pipelines.logs.lines import LINES, Line, LineWriter, Place, read_lines
from trivet.pipelines.looping.checking import finite
from trivet.pipelines.materialisers import Materialiser
from trivet.pipelines.materialising.readers import Reader, reader_of
from trivet.pipelines.materialising.values import Values
from trivet.pipelines.memo import Memo, steps_of
from trivet.pipelines.plan import Plan, Planner
from trivet.pipelines.requests import FOREGROUND, PAST, QUEUE, read_request
from trivet.pipelines.running import Means, OnEvent, Right, RunUnderWay, StepEvent
from trivet.pipelines.tenure import Tenure
from trivet.pipelines.workers.remote import Elsewhere, RemoteSteps
from trivet.tracking.facts import Output, Run
from trivet.tracking.service import TrackingService

_LONGEST_NAME = 128
_SHOWN = 40
_log = logging.getLogger("trivet.pipelines")

Flow = Callable[..., object] | str
"""A function under `@flow`, or its name `module:function`."""


class PipelinesService:
    """Flows of one project: run here and now, with every step's result kept by content.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        tracking: The tracking room.
        data: The data room.
        folder: The project's folder: where flows are imported from and relative paths begin.
        materialisers: Further types that steps may return and take, of other rooms.
        elsewhere: Where steps may run besides the calling process.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        tracking: TrackingService,
        data: DataRoom,
        folder: Path,
        materialisers: Sequence[Materialiser] = (),
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._tracking = tracking
        self._data = data
        self._folder = folder.resolve()
        values, memo = Values(materialisers), Memo(stores, scope)
        self._assets = Assets(stores, scope, memo, values)
        self._means = Means(
            memo,
            values,
            Limits(stores.journal, scope.project),
            RemoteSteps(elsewhere, values, stores.blobs, self._folder),
        )
        self._lifecycle = Lifecycle(stores, scope, tracking, self._assets, self._folder)

    def run(
        self,
        flow: Flow,
        /,
        *,
        asked_by: str | None = None,
        request: str | None = None,
        again: Collection[str] = (),
        on_event: OnEvent | None = None,
        **parameters: object,
    ) -> Run:
        """Run a flow to its end, in this process.

        Steps whose code and arguments are known are remembered. Numbers in the mapping that the
        flow returns become metrics, everything else in it outputs; a flow that returns something
        else has the one output `result`. An output whose content is new is a new version of the
        asset `flow.output`.

        A run that failed, was cancelled or lost its process is resumed by running it again with
        the same parameters: its steps are remembered, and effects it has done are not repeated.

        Args:
            flow: The flow.
            asked_by: The fact that asked for the run.
            request: Names what was asked for, when this may be tried again: effects that were
                done for it are not done a second time. When omitted it is that of the last run
                with these parameters, unless that one succeeded.
            again: Names of steps that are made again although they are known.
            on_event: Told of each step's progress.
            **parameters: The flow's parameters. Data sets and assets are pinned to a version,
                files are published by content, before the run begins.

        Raises:
            Invalid: A parameter is unknown, missing or of another type, a value cannot be stored,
                or an output's name is none (code `bad-result`).
            NotFound: The flow, a data set, an asset or a file does not exist.
            Conflict: Somebody cancelled the run (code `run-cancelled`).
            Exception: What the flow raised, with a note that names step and run; the run is
                recorded as failed. Ctrl-C leaves it cancelled.
        """
        ordered = Order(asked_by=asked_by, request=request, again=again, on_event=on_event)
        return self._run(flow, parameters, ordered, None)

    def plan(self, flow: Flow, /, **parameters: object) -> Plan:
        """Say what a run would remember and what it would do again, and why; change no fact.

        The flow's own lines are run, its steps are not: values that are known are handed on,
        others are only promised. Where the flow looks into a promise, the plan ends.

        Raises:
            Invalid: As `run`.
            NotFound: As `run`.
        """
        definition = flow_of(flow, self._folder)
        with self._resolver(definition) as resolver:
            inputs = resolver.resolve(definition.function, parameters)
            planner = Planner(
                run_name(definition), self._means.memo, self._means.values, self._folder
            )
            return planner.plan(definition.function, inputs.arguments)

    def why(self, step: str) -> StepWhy:
        """Say why a step was run, or will be: what changed since or before its last call.

        When its code as it is now is not that of its last call, the two are compared; otherwise
        its last call and the nearest call before, in the run before if that called it. What is
        compared is code, packages, declared dependencies, and, between calls, arguments.

        The flow's module is imported, no step is run.

        Args:
            step: `flow.step`, such as `main.fit`; `module:flow.step` works too.

        Raises:
            Invalid: The name has another form.
            NotFound: No run of this flow finished such a step.

        Example:
            >>> ws.pipelines.why("main.fit").changes  # doctest: +SKIP
            (Change(kind='constant', name='pipeline.RATE', ...),)
        """
        inquiry = Inquiry(
            self._stores,
            self._scope,
            self._tracking,
            memo=self._means.memo,
            code_of=Keys(self._means.values, self._folder).code,
            folder=self._folder,
        )
        return inquiry.why(step)

    def execute(self, task: Task, *, on_event: OnEvent | None = None) -> Run:
        """Run what a claimed task of queue `runs` asks for; its holder prolongs the lease.

        What was asked for is done once: when an earlier attempt ended well, and died before its
        task did, its run is returned as it is.

        Args:
            task: The task, as it was claimed.
            on_event: Told of each step's progress.

        Raises:
            Invalid: The body is no request, or as `run`.
            Conflict: Somebody else holds the task by now (code `fenced`), or as `run`.
        """
        asked = read_request(task.body)
        for run in self._tracking.runs(request=task.key):
            if run.status == "succeeded":
                return run
        ordered = Order(asked_by=asked.asked_by, request=task.key, on_event=on_event)
        return self._run(asked.flow, asked.parameters, ordered, task)

    def cancel(self, run_id: str, reason: str = "cancelled by hand") -> Run:
        """Cancel a run, wherever it runs: it is interrupted within seconds and fenced at once.

        Returns:
            The run; it has ended already when its process was gone.

        Raises:
            NotFound: There is no such run.
            Conflict: It has ended before (code `run-finished`).
        """
        return self._lifecycle.cancel(run_id, reason)

    def sweep(self) -> tuple[Run, ...]:
        """Record the end of runs whose process is gone: lost, or cancelled; return them."""
        return self._lifecycle.sweep()

    def tasks(self, state: TaskState | None = None, limit: int = 100) -> tuple[Task, ...]:
        """Return what runs were asked for, newest first; `failed` ones are dead letters.

        Those that triggers asked for come before those of back-fills.
        """
        found = self._stores.journal.tasks(QUEUE, state=state, limit=limit)
        return (*found, *self._stores.journal.tasks(PAST, state=state, limit=limit))[:limit]

    def retry(self, key: str, reason: str = "sent again by hand") -> Task:
        """Send a dead letter again: a task that failed or was cancelled, with all its attempts.

        Raises:
            NotFound: There is no such task.
            Conflict: It has not ended, or it ended well (code `task-open`), or it is that of a run
                which a person began (`not-asked-for`).
        """
        return self._lifecycle.retry(key, reason)

    def steps(self, run_id: str) -> tuple[StepDone, ...]:
        """Return the steps of a run in the order they ended."""
        return tuple(steps_of(self._stores, self._scope.project, run_id))

    def failures(self, run_id: str) -> tuple[StepFailed, ...]:
        """Return the calls of a run that ended in an error, in the order they did; up to 1,000."""
        page = self._stores.ledger.find(
            StepFailed.KIND,
            where={"run": run_id},
            project=self._scope.project,
            limit=1000,
            newest_first=False,
        )
        return tuple(read(entry, StepFailed) for entry in page.entries if entry.payload is not None)

    def lines(self, run_id: str, after: Place | None = None) -> Iterator[tuple[Place, Line]]:
        """Yield what the steps of a run printed and logged, and the place behind each line.

        Args:
            run_id: The run; lines of one that is under way are there within a second.
            after: A place as yielded before: only what came later.
        """
        self._stores.views.declare(LINES)
        return read_lines(self._stores, self._scope.project, run_id, after)

    def value(self, run_id: str, name: str, *, pickle: bool = False) -> object:
        """Return a named result of a run: an output's value, or a metric.

        Args:
            run_id: The run.
            name: The result.
            pickle: Whether you consent to run what is in it, should it have been pickled.

        Raises:
            NotFound: There is no such run or result, its bytes were removed, or it is a pickle
                and you did not consent.
            Corrupt: The stored bytes do not match what was recorded.
        """
        run = self._tracking.get(run_id)
        metrics = run.finished.metrics if run.finished else {}
        output = run.output(name)
        if output is None and name in metrics:
            return metrics[name]
        if output is None:
            outputs = run.finished.outputs if run.finished else ()
            raise NotFound(
                f"run {run_id} has no result {name!r}",
                code="no-output",
                hint=suggest(name, [*(item.name for item in outputs), *metrics]),
            )
        form = self._means.memo.load_output(output)
        if form is None:
            raise _removed(run_id, name)
        try:
            return self._means.values.load(form, Reader(pickle=pickle))
        except NotFound as error:
            if error.code in {"no-materialiser", "no-class", "no-consent"}:
                raise
            raise _removed(run_id, name) from error

    def assets(self) -> tuple[KnownAsset, ...]:
        """Return the newest version of every asset, by name: `flow.output`."""
        return self._assets.all()

    def asset(self, label: str) -> KnownAsset:
        """Return a version of an asset.

        Args:
            label: `flow.output` for the newest, `flow.output@3` for the third.

        Raises:
            NotFound: There is no such asset or version.

        Example:
            >>> ws.pipelines.asset("churn.model@3").version.run  # doctest: +SKIP
            '01a20078b2f679378f03478a29de8f60'
        """
        return self._assets.find(label)

    def asset_versions(self, name: str) -> tuple[KnownAsset, ...]:
        """Return all versions of an asset, newest first.

        Raises:
            NotFound: There is no such asset.
        """
        return self._assets.versions(name)

    def asset_value(self, label: str, *, pickle: bool = False) -> object:
        """Return the value of a version of an asset.

        Args:
            label: As `asset`.
            pickle: Whether you consent to run what is in it, should it have been pickled.

        Raises:
            NotFound: There is no such version, its bytes were removed, or it is a pickle and you
                did not consent.
            Corrupt: The stored bytes do not match what was recorded.
        """
        return self._assets.value(self._assets.find(label), Reader(pickle=pickle))

    def load_flow(self, name: str) -> Callable[..., object]:
        """Import a flow of the project by its name `module:function`.

        Raises:
            Invalid: The name has another form, or names something that is no flow.
            NotFound: There is no such module or function.
        """
        return load_flow(name, self._folder).function

    def _run(
        self, flow: Flow, parameters: Mapping[str, object], order: Order, task: Task | None
    ) -> Run:
        definition = flow_of(flow, self._folder)
        with self._resolver(definition) as resolver:
            inputs = resolver.resolve(definition.function, parameters)
            run, task = self._lifecycle.begin(definition, inputs, order, task)
            is_own = task.queue == FOREGROUND
            with Tenure(self._stores.journal, task, prolongs=is_own) as tenure:
                writer = self._writer(run.id, order.on_event)
                caller = RunUnderWay(
                    run,
                    Right(request=run.started.request or run.id, hold=tenure.hold),
                    means=self._means,
                    log=lambda metrics, step: self._tracking.log(run.id, metrics, step=step),
                    on_event=lambda event: _tell(event, writer, order.on_event),
                    again=order.again,
                )
                with captured(run.id, writer):
                    return self._carry_out(definition, inputs, UnderWay(run, caller, tenure))

    def _resolver(self, flow: Definition) -> Resolver:
        def take(label: str) -> tuple[KnownAsset, object]:
            asset = self._assets.find(label)
            return asset, self._assets.value(asset, reader_of(flow))

        return Resolver(self._data, self._folder, take)

    def _writer(self, run_id: str, on_event: OnEvent | None) -> LineWriter:
        self._stores.views.declare(LINES)

        def tell(line: Line) -> None:
            if on_event is None:
                return
            with not_captured():
                on_event(StepEvent(kind="line", run=run_id, step=line.step, text=line.text))

        return LineWriter(self._stores, self._scope.project, run_id, tell)

    def _carry_out(self, flow: Definition, inputs: Inputs, under_way: UnderWay) -> Run:
        run, caller, _ = under_way
        inside = Context(run=run.id, flow=run.started.name, caller=caller)
        try:
            with entered(inside), caller.own_lines(inputs.arguments):
                result = flow.function(**inputs.arguments)
            metrics, outputs = self._keep(flow, result, caller)
            return self._lifecycle.succeed(under_way, metrics, outputs)
        except BaseException as error:
            end = self._lifecycle.fail(under_way, error)
            if end is error:
                raise
            raise end from error

    def _keep(
        self, flow: Definition, result: object, caller: RunUnderWay
    ) -> tuple[dict[str, float], list[Output]]:
        metrics: dict[str, float] = {}
        outputs: list[Output] = []
        named = _named(flow, result)
        caller.refuse_old(flow, named)
        for name, value in named.items():
            figure = finite(value)
            if figure is not None:
                metrics[name] = figure
            else:
                place = f"result {name!r} of flow {flow.name!r}"
                form = self._means.values.save(value, place, reader_of(flow))
                outputs.append(self._means.memo.store(name, form))
        return metrics, outputs


def _tell(event: StepEvent, writer: LineWriter, on_event: OnEvent | None) -> None:
    if event.kind == "started":
        writer.began(event.step)
    elif event.kind in {"done", "failed"}:
        writer.ended(event.step)
    if on_event is not None:
        with not_captured():
            on_event(event)
    elif event.kind == "warned":
        _log.warning("%s", event.text)


def _removed(run_id: str, name: str) -> NotFound:
    return NotFound(
        f"the bytes of result {name!r} of run {run_id} were removed",
        code="no-bytes",
        hint="Run the flow again.",
    )


def _named(flow: Definition, result: object) -> Mapping[str, object]:
    if result is None:
        return {}
    if not isinstance(result, Mapping):
        return {"result": result}
    named = cast("Mapping[object, object]", result)
    for name in named:
        if not isinstance(name, str):
            raise Invalid(
                f"flow {flow.name!r} returned a mapping with a {type(name).__name__} as a key; "
                "expected names",
                code="bad-result",
                hint="Return a dict of names to results.",
            )
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or "@" in name:
            shown = repr(name[:_SHOWN]) + "..." * (len(name) > _SHOWN)
            raise Invalid(
                f"flow {flow.name!r} returned an output named {shown} ({len(name)} characters); "
                f"expected 1 to {_LONGEST_NAME} printable characters without @",
                code="bad-result",
                hint=f"Rename the key in what {flow.name} returns: `output@2` means a version.",
            )
    return cast("Mapping[str, object]", named)
