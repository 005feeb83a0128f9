"""Asking about a step: its last calls are found, and its code as it is now."""

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, cast

import msgspec

from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Scope, read
from trivet.core.fingerprints.fingerprint import Fingerprint, fingerprint
from trivet.core.fingerprints.modules import label_of_module
from trivet.core.ports import Stores
from trivet.core.trees import load_file
from trivet.data.naming import suggest
from trivet.pipelines.context import Definition, definition_of
from trivet.pipelines.explaining.sources import Sources
from trivet.pipelines.explaining.why import (
    Call,
    Change,
    StepWhy,
    choose_calls,
    compare_calls,
    compare_code,
)
from trivet.pipelines.facts import StepDone
from trivet.pipelines.loading import load_flow
from trivet.pipelines.memo import Memo, step_entries_of
from trivet.tracking.facts import Run
from trivet.tracking.service import TrackingService

_RUNS_BACK = 200


class Now(msgspec.Struct, frozen=True):
    """A step's code as it is now; None with a reason when it cannot be looked at."""

    code: Fingerprint | None
    reason: str = ""


class Inquiry:
    """Answers `why` about the steps of one project.

    Args:
        stores: Where everything is kept.
        scope: The project.
        tracking: The tracking room.
        memo: What is known of steps.
        code_of: Computes the fingerprint of a step.
        folder: The project's folder.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        tracking: TrackingService,
        *,
        memo: Memo,
        code_of: Callable[[Definition], Fingerprint],
        folder: Path,
    ) -> None:
        self._stores = stores
        self._project = scope.project
        self._tracking = tracking
        self._memo = memo
        self._code_of = code_of
        self._folder = folder
        self._made_by: dict[str, str] = {}

    def why(self, name: str) -> StepWhy:
        """Say what changed for a step; see `PipelinesService.why`."""
        flow, step = split_name(name)
        newest, older = self._runs_that_called(flow, step)
        (run, calls), (before, others) = newest, older or (newest[0], [])
        subject, peer = choose_calls(calls, others)
        now = self._now(run, step)
        after = self._call(subject)
        changes, between = self._compare(after, run, peer, before, now)
        limits = [limit.text for limit in now.code.limits] if now.code else []
        watched = now.code.parts if now.code else after.parts
        return StepWhy(
            flow=flow,
            step=step,
            between=between,
            before=run.id if between == "now" else before.id if between else None,
            after=run.id if between == "calls" else None,
            status=subject.status,
            key=subject.key,
            made_by=after.made_by,
            changes=changes,
            watched=tuple(part for part in sorted(watched) if part not in {"root", "version"}),
            limits=(*limits, *subject.warnings),
            note=now.reason,
            is_repeatable=subject.status == "remembered" or subject.known_by is not None,
        )

    def _compare(
        self, after: Call, run: Run, peer: StepDone | None, before: Run, now: Now
    ) -> tuple[tuple[Change, ...], Literal["calls", "now"] | None]:
        if now.code is not None and now.code.digest != after.done.code:
            sources = (self._sources(run), self._sources_now())
            return compare_code(after.parts, now.code.parts, sources), "now"
        if peer is None:
            return (), None
        sources = (self._sources(before), self._sources(run))
        return compare_calls(self._call(peer), after, sources), "calls"

    def _runs_that_called(
        self, flow: str, step: str
    ) -> tuple[tuple[Run, list[StepDone]], tuple[Run, list[StepDone]] | None]:
        """Return the latest run that called a step, and the one before, with the calls.

        Raises:
            NotFound: No run of the flow did.
        """
        runs = self._tracking.runs(flow, limit=_RUNS_BACK)
        if not runs:
            known = dict.fromkeys(run.started.name for run in self._tracking.runs(limit=_RUNS_BACK))
            raise NotFound(
                f"flow {flow!r} was never run", code="no-flow", hint=suggest(flow, list(known))
            )
        found: list[tuple[Run, list[StepDone]]] = []
        seen: set[str] = set()
        for run in runs:
            calls: list[StepDone] = []
            for entry, done in step_entries_of(self._stores, self._project, run.id):
                seen.add(done.step)
                if done.step != step:
                    continue
                if done.status == "remembered":
                    self._made_by[run.id + done.key] = entry.parents[-1]
                calls.append(done)
            if calls:
                found.append((run, calls))
            if len(found) == 2:
                return found[0], found[1]
        if not found:
            raise NotFound(
                f"flow {flow!r} never finished a step {step!r}",
                code="no-step",
                hint=suggest(step, sorted(seen)),
            )
        return found[0], None

    def _call(self, done: StepDone) -> Call:
        maker = self._made_by.get(done.run + done.key, done.run)
        entry = self._stores.ledger.get(maker) if maker != done.run else None
        made = read(entry, StepDone) if entry is not None and entry.payload is not None else done
        return Call(done=done, made_by=made.run, parts=self._memo.parts(done.code))

    def _now(self, run: Run, step: str) -> Now:
        entry = run.started.code.entry
        try:
            flow = load_flow(entry, self._folder)
            definition = find_step(flow, step)
            if definition is None:
                return Now(None, f"{entry} has no step {step!r} now")
            return Now(self._code_of(definition))
        except Exception as error:  # noqa: BLE001  # the user's own module is imported
            return Now(None, f"{entry} cannot be looked at now: {type(error).__name__}: {error}")

    def _sources(self, run: Run) -> Sources:
        tree = run.started.code.tree

        def read_kept(path: str) -> str | None:
            try:
                return load_file(self._stores.blobs, tree, path).decode("utf-8", "replace")
            except NotFound:
                return None

        return Sources(read_kept, f"run {run.id}")

    def _sources_now(self) -> Sources:
        def read_now(path: str) -> str | None:
            file = self._folder / path
            return file.read_text("utf-8", "replace") if file.is_file() else None

        return Sources(read_now, "now")


def split_name(name: str) -> tuple[str, str]:
    """Split `flow.step`, or `module:flow.step`, into the name of the flow's runs and the step's.

    Raises:
        Invalid: It has another form.
    """
    flow, _, step = name.rpartition(".")
    flow = flow.rpartition(":")[2].lower().strip("_")
    if not flow or not step:
        raise Invalid(
            f"{name!r} names no step; expected flow.step",
            code="bad-step",
            hint="For a step fit that a flow main calls, write main.fit.",
        )
    return flow, step


def find_step(flow: Definition, name: str) -> Definition | None:
    """Return the step of this name that a flow's code can reach, None when there is none.

    A plain function, which `map` makes a step of, is found by its own name.
    """
    parts = fingerprint(flow.function).parts
    plain: Definition | None = None
    for label, value in _reachable(parts):
        found = definition_of(value)
        if found is not None and found.kind != "flow" and found.name == name:
            return found
        is_named = isinstance(value, types.FunctionType) and value.__name__ == name
        if found is None and is_named and label in parts:
            plain = Definition(
                kind="step", name=name, function=cast("Callable[..., object]", value)
            )
    return plain


def _reachable(parts: dict[str, str]) -> Iterator[tuple[str, object]]:
    """Yield what the modules hold in which some parts are, by label."""
    for name, module in list(sys.modules.items()):
        prefix = f"{label_of_module(name)}."
        if any(part.startswith(prefix) for part in parts):
            for key, value in list(vars(module).items()):
                yield f"{prefix}{key}", value
