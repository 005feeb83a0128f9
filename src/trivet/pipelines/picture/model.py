"""A picture before it is laid out: boxes, arrows, and what they are a picture of."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from trivet.core.ids import sha256_hex
from trivet.drawing.layout import Arrow
from trivet.pipelines.facts import StepDone, StepFailed
from trivet.pipelines.spec import Graph
from trivet.tracking.facts import Run

State = Literal["written", "input", "output", "run", "remembered", "failed"]

_COMMON = frozenset(
    {
        "",
        *(
            sha256_hex(text)
            for text in (b"null", b"true", b"false", b'""', b"[]", b"{}", b"0", b"1")
        ),
    }
)
"""Digests of values that many steps return: by them nobody can tell where one comes from."""


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a step, or many calls that are one to the eye."""

    id: str
    label: str
    state: State
    detail: str = ""
    count: int = 1
    is_repeated: bool = False
    """Called once per item or round, as far as the code can tell."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn. Boxes stand in the order they were written or came to an end."""

    title: str
    is_preview: bool
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def picture_of_code(graph: Graph) -> Picture:
    """Turn a flow as it is written into a picture, with its inputs and outputs."""
    boxes = [
        Box(id=f"input:{item.name}", label=item.name, state="input", detail=item.type or item.kind)
        for item in graph.inputs
    ]
    for node in graph.nodes:
        words = [] if node.kind == "step" else [node.kind]
        words += ["in a loop"] if node.is_repeated and node.kind not in {"map", "until"} else []
        words += ["maybe"] if node.is_conditional else []
        repeated = node.is_repeated
        detail = ", ".join(words)
        boxes.append(
            Box(id=node.id, label=node.id, state="written", detail=detail, is_repeated=repeated)
        )
    arrows = [Arrow(edge.source, edge.target) for edge in graph.edges]
    for name, sources in graph.outputs.items():
        boxes.append(Box(id=f"output:{name}", label=name, state="output", detail="result"))
        arrows += [Arrow(source, f"output:{name}") for source in sources]
    known = {box.id for box in boxes}
    return Picture(
        title=f"{graph.flow}: preview from the code",
        is_preview=True,
        boxes=tuple(boxes),
        arrows=tuple(a for a in dict.fromkeys(arrows) if {a.source, a.target} <= known),
    )


def picture_of_run(
    run: Run, steps: Iterable[StepDone], failures: Sequence[StepFailed] = ()
) -> Picture:
    """Turn the record of a run into a picture.

    An arrow is drawn where the digest of an argument, or of one of its first items, is that of a
    value (or item) that a step of this run returned before. Calls of one step that were given
    values of the same boxes are one box with a count, and so is a step that is fed by itself.
    """
    groups = _Groups()
    for step in steps:
        groups.take(step)
    boxes = list(groups.boxes())
    failed = {failure.step: failure.error for failure in failures}
    for step, error in failed.items():
        many = sum(failure.step == step for failure in failures)
        boxes.append(Box(id=f"failed:{step}", label=step, state="failed", detail=error, count=many))
    for failure in failures:
        name = f"failed:{failure.step}"
        groups.arrows += [Arrow(source, name) for source in sorted(groups.sources_of(failure))]
    return Picture(
        title=f"{run.started.name}: run {run.id}, {run.status}",
        is_preview=False,
        boxes=tuple(boxes),
        arrows=tuple(dict.fromkeys(groups.arrows)),
    )


class _Groups:
    """Boxes of a record, while its steps are read in the order they ended."""

    def __init__(self) -> None:
        self.arrows: list[Arrow] = []
        self._members: dict[str, list[StepDone]] = {}
        self._known: dict[tuple[str, frozenset[str]], str] = {}
        self._looping: set[str] = set()
        self._makers: dict[str, str] = {}

    def take(self, step: StepDone) -> None:
        sources = self.sources_of(step)
        own = next((name for name in sources if self._members[name][0].step == step.step), None)
        if own is not None:
            self._looping.add(own)
        name = own or self._known.get((step.step, sources)) or self._new(step.step)
        self._known[step.step, sources] = name
        self._members[name].append(step)
        self.arrows += [Arrow(source, name) for source in sorted(sources) if source != name]
        for digest in (step.content, *step.items):
            if digest not in _COMMON:
                self._makers[digest] = name

    def sources_of(self, step: StepDone | StepFailed) -> frozenset[str]:
        """Return the boxes that made what a call was given."""
        given = (*step.arguments.values(), *step.takes)
        return frozenset(self._makers[digest] for digest in given if digest in self._makers)

    def boxes(self) -> Iterable[Box]:
        for name, members in self._members.items():
            yield _box(name, members, is_repeated=name in self._looping or len(members) > 1)

    def _new(self, step: str) -> str:
        count = sum(members[0].step == step for members in self._members.values())
        name = f"{step}#{count + 1}" if count else step
        self._members[name] = []
        return name


def _box(name: str, members: Sequence[StepDone], *, is_repeated: bool) -> Box:
    run = sum(member.status == "run" for member in members)
    remembered = len(members) - run
    seconds = sum(member.seconds for member in members if member.status == "run")
    words = [f"{seconds:.2f} s"] if run else ["remembered"]
    if len(members) > 1 and run and remembered:
        words = [f"{run:,} run", f"{remembered:,} remembered", *words]
    return Box(
        id=name,
        label=members[0].step,
        state="run" if run else "remembered",
        detail=", ".join(words),
        count=len(members),
        is_repeated=is_repeated,
    )
