"""Why a step was run, or will be: what differs between two of its calls, or a call and now."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from trivet.pipelines.explaining.sources import PartKind, Sources, compare_part
from trivet.pipelines.facts import StepDone
from trivet.pipelines.memo import parts_that_differ

Kind = PartKind | Literal["package", "python", "environment", "version", "depends", "argument"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that differs."""

    kind: Kind
    name: str
    before: str | None = None
    """A version, a value in few words, or a digest; None: it was not there."""
    after: str | None = None
    diff: str = ""
    """A unified diff of the source, where there is one."""
    note: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a step, as it was recorded."""

    done: StepDone
    made_by: str
    """The run that made the result."""
    parts: dict[str, str]
    """The parts of its code, by digest."""


class StepWhy(msgspec.Struct, frozen=True, kw_only=True):
    """What `why` answers about a step."""

    flow: str
    step: str
    between: Literal["calls", "now"] | None
    """`calls`: the last call and the one before. `now`: the last call and the code as it is now.
    None: it was called once, and nothing has changed since."""
    before: str | None
    """The run of the earlier call."""
    after: str | None
    """The run of the later call; None: the code as it is now."""
    status: Literal["run", "remembered"]
    """What the last call was."""
    key: str
    """Of the last call."""
    made_by: str
    """The run that made the result of the last call."""
    changes: tuple[Change, ...]
    watched: tuple[str, ...]
    """What the key covers beside the arguments: parts of code and packages."""
    limits: tuple[str, ...]
    """What it does not cover, as far as that was noticed."""
    note: str = ""
    is_repeatable: bool = True
    """Whether the last call may be remembered: it did not change what it was given."""


def choose_calls(
    newest: Sequence[StepDone], older: Sequence[StepDone]
) -> tuple[StepDone, StepDone | None]:
    """Choose the call to explain, and the one to compare it with.

    Args:
        newest: The step's calls in the latest run that called it, in order; not empty.
        older: Those in the latest run before.

    Returns:
        The last call that was run, else the last one; and of the earlier calls the one with the
        most equal arguments, the latest of these.
    """
    subject = next((one for one in reversed(newest) if one.status == "run"), newest[-1])
    others = older or [one for one in newest[: newest.index(subject)] if one != subject]
    if not others:
        return subject, None

    def distance(number: int) -> tuple[int, int]:
        differing = parts_that_differ(others[number].arguments, subject.arguments)
        return len(differing), -number

    return subject, others[min(range(len(others)), key=distance)]


def compare_calls(
    before: Call, after: Call, sources: tuple[Sources, Sources]
) -> tuple[Change, ...]:
    """Say what differs between two calls."""
    return (
        *compare_code(before.parts, after.parts, sources),
        *_compare_arguments(before.done, after.done),
    )


def compare_code(
    before: Mapping[str, str], after: Mapping[str, str], sources: tuple[Sources, Sources]
) -> tuple[Change, ...]:
    """Say what differs between two fingerprints, by their parts.

    Args:
        before: The parts of the earlier one.
        after: The parts of the later one.
        sources: The project's sources at both moments.
    """
    names = parts_that_differ(before, after)
    told = list(_tell(names, before, after, sources))
    # That the step itself refers to something else says nothing where that something is told of.
    return tuple(one for one in told if one.name != "root") or tuple(told)


def _tell(
    names: Sequence[str],
    before: Mapping[str, str],
    after: Mapping[str, str],
    sources: tuple[Sources, Sources],
) -> Iterator[Change]:
    for name in names:
        one, two = before.get(name), after.get(name)
        kind = _kind_of(name)
        if kind == "package":
            yield Change(kind=kind, name=name.removeprefix("package "), before=one, after=two)
        elif kind in {"python", "version"}:
            yield Change(kind=kind, name=name, before=one, after=two)
        elif kind in {"depends", "environment"}:
            yield Change(kind=kind, name=name, before=_brief(one), after=_brief(two))
        elif name == "annotations":
            note = "annotations that reachable code reads are others"
            yield Change(kind="code", name=name, note=note)
        elif name == "root":
            note = "what the step's decorators made of it, or hold, is another"
            yield Change(kind="code", name=name, note=note)
        else:
            is_in_both = one is not None and two is not None
            found = compare_part(name, *sources, look_around=is_in_both)
            note = found.note
            if not is_in_both:
                note = "it is reached now" if one is None else "it is not reached any more"
            yield Change(
                kind=found.kind,
                name=name,
                before=_brief(one),
                after=_brief(two),
                diff=found.diff,
                note=note,
            )


def _compare_arguments(before: StepDone, after: StepDone) -> Iterator[Change]:
    for name in parts_that_differ(before.arguments, after.arguments):
        one, two = before.shown.get(name), after.shown.get(name)
        if one == two:  # a frame of the same shape, a hidden secret: the contents tell them apart
            one = _with_content(one, before.arguments.get(name))
            two = _with_content(two, after.arguments.get(name))
        yield Change(kind="argument", name=name, before=one, after=two)


def _with_content(shown: str | None, digest: str | None) -> str | None:
    if digest is None:
        return shown
    return f"{shown + ' ' if shown else ''}(content {digest[:12]})"


def _kind_of(part: str) -> Kind:
    if part in {"python", "version"}:
        return "python" if part == "python" else "version"
    if part.startswith("package "):
        return "package"
    if part.startswith("environment "):
        return "environment"
    return "depends" if part.startswith("depends[") else "code"


def _brief(digest: str | None) -> str | None:
    return None if digest is None else digest[:12]
