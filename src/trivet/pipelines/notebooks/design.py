"""From a notebook's cells to the design of a module: every decision, and no file touched."""

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from trivet.core.errors import Invalid
from trivet.pipelines.notebooks import refusing
from trivet.pipelines.notebooks.blocks import Divider, Group, Knowledge
from trivet.pipelines.notebooks.facts import Analysis, ParameterMade, StepMade
from trivet.pipelines.notebooks.files import named_paths, take_files, with_pseudo_names
from trivet.pipelines.notebooks.handing_on import hand_on_variables
from trivet.pipelines.notebooks.magics import Refusal, translate
from trivet.pipelines.notebooks.mutation import Pair
from trivet.pipelines.notebooks.naming import free_name, identifier, step_names
from trivet.pipelines.notebooks.pieces import Piece, cut, parts_of, range_of, remade
from trivet.pipelines.notebooks.random_states import with_random_states
from trivet.pipelines.notebooks.reading import Cell
from trivet.pipelines.notebooks.roles import BUILTINS, is_scalar, surroundings
from trivet.pipelines.notebooks.scopes import effect_of
from trivet.pipelines.notebooks.showing import mark_shows, printed
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


@dataclass(frozen=True)
class World:
    """What is outside the notebook."""

    exists: Callable[[str], bool]
    """Says whether a path, seen from the notebook, is a file or folder."""
    path: Callable[[str], str]
    """Returns that path as it is seen from the project."""
    names_of: Callable[[str], Sequence[str] | None]
    """Returns what `from module import *` binds; None when the module cannot be imported."""


@dataclass(frozen=True)
class Unit:
    """A part of a cell that is run as one."""

    cell: int
    source: str


@dataclass(frozen=True)
class Text:
    """A notebook in plain Python."""

    cells: Sequence[Cell]
    units: Sequence[Unit]
    pieces: Sequence[Piece]
    notes: tuple[str, ...]
    requirements: tuple[str, ...]


def read_cells(cells: Sequence[Cell], world: World) -> Text:
    """Turn the cells into statements of plain Python.

    Raises:
        Invalid: A cell cannot be converted (code `cell-refused`); the message names all of them.
    """
    units: list[Unit] = []
    pieces: list[Piece] = []
    notes: list[str] = []
    requirements: list[str] = []
    refusals: list[Refusal] = []
    for cell in cells:
        if cell.kind != "code":
            continue
        translated = translate(cell.source)
        notes += [f"cell {cell.number}: {note}" for note in translated.notes]
        requirements += translated.requirements
        refusals += [_refusal(cell, *reason) for reason in translated.reasons]
        try:
            for part in parts_of(translated.source):
                found = [replace(p, unit=len(units)) for p in cut(cell.number, part)]
                pieces += found
                units.append(Unit(cell.number, part))
        except (SyntaxError, ValueError) as error:
            why = f"it is no valid Python: {error}"
            refusals += [_refusal(cell, why, "Run the cell in Jupyter first.")] * (
                not translated.reasons
            )
    by_number = {cell.number: cell for cell in cells}
    pieces, unknown = _with_star_names(pieces, world)
    refusals += [_refusal(by_number[number], *reason) for number, reason in unknown]
    bound = frozenset(name for piece in pieces for name in piece.effect.writes)
    for piece in pieces:
        for reason in dict.fromkeys(refusing.reasons_against(piece.node, bound)):
            refusals.append(_refusal(by_number[piece.cell], *reason))
    if refusals:
        raise _refused(refusals)
    return Text(
        cells=cells,
        units=units,
        pieces=_with_prints(pieces),
        notes=tuple(dict.fromkeys(notes)),
        requirements=tuple(dict.fromkeys(requirements)),
    )


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
    tagged = frozenset(c.number for c in text.cells if PARAMETERS in c.tags)
    pieces, handed = hand_on_variables(text.pieces, tagged)
    paths = named_paths(pieces, world.exists)
    pieces, reads = take_files(pieces, world.exists)
    around = surroundings(pieces)
    pieces, figures = mark_shows(with_pseudo_names(pieces, reads), around)
    pieces = with_random_states(pieces, around, seen.drawn)
    parameters = _parameters(pieces, paths, world)
    parameters += [
        Parameter(name=f.name, default=_quoted(world.path(f.path)), kind="File")
        for f in reads.files
    ]
    work = [p for p in pieces if p.role in {"work", "show"}]
    if not work:
        raise Invalid(
            f"{notebook} has nothing to run: it only defines things",
            code="empty-notebook",
            hint="Import its functions from a module, or add a cell that calls them.",
        )
    _check_classes(work, text.cells)
    bound = {name for piece in work for name in piece.effect.writes}
    known = Knowledge(
        around=around,
        given=tuple(p.name for p in parameters),
        constant=(frozenset(p.name for p in parameters) - bound) | seen.plain,
        figures=figures,
        unstorable=seen.unstorable,
        same=seen.same,
    )
    divider = Divider(_groups(text.cells, work), known)
    blocks, results = divider.divide()
    blocks = [
        replace(b, group=replace(b.group, pieces=tuple(printed(p, around) for p in b.group.pieces)))
        for b in blocks
    ]
    pieces = unused_imports([printed(piece, around) for piece in pieces], blocks)
    taken = {n for p in pieces for n in p.effect.writes | p.effect.reads}
    taken |= {p.name for p in parameters} | {"step", "flow", "effect", "File"}
    names = step_names(blocks, taken)
    flow = free_name(identifier(module, "notebook"), {*taken, *names}, "flow")
    design = Design(
        notebook=notebook,
        flow=flow,
        cells=text.cells,
        pieces=pieces,
        blocks=blocks,
        names=names,
        parameters=parameters,
        results=results,
        builtin_names=BUILTINS,
    )
    notes = [*text.notes, *reads.notes, *_told(handed, divider)]
    return design, _analysis(design, text, notes)


