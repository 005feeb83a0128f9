"""A picture in characters: boxes and lines for a terminal, or a list where it is too narrow."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

from trivet.drawing.layout import Arrow, Layout, Spacing, lay_out
from trivet.pipelines.picture.model import Box, Picture

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = {
    _UP | _DOWN: "│",
    _LEFT | _RIGHT: "─",
    _DOWN | _RIGHT: "┌",
    _DOWN | _LEFT: "┐",
    _UP | _RIGHT: "└",
    _UP | _LEFT: "┘",
    _UP | _DOWN | _RIGHT: "├",
    _UP | _DOWN | _LEFT: "┤",
    _LEFT | _RIGHT | _DOWN: "┬",
    _LEFT | _RIGHT | _UP: "┴",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
    _UP: "│",
    _DOWN: "│",
    _LEFT: "─",
    _RIGHT: "─",
}
_MARKS = {"run": "✓ ", "remembered": "○ ", "failed": "✗ "}
_TALL = 3

Link = tuple[int, int]
"""Columns: where a line leaves the upper layer, and where it reaches the lower one."""


def draw_text(picture: Picture, width: int, width_of: Callable[[str], int]) -> str:
    """Return the picture as lines of text, at most `width` cells wide.

    Args:
        picture: What is drawn.
        width: Cells.
        width_of: Counts the cells of a text.
    """
    labels = {box.id: _label(box) for box in picture.boxes}
    sizes = {name: (float(width_of(text) + 4), float(_TALL)) for name, text in labels.items()}
    layout = lay_out(sizes, picture.arrows, Spacing(across=3, down=0))
    canvas = _Canvas(width_of)
    if layout.width + 1 > width or not picture.boxes:
        return "\n".join([picture.title, "", *_listed(picture, labels)])
    _draw(canvas, layout, labels, {name: int(size[0]) for name, size in sizes.items()})
    return "\n".join([picture.title, "", *canvas.lines(), *_legend(picture)])


def _label(box: Box) -> str:
    name = f"{_MARKS.get(box.state, '')}{box.label}"
    if box.count > 1:
        name = f"{name} × {box.count:,}"
    detail = box.detail if box.state in {"run", "written"} else ""
    if box.state in {"input", "output"}:
        return f"({name})"
    return f"{name}  {detail}" if detail and len(detail) <= 24 else name


def _listed(picture: Picture, labels: dict[str, str]) -> list[str]:
    sources: dict[str, list[str]] = defaultdict(list)
    for arrow in picture.arrows:
        sources[arrow.target].append(arrow.source.removeprefix("input:"))
    return [
        f"{text}  ← {', '.join(sources[name])}" if sources[name] else text
        for name, text in labels.items()
    ]


def _legend(picture: Picture) -> list[str]:
    present = {box.state for box in picture.boxes}
    words = [f"{mark}{state}" for state, mark in _MARKS.items() if state in present]
    return ["", "  ".join(words)] if words else []


class _Canvas:
    """Cells that lines cross and texts cover."""

    def __init__(self, width_of: Callable[[str], int]) -> None:
        self._width_of = width_of
        self._bits: dict[tuple[int, int], int] = defaultdict(int)
        self._texts: dict[tuple[int, int], str] = {}
        self._height = 0

    def text(self, x: int, y: int, text: str) -> None:
        self._texts[x, y] = text
        self._height = max(self._height, y + 1)

    def vertical(self, x: int, top: int, bottom: int) -> None:
        for y in range(top, bottom + 1):
            bits = (_UP if y > top else 0) | (_DOWN if y < bottom else 0)
            self._bits[x, y] |= bits
        self._height = max(self._height, bottom + 1)

    def horizontal(self, y: int, left: int, right: int) -> None:
        for x in range(left, right + 1):
            bits = (_LEFT if x > left else 0) | (_RIGHT if x < right else 0)
            self._bits[x, y] |= bits
        self._height = max(self._height, y + 1)

    def lines(self) -> list[str]:
        rows: dict[int, dict[int, str]] = defaultdict(dict)
        for (x, y), bits in self._bits.items():
            rows[y][x] = _LINES.get(bits, " ")
        for (x, y), text in self._texts.items():
            for covered in range(x, x + self._width_of(text)):
                rows[y].pop(covered, None)
            rows[y][x] = text
        return [self._line(rows[y]) for y in range(self._height)]

    def _line(self, cells: dict[int, str]) -> str:
        line, at = "", 0
        for x in sorted(cells):
            line += " " * (x - at) + cells[x]
            at = x + self._width_of(cells[x])
        return line.rstrip()


def _draw(canvas: _Canvas, layout: Layout, labels: dict[str, str], widths: dict[str, int]) -> None:
    column = {name: round(x) for name, (x, _) in layout.centres.items()}
    gaps = _links(layout, column)
    y = 0
    for at, layer in enumerate(layout.layers):
        for name in layer:
            left = column[name] - widths[name] // 2
            inner = widths[name] - 2
            canvas.text(left, y, f"╭{'─' * inner}╮")
            canvas.text(left, y + 1, f"│ {labels[name]} │")
            canvas.text(left, y + 2, f"╰{'─' * inner}╯")
        for x in gaps.passing[at]:
            canvas.vertical(x, y - 1, y + _TALL)
        y += _TALL
        if at + 1 < len(layout.layers):
            y = _draw_gap(canvas, gaps.links[at], gaps.tips[at], y)


class _Gaps:
    """What runs between layers: links, lines that pass a layer, and columns that end in a tip."""

    def __init__(self, layers: int) -> None:
        self.links: list[list[Link]] = [[] for _ in range(layers)]
        self.passing: list[set[int]] = [set() for _ in range(layers)]
        self.tips: list[dict[int, str]] = [{} for _ in range(layers)]


def _links(layout: Layout, column: dict[str, int]) -> _Gaps:
    level = {name: at for at, layer in enumerate(layout.layers) for name in layer}
    gaps = _Gaps(len(layout.layers))
    for arrow, way in layout.ways.items():
        upper, lower = _ends(arrow, layout)
        between = [round(x) for x, _ in way[1:-1:2]]
        columns = [column[upper], *between, column[lower]]
        for at, (start, end) in enumerate(pairwise(columns), level[upper]):
            gaps.links[at].append((start, end))
        for at, x in enumerate(between, level[upper] + 1):
            gaps.passing[at].add(x)
        last = level[lower] - 1
        gaps.tips[last if upper == arrow.source else level[upper]][column[arrow.target]] = (
            "▼" if upper == arrow.source else "▲"
        )
    return gaps


def _ends(arrow: Arrow, layout: Layout) -> tuple[str, str]:
    if arrow in layout.turned:
        return arrow.target, arrow.source
    return arrow.source, arrow.target


def _draw_gap(canvas: _Canvas, links: Sequence[Link], tips: dict[int, str], y: int) -> int:
    """Draw the lines between two layers from row `y` on; return the row of the next layer."""
    tracks = _tracks(links)
    rows = max(tracks.values(), default=0) + 1
    bottom = y + rows + 1
    for start, end in set(links):
        if start == end:
            canvas.vertical(start, y, bottom)
            continue
        row = y + tracks[start]
        canvas.vertical(start, y - 1, row)
        canvas.horizontal(row, min(start, end), max(start, end))
        canvas.vertical(end, row, bottom)
    for x, tip in tips.items():
        canvas.text(x, bottom - 1 if tip == "▼" else y, tip)
    return bottom


def _tracks(links: Sequence[Link]) -> dict[int, int]:
    """Give every column that lines leave from a row of its own where rows would overlap.

    A line that leaves where another arrives bends first, so that the two do not touch.
    """
    spans: dict[int, list[int]] = defaultdict(list)
    for start, end in links:
        if start != end:
            spans[start] += [start, end]
    reached = {end: start for start, end in links if start != end}
    order = sorted(spans, key=lambda start: (start in reached and reached[start] != start, start))
    order.sort(key=lambda start: sum(end in spans and end != start for end in spans[start]))
    taken: list[list[tuple[int, int]]] = []
    tracks: dict[int, int] = {}
    for start in order:
        low, high = min(spans[start]), max(spans[start])
        floor = max((tracks[e] + 1 for e in spans[start] if e != start and e in tracks), default=0)
        row = floor
        while row < len(taken) and any(low <= b and a <= high for a, b in taken[row]):
            row += 1
        while row >= len(taken):
            taken.append([])
        taken[row].append((low, high))
        tracks[start] = row
    return tracks
