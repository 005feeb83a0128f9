"""A picture as one SVG file that needs nothing else, on light and on dark ground."""

import html
import math
import re
from collections.abc import Sequence

from trivet.drawing.layout import Arrow, Layout, Point, Spacing, lay_out
from trivet.pipelines.picture.model import Box, Picture, State

_LETTER, _SMALL = 7.83, 6.7
"""Widths of a letter: names in a typewriter's face of 13 px, details in 11 px."""
_TALL, _FLAT = 46.0, 30.0
_PAD, _MARGIN, _HEAD, _FOOT = 16.0, 28.0, 64.0, 52.0
_LONGEST_NAME, _LONGEST_DETAIL = 40, 48
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_WORDS: dict[State, str] = {
    "input": "input",
    "written": "step",
    "run": "run",
    "remembered": "remembered",
    "failed": "failed",
    "output": "result",
}
_MARKS: dict[State, str] = {"run": "✓", "remembered": "○", "failed": "✗"}

_STYLE = """
.ground{fill:#fbfcfd}.frame{fill:none;stroke:#c3ccd6;stroke-width:1.2}
.dashed{stroke-dasharray:7 5;stroke:#8a97a6}
text{fill:#1d2733;font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",
"Noto Sans Mono CJK SC","Noto Sans CJK SC",monospace}
.title{font:600 15px system-ui,"Segoe UI",Roboto,"Noto Sans","Noto Sans CJK SC",sans-serif}
.small{font:11px system-ui,"Segoe UI",Roboto,"Noto Sans","Noto Sans CJK SC",sans-serif;
fill:#5a6878}
.middle{text-anchor:middle}
.box{fill:#fff;stroke:#aeb9c5;stroke-width:1.2}.behind{fill:#f1f4f7;stroke:#c3ccd6}
.band{fill:#8a97a6}
.arrow{fill:none;stroke:#8593a2;stroke-width:1.4}.tip{fill:#8593a2}
.run .box{stroke:#2f855a}.run .band{fill:#2f855a}.run .mark{fill:#2f855a}
.remembered .box{stroke:#3b7ea1}.remembered .band{fill:#3b7ea1}.remembered .mark{fill:#3b7ea1}
.failed .box{stroke:#c0392b;fill:#fdf3f2}.failed .band{fill:#c0392b}.failed .mark{fill:#c0392b}
.input .box,.output .box{fill:#f1f4f7;stroke:#c3ccd6}
@media (prefers-color-scheme:dark){
.ground{fill:#14191f}.frame{stroke:#3a4653}.dashed{stroke:#66758a}
text{fill:#e6ebf0}.small{fill:#9aa8b7}
.box{fill:#1d252e;stroke:#55636f}.behind{fill:#181f26;stroke:#3a4653}
.arrow{stroke:#74828f}.tip{fill:#74828f}.band{fill:#74828f}
.run .box{stroke:#4fb286}.run .band,.run .mark{fill:#4fb286}
.remembered .box{stroke:#62a9cf}.remembered .band,.remembered .mark{fill:#62a9cf}
.failed .box{stroke:#e5746a;fill:#2b1d1d}.failed .band,.failed .mark{fill:#e5746a}
.input .box,.output .box{fill:#1a2128;stroke:#3a4653}}
""".replace("\n", "")


def draw_svg(picture: Picture) -> str:
    """Return the picture as SVG text."""
    sizes = {box.id: _size(box) for box in picture.boxes}
    layout = lay_out(sizes, picture.arrows, Spacing(across=26, down=44))
    ends = _spread(layout, sizes)
    title_width = _text_width(picture.title, 9.4, 15)
    legend = _legend(picture)
    inner = max(layout.width, title_width, legend[1])
    wide = math.ceil(inner + 2 * _MARGIN + 24)
    tall = math.ceil(layout.height + _HEAD + _FOOT + _MARGIN)
    left = (wide - layout.width) / 2
    both = f'width="{wide}" height="{tall}"'
    frame = "frame dashed" if picture.is_preview else "frame"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" {both} role="img">',
        f"<title>{_safe(picture.title)}</title><style>{_STYLE}</style>",
        f'<rect class="ground" {both}/>',
        f'<rect class="{frame}" x="8" y="8" rx="10" width="{wide - 16}" height="{tall - 16}"/>',
        f'<text class="title" x="{_MARGIN}" y="38">{_safe(picture.title)}</text>',
        f'<g transform="translate({left:.1f} {_HEAD:.1f})">',
        *(_arrow(points, arrow in layout.turned) for arrow, points in ends.items()),
        *(_box(box, layout.centres[box.id], sizes[box.id]) for box in picture.boxes),
        "</g>",
        f'<g transform="translate({_MARGIN} {tall - 34})">{legend[0]}</g>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _size(box: Box) -> tuple[float, float]:
    name = _text_width(_name(box), _LETTER, 13) + (18 if box.state in _MARKS else 0)
    detail = _text_width(_short(box.detail, _LONGEST_DETAIL), _SMALL, 11)
    is_flat = box.state in {"input", "output"}
    if is_flat:
        return name + (detail + 10 if detail else 0) + 2 * _PAD, _FLAT
    marked = 18 if box.state in _MARKS else 0
    return max(92.0, name + 2 * _PAD + 4, detail + marked + 2 * _PAD + 4), _TALL


def _name(box: Box) -> str:
    name = _short(box.label, _LONGEST_NAME)
    return f"{name} × {box.count:,}" if box.count > 1 else name


