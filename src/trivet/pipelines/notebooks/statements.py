"""A notebook in plain Python: its statements, one by one, or which cells cannot be converted."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from trivet.core.errors import Invalid
from trivet.pipelines.notebooks.magics import Refusal, translate
from trivet.pipelines.notebooks.pieces import Piece, cut, parts_of, range_of, remade
from trivet.pipelines.notebooks.reading import Cell
from trivet.pipelines.notebooks.refusing import Reason, reasons_against


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
    refusals: list[Refusal] = []
    translated = {cell.number: translate(cell.source) for cell in cells if cell.kind == "code"}
    by_number = {cell.number: cell for cell in cells}
    for number, plain in translated.items():
        refusals += [refusal(by_number[number], *reason) for reason in plain.reasons]
        try:
            for part in parts_of(plain.source):
                pieces += [replace(p, unit=len(units)) for p in cut(number, part)]
                units.append(Unit(number, part))
        except (SyntaxError, ValueError) as error:
            why = f"it is no valid Python: {error}"
            refusals.append(refusal(by_number[number], why, "Run the cell in Jupyter first."))
    pieces, unknown = _with_star_names(pieces, world)
    refusals += [refusal(by_number[number], *reason) for number, reason in unknown]
    bound = frozenset(name for piece in pieces for name in piece.effect.writes)
    for piece in pieces:
        reasons = dict.fromkeys(reasons_against(piece.node, bound))
        refusals += [refusal(by_number[piece.cell], *reason) for reason in reasons]
    demand_none(refusals)
    notes = [f"cell {n}: {note}" for n, plain in translated.items() for note in plain.notes]
    wanted = [name for plain in translated.values() for name in plain.requirements]
    return Text(
        cells=cells,
        units=units,
        pieces=_with_prints(pieces),
        notes=tuple(dict.fromkeys(notes)),
        requirements=tuple(dict.fromkeys(wanted)),
    )


def _with_star_names(
    pieces: Sequence[Piece], world: World
) -> tuple[list[Piece], list[tuple[int, Reason]]]:
    made: list[Piece] = []
    unknown: list[tuple[int, Reason]] = []
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


def refusal(cell: Cell, reason: str, hint: str) -> Refusal:
    """Name a cell and the reason why it cannot be converted."""
    return Refusal(cell=cell.number, first_line=cell.first_line, reason=reason, hint=hint)


def demand_none(refusals: Sequence[Refusal]) -> None:
    """Say which cells cannot be converted.

    Raises:
        Invalid: There is one (code `cell-refused`).
    """
    if not refusals:
        return
    refusals = sorted(dict.fromkeys(refusals), key=lambda refusal: refusal.cell)
    lines = [f"cell {r.cell} ({r.first_line}): {r.reason}" for r in refusals]
    count = len({refusal.cell for refusal in refusals})
    told = "a cell cannot be converted" if count == 1 else f"{count} cells cannot be converted"
    raise Invalid(
        "\n  ".join([f"{told}; nothing was written", *lines]),
        code="cell-refused",
        hint=" ".join(dict.fromkeys(r.hint for r in refusals if r.hint)),
        detail={"cells": msgspec.to_builtins(refusals)},
    )
