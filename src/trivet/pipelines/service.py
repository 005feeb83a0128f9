"""The pipelines room's service: flows are run, planned, and their results read back."""

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from trivet.core.errors import Invalid, NotFound, TrivetError
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.data.naming import suggest
from trivet.pipelines.context import Context, Definition, entered
from trivet.pipelines.facts import StepDone
from trivet.pipelines.failures import describe_failure
from trivet.pipelines.inputs import DataRoom, Inputs, Resolver
from trivet.pipelines.loading import flow_of, load_flow, name_of
from trivet.pipelines.materialisers import Materialiser
from trivet.pipelines.memo import Memo, steps_of
from trivet.pipelines.plan import Plan, Planner
from trivet.pipelines.remote import Elsewhere, RemoteSteps
from trivet.pipelines.requests import read_request
from trivet.pipelines.running import OnEvent, RunUnderWay
from trivet.pipelines.values import Values
from trivet.tracking.facts import Output, Run, RunStatus
from trivet.tracking.service import TrackingService

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
        self._values = Values(materialisers)
        self._memo = Memo(stores, scope)
        self._elsewhere = elsewhere

    def run(
        self,
        flow: Flow,
        /,
        *,
        asked_by: str | None = None,
        request: str | None = None,
        on_event: OnEvent | None = None,
        **parameters: object,
    ) -> Run:
        """Run a flow to its end, in this process.

        Steps whose code and arguments are known are remembered. Numbers in the mapping that the
        flow returns become metrics, everything else in it outputs; a flow that returns something
        else has the one output `result`.

        Args:
            flow: The flow.
            asked_by: The fact that asked for the run.
            request: Names what was asked for, when this may be tried again: effects that were
                done for it are not done a second time.
            on_event: Told of each step's progress.
            **parameters: The flow's parameters. Data sets are pinned to a version, files are
                published by content, before the run begins.

        Raises:
            Invalid: A parameter is unknown, missing or of another type, or a value cannot be
                stored.
            NotFound: The flow, a data set or a file does not exist.
            Exception: What the flow raised, with a note that names step and run; the run is
                recorded as failed. Ctrl-C leaves it cancelled.
        """
        definition = flow_of(flow, self._folder)
        self._memo.prepare()
        with Resolver(self._data, self._folder) as resolver:
            inputs = resolver.resolve(definition.function, parameters)
            run = self._tracking.start(
                _run_name(definition),
                entry=name_of(definition),
                folder=self._folder,
                parameters=inputs.parameters,
                data=inputs.data,
                asked_by=asked_by,
            )
            caller = RunUnderWay(
                run,
                request or run.id,
                memo=self._memo,
                values=self._values,
                remote=RemoteSteps(self._elsewhere, self._values, self._stores.blobs, self._folder),
                log=lambda metrics, step: self._tracking.log(run.id, metrics, step=step),
                on_event=on_event,
            )
            return self._run(definition, inputs, caller, run)

    def plan(self, flow: Flow, /, **parameters: object) -> Plan:
        """Say what a run would remember and what it would do again, and why; change no fact.

        The flow's own lines are run, its steps are not: values that are known are handed on,
        others are only promised. Where the flow looks into a promise, the plan ends.

        Raises:
            Invalid: As `run`.
            NotFound: As `run`.
        """
        definition = flow_of(flow, self._folder)
        self._memo.prepare()
        with Resolver(self._data, self._folder) as resolver:
            inputs = resolver.resolve(definition.function, parameters)
            planner = Planner(_run_name(definition), self._memo, self._values, self._folder)
            return planner.plan(definition.function, inputs.arguments)

    def execute(self, body: bytes, *, request: str, on_event: OnEvent | None = None) -> Run:
        """Run what a task of queue `runs` asks for.

        Args:
            body: The task's body, see `requests.RunRequest`.
            request: The task's key.
            on_event: Told of each step's progress.

        Raises:
            Invalid: The body is no request, or as `run`.
        """
        asked = read_request(body)
        return self.run(
            asked.flow,
            asked_by=asked.asked_by,
            request=request,
            on_event=on_event,
            **asked.parameters,
        )

    def steps(self, run_id: str) -> tuple[StepDone, ...]:
        """Return the steps of a run in the order they ended."""
        return tuple(steps_of(self._stores, self._scope.project, run_id))

    def value(self, run_id: str, name: str) -> object:
        """Return a named result of a run: an output's value, or a metric.

        Raises:
            NotFound: There is no such run or result, or its bytes were removed.
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
        form = self._memo.load(output)
        if form is None:
            raise NotFound(
                f"the bytes of result {name!r} of run {run_id} were removed",
                code="no-bytes",
                hint="Run the flow again.",
            )
        return self._values.load(form)

    def load_flow(self, name: str) -> Callable[..., object]:
        """Import a flow of the project by its name `module:function`.

        Raises:
            Invalid: The name has another form, or names something that is no flow.
            NotFound: There is no such module or function.
        """
        return load_flow(name, self._folder).function

    def _run(self, flow: Definition, inputs: Inputs, caller: RunUnderWay, run: Run) -> Run:
        inside = Context(run=run.id, flow=run.started.name, caller=caller)
        try:
            with entered(inside):
                result = flow.function(**inputs.arguments)
            metrics, outputs = self._keep(flow, result)
        except (KeyboardInterrupt, SystemExit) as error:
            self._end(run, "cancelled", error, caller)
            raise
        except Exception as error:
            self._end(run, "failed", error, caller)
            raise
        return self._tracking.finish(run.id, "succeeded", metrics=metrics, outputs=outputs)

    def _keep(self, flow: Definition, result: object) -> tuple[dict[str, float], list[Output]]:
        metrics: dict[str, float] = {}
        outputs: list[Output] = []
        for name, value in _named(flow, result).items():
            if _is_figure(value):
                metrics[name] = float(cast("float", value))
            else:
                place = f"result {name!r} of flow {flow.name!r}"
                outputs.append(self._memo.keep(name, self._values.save(value, place)))
        return metrics, outputs

    def _end(self, run: Run, status: RunStatus, error: BaseException, caller: RunUnderWay) -> None:
        step = caller.step_that_failed(error)
        text = describe_failure(error, step, self._folder)
        try:
            self._tracking.finish(run.id, status, error=text)
        except TrivetError as trouble:
            # The user's error is the one to raise; the run will look like one that crashed.
            error.add_note(f"the end of run {run.id} could not be recorded: {trouble}")
        if step is None:
            error.add_note(f"in flow {run.started.name!r} of run {run.id}")


def _run_name(flow: Definition) -> str:
    """Make a run's name of a function's: lower-case, as names are."""
    return flow.name.lower().strip("_") or "flow"


def _named(flow: Definition, result: object) -> Mapping[str, object]:
    if result is None:
        return {}
    if not isinstance(result, Mapping):
        return {"result": result}
    named = cast("Mapping[object, object]", result)
    for name in named:
        if not isinstance(name, str) or not name:
            raise Invalid(
                f"flow {flow.name!r} returned a mapping with a {type(name).__name__} as a key; "
                "expected names",
                code="bad-result",
                hint="Return a dict of names to results.",
            )
    return cast("Mapping[str, object]", named)


def _is_figure(value: object) -> bool:
    """Say whether a result is a metric: a real number that is finite."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return math.isfinite(value)