def _box(box: Box, centre: Point, size: tuple[float, float]) -> str:
    (x, y), (width, height) = centre, size
    left, top = x - width / 2, y - height / 2
    is_flat = box.state in {"input", "output"}
    radius = height / 2 if is_flat else 7
    rect = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}"'
    parts = [f"<title>{_safe(f'{_name(box)} {box.detail}'.strip())}</title>"]
    if box.count > 1 or box.is_repeated:
        parts.append(f'<rect class="box behind" transform="translate(5 5)" {rect}/>')
    parts.append(f'<rect class="box" {rect}/>')
    name, detail = _safe(_name(box)), _safe(_short(box.detail, _LONGEST_DETAIL))
    if is_flat:
        parts.append(f'<text x="{left + _PAD:.1f}" y="{y + 4.5:.1f}">{name}</text>')
        if detail:
            place = f'text-anchor="end" x="{left + width - _PAD:.1f}" y="{y + 4:.1f}"'
            parts.append(f'<text class="small" {place}>{detail}</text>')
        return f'<g class="{box.state}">{"".join(parts)}</g>'
    parts.append(
        f'<rect class="band" x="{left + 5:.1f}" y="{top + 9:.1f}" width="3.5" '
        f'height="{height - 18:.1f}" rx="1.7"/>'
    )
    mark = _MARKS.get(box.state, "")
    base = y + (4.5 if not detail else -3)
    if mark:
        parts.append(f'<text class="mark" x="{left + _PAD:.1f}" y="{base:.1f}">{mark}</text>')
    start = left + _PAD + (18 if mark else 0)
    parts.append(f'<text x="{start:.1f}" y="{base:.1f}">{name}</text>')
    if detail:
        parts.append(f'<text class="small" x="{start:.1f}" y="{y + 14:.1f}">{detail}</text>')
    return f'<g class="{box.state}">{"".join(parts)}</g>'


def _spread(layout: Layout, sizes: dict[str, tuple[float, float]]) -> dict[Arrow, Sequence[Point]]:
    """Let arrows of one box leave and arrive side by side, in the order of where they lead."""
    ways = {arrow: list(way) for arrow, way in layout.ways.items()}
    leaving: dict[str, list[Arrow]] = {}
    arriving: dict[str, list[Arrow]] = {}
    for arrow in ways:
        upper, lower = arrow.source, arrow.target
        if arrow in layout.turned:
            upper, lower = lower, upper
        leaving.setdefault(upper, []).append(arrow)
        arriving.setdefault(lower, []).append(arrow)
    for ends, end, near in ((leaving, 0, 1), (arriving, -1, -2)):
        for name, arrows in ends.items():
            room = min(sizes[name][0] * 0.6, 18.0 * (len(arrows) - 1))
            arrows.sort(key=lambda arrow, near=near: ways[arrow][near][0])
            for at, arrow in enumerate(arrows):
                share = at / (len(arrows) - 1) - 0.5 if len(arrows) > 1 else 0.0
                x, y = ways[arrow][end]
                ways[arrow][end] = (x + room * share, y)
    return {arrow: tuple(way) for arrow, way in ways.items()}


def _arrow(points: Sequence[Point], is_turned: bool) -> str:  # noqa: FBT001  # the arrow's property
    ordered = tuple(reversed(points)) if is_turned else points
    sign = -1 if is_turned else 1
    (x, y), tip = ordered[0], ordered[-1]
    path = [f"M{x:.1f} {y:.1f}"]
    end = (tip[0], tip[1] - 6 * sign)
    for px, py in (*ordered[1:-1], end):
        bend = (py - y) / 2
        path.append(f"C{x:.1f} {y + bend:.1f} {px:.1f} {py - bend:.1f} {px:.1f} {py:.1f}")
        x, y = px, py
    tx, ty = tip
    corners = f"{tx:.1f},{ty:.1f} {tx - 4:.1f},{ty - 8 * sign:.1f} {tx + 4:.1f},{ty - 8 * sign:.1f}"
    return f'<path class="arrow" d="{" ".join(path)}"/><polygon class="tip" points="{corners}"/>'


def _legend(picture: Picture) -> tuple[str, float]:
    present = {box.state for box in picture.boxes}
    parts: list[str] = []
    x = 0.0
    for state, word in _WORDS.items():
        if state not in present:
            continue
        mark = _MARKS.get(state, "")
        parts.append(
            f'<g class="{state}"><rect class="box" x="{x:.1f}" y="-9" width="16" height="12" '
            f'rx="{6 if state in {"input", "output"} else 3}"/></g>'
            f'<text class="small" x="{x + 22:.1f}" y="1">{f"{mark} " if mark else ""}{word}</text>'
        )
        x += 22 + _text_width(f"{mark} {word}", _SMALL, 11) + 18
    if any(box.count > 1 or box.is_repeated for box in picture.boxes):
        parts.append(
            f'<g><rect class="box behind" x="{x + 3:.1f}" y="-6" width="16" height="12" rx="3"/>'
            f'<rect class="box" x="{x:.1f}" y="-9" width="16" height="12" rx="3"/></g>'
            f'<text class="small" x="{x + 26:.1f}" y="1">many calls</text>'
        )
        x += 26 + _text_width("many calls", _SMALL, 11)
    return "".join(parts), x


def _text_width(text: str, letter: float, wide: float) -> float:
    return sum(letter if ord(sign) < 0x2E80 else wide for sign in text)


def _short(text: str, longest: int) -> str:
    text = text.partition("\n")[0]
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _safe(text: str) -> str:
    return html.escape(_CONTROLS.sub("", text))
