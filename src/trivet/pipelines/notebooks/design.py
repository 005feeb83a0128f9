"""From a notebook's statements to the design of a module: every decision, and no file touched."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from trivet.core.errors import Invalid
from trivet.pipelines.notebooks.blocks import Block, Divider, Knowledge
from trivet.pipelines.notebooks.facts import Analysis, ParameterMade, StepMade
from trivet.pipelines.notebooks.files import named_paths, take_files, with_pseudo_names
from trivet.pipelines.notebooks.handing_on import hand_on_variables
from trivet.pipelines.notebooks.magics import Refusal
from trivet.pipelines.notebooks.marking import group_by_marks
from trivet.pipelines.notebooks.mutation import Pair, Surroundings
from trivet.pipelines.notebooks.naming import free_name, identifier, step_names
from trivet.pipelines.notebooks.pieces import Piece
from trivet.pipelines.notebooks.random_states import with_random_states
from trivet.pipelines.notebooks.reading import Cell
from trivet.pipelines.notebooks.roles import BUILTINS, is_scalar, surroundings
from trivet.pipelines.notebooks.scopes import effect_of
from trivet.pipelines.notebooks.showing import mark_shows, printed
from trivet.pipelines.notebooks.statements import Text, World, demand_none, refusal
from trivet.pipelines.notebooks.writing import Design, Parameter, unused_imports

PARAMETERS = "parameters"
"""The tag of the cell that papermill fills in."""


@dataclass(frozen=True)
class Seen:
    """What a run of the notebook showed."""

    unstorable: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names that no step could return, and their type."""
    plain: frozenset[str] = frozenset()
    """Names whose values were numbers, text and the like wherever a step ends."""
    same: Mapping[int, frozenset[Pair]] = field(default_factory=dict[int, frozenset[Pair]])
    """By unit: names that share an object there."""
    drawn: Mapping[int, Sequence[str]] = field(default_factory=dict[int, Sequence[str]])
    """Cells that drew random numbers, and from which library's generator."""


def make_design(
    text: Text, notebook: str, module: str, world: World, seen: Seen
) -> tuple[Design, Analysis]:
    """Decide everything.

    Args:
        text: The notebook's statements.
        notebook: The notebook's file name.
        module: The module's name, which is the flow's too, where it is free.
        world: What is outside.
        seen: What a run of the notebook showed; nothing before the first.

    Raises:
        Invalid: There is nothing to run in the notebook, or a class in it cannot move.
    """
    decided = _decide(text, world, seen)
    work = [p for p in decided.pieces if p.role in {"work", "show"}]
    if not work:
        raise Invalid(
            f"{notebook} has nothing to run: it only defines things",
            code="empty-notebook",
            hint="Import its functions from a module, or add a cell that calls them.",
        )
    _check_classes(work, text.cells)
    divider = Divider(group_by_marks(text.cells, work), _knowledge(decided, work, seen))
    blocks, results = divider.divide()
    blocks = [_with_prints(block, decided.around) for block in blocks]
    pieces = [printed(piece, decided.around) for piece in decided.pieces]
    taken = {n for p in pieces for n in p.effect.writes | p.effect.reads}
    taken |= {p.name for p in decided.parameters} | {"step", "flow", "effect", "File"}
    names = step_names(blocks, taken)
    design = Design(
        notebook=notebook,
        flow=free_name(identifier(module, "notebook"), {*taken, *names}, "flow"),
        cells=text.cells,
        pieces=unused_imports(pieces, blocks),
        blocks=blocks,
        names=names,
        parameters=decided.parameters,
        results=results,
        builtin_names=BUILTINS,
    )
    return design, _analysis(design, text, [*decided.notes, *_told(divider, seen)])


@dataclass(frozen=True)
class _Decided:
    """What is known before the work is divided."""

    pieces: Sequence[Piece]
    around: Surroundings
    figures: frozenset[str]
    parameters: Sequence[Parameter]
    notes: Sequence[str]


def _decide(text: Text, world: World, seen: Seen) -> _Decided:
    tagged = frozenset(c.number for c in text.cells if PARAMETERS in c.tags)
    pieces, handed = hand_on_variables(text.pieces, tagged)
    paths = named_paths(pieces, world.exists)
    pieces, reads = take_files(pieces, world.exists)
    around = surroundings(pieces)
    pieces, figures = mark_shows(with_pseudo_names(pieces, reads), around)
    parameters = _parameters(pieces, paths, world)
    parameters += [
        Parameter(name=f.name, default=_quoted(world.path(f.path)), kind="File")
        for f in reads.files
    ]
    notes = [
        f"function {name} read {', '.join(names)} of the notebook: now handed on as parameters"
        for name, names in handed.items()
    ]
    return _Decided(
        pieces=with_random_states(pieces, around, seen.drawn),
        around=around,
        figures=figures,
        parameters=parameters,
        notes=[*text.notes, *reads.notes, *notes],
    )


