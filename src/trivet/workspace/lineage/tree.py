"""A lineage as a tree of lines: upwards what it came from, downwards what came from it."""

from collections.abc import Mapping, Sequence

from trivet.drawing.words import readable
from trivet.workspace.lineage.graph import Lineage, Node


def draw_tree(lineage: Lineage) -> str:
    """Return the lineage in lines; what stood above already is named and not told again."""
    start = lineage.node(lineage.start)
    nodes = {node.key: node for node in lineage.nodes}
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for arrow in lineage.arrows:
        above.setdefault(arrow.target, []).append(arrow.source)
        below.setdefault(arrow.source, []).append(arrow.target)
    lines = [_line(start)]
    if lineage.direction != "down":
        lines += ["", "made from:", *_branches(start.key, above, nodes, {start.key})]
    if lineage.direction != "up":
        lines += ["", "went into:", *_branches(start.key, below, nodes, {start.key})]
    if not lineage.is_complete:
        lines += ["", "there is more: say --limit"]
    return "\n".join(lines)


def _branches(
    key: str, ties: Mapping[str, Sequence[str]], nodes: Mapping[str, Node], told: set[str]
) -> list[str]:
    """Lay out what hangs below a node. It is walked with a stack: chains may be long."""
    lines: list[str] = []
    waiting = [(other, "", last) for other, last in _marked(ties.get(key, ()))]
    waiting.reverse()
    while waiting:
        other, indent, is_last = waiting.pop()
        again = other in told
        branch = "└─ " if is_last else "├─ "
        lines.append(f"{indent}{branch}{_line(nodes[other])}{' (see above)' if again else ''}")
        if again:
            continue
        told.add(other)
        deeper = indent + ("   " if is_last else "│  ")
        children = [(child, deeper, last) for child, last in _marked(ties.get(other, ()))]
        waiting += reversed(children)
    return lines or ["nothing that is on record"]


def _marked(keys: Sequence[str]) -> list[tuple[str, bool]]:
    return [(key, at == len(keys) - 1) for at, key in enumerate(keys)]


def _line(node: Node) -> str:
    when = f", {node.time:%Y-%m-%d %H:%M}" if node.time else ""
    by = f", by {node.by}" if node.by else ""
    detail = f" · {node.detail}" if node.detail else ""
    words = f"{node.kind} {node.label}{detail}{by}{when}"
    return readable(words.replace("\n", " "))
