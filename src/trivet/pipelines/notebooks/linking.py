"""The thin notebook: the same page, its cells calling the steps of the module."""

import os
from pathlib import Path

from trivet.pipelines.notebooks.pieces import Piece
from trivet.pipelines.notebooks.writing import Design, call_of


def thin_cells(design: Design, module: str, folder: Path, project: Path) -> dict[int, str]:
    """Return the new source of each code cell; an empty one takes the cell away.

    Args:
        design: What the module is written from.
        module: The module as it is imported.
        folder: The notebook's folder.
        project: The folder that the module is imported from.
    """
    code = [cell.number for cell in design.cells if cell.kind == "code"]
    lines: dict[int, list[str]] = {number: [] for number in code}
    for piece in design.pieces:
        if piece.role == "parameter":
            lines[piece.cell].append(_with_tail(piece))
    for name, block in zip(design.names, design.blocks, strict=True):
        lines[block.group.last_cell] += call_of(name, block)
    head = _head(design, module, os.path.relpath(project, folder))
    head += [
        f"{p.name} = {_relative(p.default, project, folder)}"
        for p in design.parameters
        if p.kind == "File"
    ]
    lines[code[0]] = [*head, *([""] if lines[code[0]] else []), *lines[code[0]]]
    return {number: "\n".join(own) for number, own in lines.items()}


def _head(design: Design, module: str, way: str) -> list[str]:
    roles = {"definition", "constant", "import"}
    outside = [
        name
        for piece in design.pieces
        if piece.role in roles and "*" not in piece.text.partition("import")[2]
        for name in sorted(piece.effect.writes)
        if not piece.text.startswith("from __future__")
    ]
    names = [*dict.fromkeys(outside), *design.names]
    lines = ["import sys", "", f'sys.path.insert(0, "{way}")'] if way != "." else []
    return [*lines, f"from {module} import (", *(f"    {name}," for name in names), ")"]


def _relative(quoted: str, project: Path, folder: Path) -> str:
    path = quoted[1:-1]
    seen = path if Path(path).is_absolute() else os.path.relpath(project / path, folder)
    return f'"{seen}"'


def _with_tail(piece: Piece) -> str:
    return f"{piece.text}  {piece.tail}".rstrip()