def _knowledge(decided: _Decided, work: Sequence[Piece], seen: Seen) -> Knowledge:
    given = tuple(p.name for p in decided.parameters)
    bound = {name for piece in work for name in piece.effect.writes}
    return Knowledge(
        around=decided.around,
        given=given,
        constant=(frozenset(given) - bound) | seen.plain,
        figures=decided.figures,
        unstorable=seen.unstorable,
        same=seen.same,
    )


def _with_prints(block: Block, around: Surroundings) -> Block:
    pieces = tuple(printed(piece, around) for piece in block.group.pieces)
    return replace(block, group=replace(block.group, pieces=pieces))


def _parameters(pieces: Sequence[Piece], paths: Mapping[str, str], world: World) -> list[Parameter]:
    found: list[Parameter] = []
    for piece in pieces:
        value: ast.expr | None = getattr(piece.node, "value", None)
        if piece.role != "parameter" or value is None or not is_scalar(value):
            continue
        (name,) = piece.effect.writes
        if name in paths:
            default = _quoted(world.path(paths[name]))
            found.append(Parameter(name=name, default=default, kind="File"))
            continue
        kind = type(ast.literal_eval(value)).__name__
        default = ast.get_source_segment(piece.text, value) or ast.unparse(value)
        found.append(Parameter(name=name, default=default, kind="" if kind == "NoneType" else kind))
    return found


def _check_classes(work: Iterable[Piece], cells: Sequence[Cell]) -> None:
    bound = {name for piece in work for name in piece.effect.writes}
    by_number = {cell.number: cell for cell in cells}
    refusals: list[Refusal] = []
    for piece, node in ((p, n) for p in work for n in ast.walk(p.node)):
        body = effect_of(node.body) if isinstance(node, ast.ClassDef) else effect_of(())
        both = body.reads & body.writes & bound
        if both:
            why = f"a class in it reads {min(both)} and binds a name like it"
            cell = by_number[piece.cell]
            refusals.append(refusal(cell, why, "Give one of them another name."))
    demand_none(refusals)


def _told(divider: Divider, seen: Seen) -> list[str]:
    joined = [
        f"cells {', '.join(map(str, item.cells))} are one step: {item.reason}"
        for item in divider.joined
    ]
    left_out = [
        f"{name} is a {kind}, which cannot be stored: the flow does not return it"
        for name, kind in seen.unstorable.items()
        if not any(item.reason.startswith(f"{name} is ") for item in divider.joined)
    ]
    return [*joined, *left_out]


def _analysis(design: Design, text: Text, notes: Iterable[str]) -> Analysis:
    steps = [
        StepMade(
            name=name,
            kind="effect" if block.is_effect else "step",
            cells=tuple(dict.fromkeys(piece.cell for piece in block.group.pieces)),
            inputs=block.inputs,
            outputs=block.outputs,
            changed=block.changed,
        )
        for name, block in zip(design.names, design.blocks, strict=True)
    ]
    outside = {"import", "definition", "constant"}
    return Analysis(
        notebook=design.notebook,
        flow=design.flow,
        parameters=tuple(
            ParameterMade(
                name=p.name, kind="file" if p.kind == "File" else "value", default=p.default
            )
            for p in design.parameters
        ),
        steps=tuple(steps),
        results=tuple(design.results),
        top_level=tuple(
            dict.fromkeys(
                name
                for p in design.pieces
                if p.role in outside and not p.text.endswith("*")
                for name in sorted(p.effect.writes)
            )
        ),
        requirements=text.requirements,
        notes=tuple(dict.fromkeys(notes)),
        warnings=tuple(_out_of_order(text.cells)),
    )


def _out_of_order(cells: Sequence[Cell]) -> Iterable[str]:
    last: Cell | None = None
    for cell in cells:
        if cell.kind != "code" or cell.execution_count is None:
            continue
        if last is not None and cell.execution_count < (last.execution_count or 0):
            yield (
                f"cell {cell.number} was last run before cell {last.number}: the steps stand in "
                "the order of the page"
            )
        last = cell


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