def _with_star_names(
    pieces: Sequence[Piece], world: World
) -> tuple[list[Piece], list[tuple[int, refusing.Reason]]]:
    made: list[Piece] = []
    unknown: list[tuple[int, refusing.Reason]] = []
    for piece in pieces:
        node = piece.node
        is_star = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        if not is_star or not isinstance(node, ast.ImportFrom):
            made.append(piece)
            continue
        names = world.names_of(node.module or "") if not node.level else None
        if names is None:
            why = f"nobody can tell what `{piece.text}` binds: the module does not import here"
            unknown.append((piece.cell, (why, "Name what you import, or install the module.")))
            continue
        found = frozenset(names)
        effect = msgspec.structs.replace(piece.effect, writes=found, bound=found)
        made.append(replace(piece, effect=effect))
    return made, unknown


def _with_prints(pieces: Sequence[Piece]) -> list[Piece]:
    """Print what `display` would show; outside IPython there is no other place for it."""
    is_own = any("display" in p.effect.writes and not _imports_display(p.node) for p in pieces)
    made: list[Piece] = []
    for piece in pieces:
        if is_own:
            made.append(piece)
        elif _imports_display(piece.node):
            if piece.effect.writes != frozenset({"display"}):
                text = ast.unparse(_without_display(piece.node))
                made.append(remade(replace(piece, text=text)))
        else:
            shown = [
                (range_of(n), "print")
                for n in ast.walk(piece.node)
                if isinstance(n, ast.Name) and n.id == "display"
            ]
            made.append(piece.edited(shown) if shown else piece)
    return made


def _imports_display(node: ast.stmt) -> bool:
    is_module = isinstance(node, ast.ImportFrom) and (node.module or "").startswith("IPython")
    return is_module and any(alias.name == "display" for alias in getattr(node, "names", ()))


def _without_display(node: ast.stmt) -> ast.ImportFrom:
    assert isinstance(node, ast.ImportFrom)  # noqa: S101  # for the type checker
    names = [alias for alias in node.names if alias.name != "display"]
    return ast.ImportFrom(node.module, names, node.level)


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


def _groups(cells: Sequence[Cell], work: Sequence[Piece]) -> list[Group]:
    """Group the statements: a mark holds until the next one; before the first, cells stand alone.

    A mark is a heading, a tag `step:NAME`, or a comment `# %% step: NAME`.
    """
    by_cell: dict[int, dict[int, list[Piece]]] = {}
    for piece in work:
        by_cell.setdefault(piece.cell, {}).setdefault(piece.unit, []).append(piece)
    whole = _title_of_all(cells)
    groups: list[Group] = []
    mark, title = "", ""
    last: str | None = None
    for cell in cells:
        heading = _heading(cell) if cell.kind == "markdown" and cell.number != whole else ""
        if heading:
            mark, title = f"heading {cell.number}", heading
        for tag in cell.tags:
            if tag.startswith("step:"):
                mark, title = tag, tag.removeprefix("step:").strip()
        for pieces in by_cell.get(cell.number, {}).values():
            own = next((p.mark for p in pieces if p.mark), "")
            if own:
                mark, title = f"comment {own}", own
            if mark and mark == last:
                groups[-1] = Group((*groups[-1].pieces, *pieces), title)
            else:
                groups.append(Group(tuple(pieces), title))
            last = mark
    return groups


def _title_of_all(cells: Sequence[Cell]) -> int:
    """Return the cell that holds the notebook's own title; 0 when none does."""
    tops = [c for c in cells if c.kind == "markdown" and c.source.lstrip().startswith("# ")]
    code = [c.number for c in cells if c.kind == "code" and c.source.strip()]
    is_title = len(tops) == 1 and (not code or tops[0].number < code[0])
    return tops[0].number if is_title else 0


def _heading(cell: Cell) -> str:
    line = cell.first_line
    return line.lstrip("#").strip() if line.startswith("#") else ""


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
            refusals.append(_refusal(cell, why, "Give one of them another name."))
    if refusals:
        raise _refused(refusals)


def _told(handed: Mapping[str, tuple[str, ...]], divider: Divider) -> list[str]:
    notes = [
        f"function {name} read {', '.join(names)} of the notebook: now handed on as parameters"
        for name, names in handed.items()
    ]
    for item in divider.joined:
        cells = ", ".join(map(str, item.cells))
        notes.append(f"cells {cells} are one step: {item.reason}")
    return notes


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


def _refusal(cell: Cell, reason: str, hint: str) -> Refusal:
    return Refusal(cell=cell.number, first_line=cell.first_line, reason=reason, hint=hint)


def _refused(refusals: Sequence[Refusal]) -> Invalid:
    refusals = list(dict.fromkeys(refusals))
    lines = [f"cell {r.cell} ({r.first_line}): {r.reason}" for r in refusals]
    count = len({refusal.cell for refusal in refusals})
    told = "a cell cannot be converted" if count == 1 else f"{count} cells cannot be converted"
    return Invalid(
        "\n  ".join([f"{told}; nothing was written", *lines]),
        code="cell-refused",
        hint=" ".join(dict.fromkeys(r.hint for r in refusals if r.hint)),
        detail={"cells": msgspec.to_builtins(refusals)},
    )
