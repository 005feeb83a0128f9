"""Where steps begin: headings, tags and comments; without any, at each cell."""

from collections.abc import Sequence

from trivet.pipelines.notebooks.blocks import Group
from trivet.pipelines.notebooks.pieces import Piece
from trivet.pipelines.notebooks.reading import Cell


def group_by_marks(cells: Sequence[Cell], work: Sequence[Piece]) -> list[Group]:
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
