"""The plan: what a run would remember, what it would do again, and why.

A plan is a rehearsal. Known results are handed on as they are; a result that is not known is only
promised, and whatever is given a promise must be run as well. A flow that looks into a promise
(an `if` upon a score, say) ends the plan there: what comes after depends on a value nobody has.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NoReturn, cast

import msgspec

from trivet.pipelines.context import Context, Definition, entered
from trivet.pipelines.keys import Ask, Keys, bind, recall
from trivet.pipelines.materialising.records import fields_of
from trivet.pipelines.materialising.values import Values
from trivet.pipelines.memo import LastCall, Memo, parts_that_differ

_DEEPEST = 20
"""How deep in containers a promise is looked for."""


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One call as the next run would answer it."""

    step: str
    action: Literal["remember", "run", "perform"]
    """`perform` is an effect: never remembered."""
    reasons: tuple[str, ...] = ()
    """Why it is run: code and arguments that changed since the last call, or promised inputs."""
    limits: tuple[str, ...] = ()
    """What its key does not cover: code that could not be followed."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the next run would do, in order."""

    flow: str
    steps: tuple[PlannedStep, ...]
    complete: bool
    """False when the flow looks at a value before it exists; further steps may follow."""

    @property
    def to_run(self) -> tuple[PlannedStep, ...]:
        """The steps that are not remembered."""
        return tuple(item for item in self.steps if item.action != "remember")

    @property
    def limits(self) -> tuple[str, ...]:
        """What the keys of its steps do not cover, each said once."""
        return tuple(dict.fromkeys(text for item in self.steps for text in item.limits))


class Promise:
    """Stands for a value that a step would make. Handing it on is all that can be done with it."""

    def __init__(self, step: str) -> None:
        object.__setattr__(self, "_step", step)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # protocols ask for these and take no for an answer
            raise AttributeError(name)
        raise PlanEnds


class PlanEnds(BaseException):
    """The flow looked into a promise. No `except Exception` of the user's may catch it."""


def _look(*_: object) -> NoReturn:
    raise PlanEnds


for _name in (
    *("__add__", "__bool__", "__call__", "__contains__", "__enter__", "__eq__", "__float__"),
    *("__format__", "__ge__", "__getitem__", "__gt__", "__hash__", "__index__", "__int__"),
    *("__iter__", "__le__", "__len__", "__lt__", "__mul__", "__ne__", "__neg__", "__or__"),
    *("__and__", "__radd__", "__rmul__", "__rsub__", "__rtruediv__", "__setattr__", "__str__"),
    *("__setitem__", "__sub__", "__truediv__", "__pow__", "__repr__", "__delattr__"),
):
    setattr(Promise, _name, _look)


class Planner:
    """Answers the calls of a flow without running a step.

    Args:
        flow: The runs' name, under which the last calls are found.
        memo: What is known.
        values: How values are kept.
        folder: The project's folder.
    """

    def __init__(self, flow: str, memo: Memo, values: Values, folder: Path) -> None:
        self._flow = flow
        self._memo = memo
        self._values = values
        self._keys = Keys(values, folder)
        self._steps: list[PlannedStep] = []

    def plan(self, function: Callable[..., object], arguments: Mapping[str, object]) -> Plan:
        """Rehearse a flow."""
        complete = True
        try:
            with entered(Context(flow=self._flow, caller=self)):
                function(**arguments)
        except PlanEnds:
            complete = False
        return Plan(flow=self._flow, steps=tuple(self._steps), complete=complete)

    def width(self, definition: Definition) -> int:
        """Return 1: nothing is made."""
        del definition
        return 1

    def call(
        self, definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> object:
        """Return the known value of a call, or a promise."""
        name = definition.name
        if definition.kind == "effect":
            self._steps.append(PlannedStep(step=name, action="perform"))
            return Promise(name)
        promised = {
            parameter: step
            for parameter, value in bind(definition, args, kwargs).items()
            if (step := _promise_in(value)) is not None
        }
        limits = tuple(limit.text for limit in self._keys.code(definition).limits)
        if promised:
            reasons = tuple(f"{p} comes from {step!r}" for p, step in promised.items())
            self._steps.append(PlannedStep(step=name, action="run", reasons=reasons, limits=limits))
            return Promise(name)
        ask = self._keys.ask(definition, args, kwargs)
        found = recall(self._memo, self._values, self._memo.find(ask.key), definition)
        if found is not None:
            self._steps.append(PlannedStep(step=name, action="remember", limits=limits))
            return found.value
        reasons = explain(self._memo.last(f"{self._flow}.{name}", ask.arguments), ask)
        self._steps.append(PlannedStep(step=name, action="run", reasons=reasons, limits=limits))
        return Promise(name)

    def expect(self, definition: Definition, total: int) -> None:
        """Expect nothing: a plan shows no progress."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log nothing: nothing happens."""


def explain(last: LastCall | None, ask: Ask) -> tuple[str, ...]:
    """Say what differs between a call and the last one of the same step."""
    if last is None:
        return ("it was never run",)
    code = [
        _in_words(part, last.parts.get(part), ask.code.parts.get(part))
        for part in parts_that_differ(last.parts, ask.code.parts)
    ]
    arguments = [
        f"argument {name} changed" for name in parts_that_differ(last.done.arguments, ask.arguments)
    ]
    if last.done.status == "run" and last.done.known_by is None:
        arguments.append("it changed an argument in place, and is never remembered")
    return tuple(code + arguments) or ("its result was removed",)


def _in_words(part: str, before: str | None, after: str | None) -> str:
    if part == "python" or part.startswith("package "):
        return f"{part} changed from {before or 'absent'} to {after or 'absent'}"
    if part == "version" or part.startswith("depends["):
        return f"its {part} changed"
    if before is None:
        return f"{part} is used now"
    return f"{part} is not used any more" if after is None else f"{part} changed"


def _promise_in(value: object, depth: int = 0) -> str | None:
    """Return the step whose value is promised in an argument, None when nothing is."""
    if type(value) is Promise:
        return str(object.__getattribute__(value, "_step"))
    if depth > _DEEPEST:
        return None
    if type(value) is dict:
        value = list(cast("dict[object, object]", value).values())
    elif type(value) not in {list, tuple}:
        value = list(fields_of(value))
    found = (_promise_in(item, depth + 1) for item in cast("list[object]", value))
    return next((step for step in found if step is not None), None)
