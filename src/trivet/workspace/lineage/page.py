"""A lineage as a page: a drawing in layers, and under it a table with every identifier."""

from trivet.drawing.layout import Arrow, Layout, Spacing, lay_out
from trivet.drawing.markup import Markup, element, joined, scrolling
from trivet.drawing.page import page_section, render_page
from trivet.drawing.words import readable
from trivet.workspace.lineage.graph import Lineage, Node

_LETTER, _WIDE, _TALL = 7.4, 13.0, 44.0
_PAD, _MARGIN = 14.0, 12.0
_LONGEST = 34


def lineage_page(lineage: Lineage) -> str:
    """Return a whole HTML document that needs no network and no script."""
    start = lineage.node(lineage.start)
    title = f"Lineage of {start.label}"
    header = element(
        "header",
        element("p", f"{start.kind}", class_="eyebrow"),
        element("h1", title),
        element("p", "Arrows lead from what was there to what was made of it.", class_="lead"),
    )
    parts = [
        page_section("drawing", "Drawing", scrolling(draw_lineage(lineage), label=title)),
        page_section("table", "What is drawn", _table(lineage)),
    ]
    if not lineage.is_complete:
        parts.insert(0, element("p", "There is more than is drawn here.", class_="note"))
    return render_page(title, element("body", header, element("main", *parts)))


def draw_lineage(lineage: Lineage) -> Markup:
    """Return a lineage as SVG, laid out in layers from top to bottom."""
    sizes = {node.key: (_width(node), _TALL) for node in lineage.nodes}
    layout = lay_out(sizes, lineage.arrows, Spacing(across=24, down=40))
    wide, tall = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN
    start = lineage.node(lineage.start)
    drawn = [_arrow(layout, arrow) for arrow in layout.ways]
    boxes = [
        _box(node, layout.centres[node.key], sizes[node.key], is_start=node.key == start.key)
        for node in lineage.nodes
    ]
    moved = element("g", *drawn, *boxes, transform=f"translate({_MARGIN:.0f} {_MARGIN:.0f})")
    return element(
        "svg",
        element("title", f"Lineage of {start.label}"),
        moved,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {wide:.0f} {tall:.0f}",
        width=wide,
        height=tall,
        class_="lineage",
        role="img",
    )


def _box(
    node: Node, centre: tuple[float, float], size: tuple[float, float], *, is_start: bool
) -> Markup:
    (x, y), (width, height) = centre, size
    left = x - width / 2
    return element(
        "g",
        element("title", f"{node.kind} {node.label}: {node.detail or node.key}"),
        element("rect", x=left, y=y - height / 2, width=width, height=height, rx=6),
        element("text", _short(node.label), x=left + _PAD, y=y - 3),
        element("text", node.kind, x=left + _PAD, y=y + 14, class_="kind"),
        class_="node start" if is_start else "node",
    )


def _arrow(layout: Layout, arrow: Arrow) -> Markup:
    way = layout.ways[arrow]
    points = tuple(reversed(way)) if arrow in layout.turned else way
    sign = -1 if arrow in layout.turned else 1
    x, y = points[-1]
    line = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    tip = f"{x:.1f},{y:.1f} {x - 4:.1f},{y - 8 * sign:.1f} {x + 4:.1f},{y - 8 * sign:.1f}"
    return joined(
        element("polyline", points=line, class_="tie"),
        element("polygon", points=tip, class_="tip"),
    )


def _width(node: Node) -> float:
    texts = (_short(node.label), node.kind)
    widest = max(sum(_LETTER if ord(sign) < 0x2E80 else _WIDE for sign in t) for t in texts)
    return max(90.0, widest + 2 * _PAD)


def _short(text: str) -> str:
    plain = readable(text.replace("\n", " "))
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


def _table(lineage: Lineage) -> Markup:
    heads = ("what", "name", "more", "by", "when", "identifier")
    rows = [
        element(
            "tr",
            *(element("td", text) for text in (node.kind, node.label, node.detail, node.by)),
            element("td", f"{node.time:%Y-%m-%d %H:%M}" if node.time else "", class_="moment"),
            element("td", node.key, class_="identifier"),
        )
        for node in lineage.nodes
    ]
    head = element("thead", element("tr", *(element("th", text, scope="col") for text in heads)))
    table = element("table", head, element("tbody", *rows))
    return scrolling(table, label="What is drawn")
