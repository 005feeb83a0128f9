"""Where boxes stand and how arrows run: layers from top to bottom, few crossings, straight lines.

The method is Sugiyama's in its classical steps: arrows that close a circle are turned, boxes are
put into layers by the longest path, long arrows get a dummy in each layer they pass, layers are
ordered by barycentres, and places across are found by least squares: in each layer the places
nearest to those of the neighbours that keep order and distance (isotonic regression).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

_SWEEPS = 12
_STRAIGHT = 8.0
"""How much more a dummy holds on to its place than a box: long arrows run straight."""

Point = tuple[float, float]


class Arrow(msgspec.Struct, frozen=True, order=True):
    """The way from one box to another, by their names."""

    source: str
    target: str


class Spacing(msgspec.Struct, frozen=True, kw_only=True):
    """Distances, in the unit of the boxes' sizes."""

    across: float
    """Between two boxes of a layer."""
    down: float
    """Between two layers."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Centres of boxes and ways of arrows; everything lies in 0..width and 0..height."""

    centres: dict[str, Point]
    ways: dict[Arrow, tuple[Point, ...]]
    """From the lower edge of the source to the upper edge of the target, turned arrows too (then
    from target to source); between them one point at the upper and lower edge of each layer."""
    turned: frozenset[Arrow]
    layers: tuple[tuple[str, ...], ...]
    """Boxes by layer, from left to right."""
    width: float
    height: float


def lay_out(
    sizes: Mapping[str, tuple[float, float]], arrows: Iterable[Arrow], spacing: Spacing
) -> Layout:
    """Lay boxes out.

    Args:
        sizes: Width and height of each box by name, in the order that is kept where nothing else
            decides.
        arrows: Between these boxes; one from a box to itself is left out.
        spacing: Least distances.
    """
    wanted = [arrow for arrow in dict.fromkeys(arrows) if arrow.source != arrow.target]
    parts = [
        _lay_out_part(
            {name: sizes[name] for name in part}, [a for a in wanted if a.source in part], spacing
        )
        for part in _parts(list(sizes), wanted)
    ]
    return _side_by_side(parts, spacing.across)


def _parts(names: Sequence[str], arrows: Sequence[Arrow]) -> list[dict[str, None]]:
    """Return the boxes that hang together, in their order; the greatest part first."""
    near: dict[str, set[str]] = {name: set() for name in names}
    for arrow in arrows:
        near[arrow.source].add(arrow.target)
        near[arrow.target].add(arrow.source)
    part_of: dict[str, int] = {}
    for number, root in enumerate(names):
        reached = [] if root in part_of else [root]
        while reached:
            name = reached.pop()
            part_of[name] = number
            reached += [other for other in near[name] if other not in part_of]
    parts: dict[int, dict[str, None]] = {}
    for name in names:
        parts.setdefault(part_of[name], {})[name] = None
    return sorted(parts.values(), key=len, reverse=True)


def _side_by_side(parts: Sequence[Layout], gap: float) -> Layout:
    centres: dict[str, Point] = {}
    ways: dict[Arrow, tuple[Point, ...]] = {}
    x = 0.0
    for part in parts:
        centres |= {name: (at + x, y) for name, (at, y) in part.centres.items()}
        ways |= {a: tuple((at + x, y) for at, y in way) for a, way in part.ways.items()}
        x += part.width + gap
    deepest = max((len(part.layers) for part in parts), default=0)
    return Layout(
        centres=centres,
        ways=ways,
        turned=frozenset(arrow for part in parts for arrow in part.turned),
        layers=tuple(
            tuple(name for part in parts for name in (*part.layers, *[()] * deepest)[at])
            for at in range(deepest)
        ),
        width=max(0.0, x - gap),
        height=max((part.height for part in parts), default=0.0),
    )


def _lay_out_part(
    sizes: Mapping[str, tuple[float, float]], wanted: Sequence[Arrow], spacing: Spacing
) -> Layout:
    turned = _turned(list(sizes), wanted)
    down = {a: (a.target, a.source) if a in turned else (a.source, a.target) for a in wanted}
    depth = _depths(list(sizes), list(down.values()))
    chains = {arrow: _chain(number, *down[arrow], depth) for number, arrow in enumerate(wanted)}
    layers = _layers(sizes, depth, chains.values())
    links = [link for chain in chains.values() for link in pairwise(chain)]
    layers = _ordered(layers, links)
    widths = {name: sizes[name][0] if name in sizes else 0.0 for layer in layers for name in layer}
    across = _across(layers, links, widths, spacing.across)
    return _placed(sizes, layers, across, chains, turned, spacing)


def _turned(names: Sequence[str], arrows: Sequence[Arrow]) -> frozenset[Arrow]:
    """Return the arrows that lead back to where a search is on its way from."""
    leaving: dict[str, list[Arrow]] = defaultdict(list)
    for arrow in arrows:
        leaving[arrow.source].append(arrow)
    state: dict[str, int] = {}
    back: set[Arrow] = set()
    for root in names:
        stack = [(root, iter(leaving[root]))] if root not in state else []
        state.setdefault(root, 1)
        while stack:
            name, rest = stack[-1]
            arrow = next(rest, None)
            if arrow is None:
                state[name] = 2
                stack.pop()
            elif state.get(arrow.target) == 1:
                back.add(arrow)
            elif arrow.target not in state:
                state[arrow.target] = 1
                stack.append((arrow.target, iter(leaving[arrow.target])))
    return frozenset(back)


def _depths(names: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return each box's layer: the longest path to it; a beginning stands close to its reader."""
    after: dict[str, set[str]] = defaultdict(set)
    waiting = dict.fromkeys(names, 0)
    for source, target in set(links):
        after[source].add(target)
        waiting[target] += 1
    beginnings = [name for name in names if not waiting[name]]
    depth = dict.fromkeys(names, 0)
    ready = list(beginnings)
    while ready:
        name = ready.pop()
        for target in after[name]:
            depth[target] = max(depth[target], depth[name] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for name in beginnings:
        if after[name]:
            depth[name] = min(depth[target] for target in after[name]) - 1
    return depth


def _chain(number: int, source: str, target: str, depth: Mapping[str, int]) -> list[str]:
    between = range(depth[source] + 1, depth[target])
    return [source, *(f"\0{number}:{layer}" for layer in between), target]


def _layers(
    sizes: Mapping[str, object], depth: Mapping[str, int], chains: Iterable[Sequence[str]]
) -> list[list[str]]:
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in sizes:
        layers[depth[name]].append(name)
    for chain in chains:
        for step, name in enumerate(chain[1:-1], depth[chain[0]] + 1):
            layers[step].append(name)
    return layers


def _ordered(layers: list[list[str]], links: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Order each layer by the mean place of its neighbours, to and fro; keep the best order met."""
    above, below = _neighbours(links)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, below)
    for sweep in range(_SWEEPS):
        is_down = sweep % 2 == 0
        order = range(1, len(layers)) if is_down else range(len(layers) - 2, -1, -1)
        for at in order:
            fixed = layers[at - 1] if is_down else layers[at + 1]
            place = {name: float(i) for i, name in enumerate(fixed)}
            near = above if is_down else below
            own = {name: float(i) for i, name in enumerate(layers[at])}
            mean = {name: _mean([place[n] for n in near[name]], own[name]) for name in own}
            layers[at].sort(key=mean.__getitem__)
        crossings = _crossings(layers, below)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
        if not fewest:
            break
    return best


def _neighbours(
    links: Iterable[tuple[str, str]],
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = defaultdict(list)
    below: dict[str, list[str]] = defaultdict(list)
    for source, target in links:
        above[target].append(source)
        below[source].append(target)
    return above, below


def _crossings(layers: Sequence[Sequence[str]], below: Mapping[str, Sequence[str]]) -> int:
    total = 0
    for upper, lower in pairwise(layers):
        place = {name: i for i, name in enumerate(lower)}
        ends = [place[t] for name in upper for t in sorted(below[name], key=place.__getitem__)]
        total += _inversions(ends)
    return total


def _inversions(values: Sequence[int]) -> int:
    """Count pairs in the wrong order, with a binary indexed tree."""
    size = max(values, default=-1) + 1
    tree = [0] * (size + 1)
    count = 0
    for seen, value in enumerate(values):
        at, smaller = value + 1, 0
        while at:
            smaller += tree[at]
            at &= at - 1
        count += seen - smaller
        at = value + 1
        while at <= size:
            tree[at] += 1
            at += at & -at
    return count


def _across(
    layers: Sequence[Sequence[str]],
    links: Sequence[tuple[str, str]],
    widths: Mapping[str, float],
    gap: float,
) -> dict[str, float]:
    """Find the centres' places across."""
    above, below = _neighbours(links)
    place: dict[str, float] = {}
    for layer in layers:
        offsets = _offsets(layer, widths, gap)
        middle = offsets[-1] / 2 if offsets else 0.0
        place |= {name: at - middle for name, at in zip(layer, offsets, strict=True)}
    rounds = [(layers, above), (list(reversed(layers)), below)] * _SWEEPS
    everything = {name: above[name] + below[name] for layer in layers for name in layer}
    for order, near in [*rounds, (layers, everything), (layers, everything)]:
        for layer in order:
            wish = [_mean([place[n] for n in near[name]], place[name]) for name in layer]
            weight = [
                (_STRAIGHT if name.startswith("\0") else 1.0) * (len(near[name]) or 0.05)
                for name in layer
            ]
            offsets = _offsets(layer, widths, gap)
            wish = [at - offset for at, offset in zip(wish, offsets, strict=True)]
            fitted = _rising(wish, weight)
            place |= {n: at + o for n, at, o in zip(layer, fitted, offsets, strict=True)}
    return place


def _offsets(layer: Sequence[str], widths: Mapping[str, float], gap: float) -> list[float]:
    """Return where centres stand when a layer is packed, the first at 0."""
    places = [0.0] if layer else []
    for left, right in pairwise(layer):
        room = gap if widths[left] and widths[right] else gap * 0.7
        places.append(places[-1] + widths[left] / 2 + room + widths[right] / 2)
    return places


def _rising(wish: Sequence[float], weight: Sequence[float]) -> list[float]:
    """Return the rising values that are nearest to a wish (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, heavy in zip(wish, weight, strict=True):
        mean, mass, count = value, heavy, 1
        while blocks and blocks[-1][0] > mean:
            other, more, members = blocks.pop()
            mean = (mean * mass + other * more) / (mass + more)
            mass, count = mass + more, count + members
        blocks.append((mean, mass, count))
    return [mean for mean, _, count in blocks for _ in range(count)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _placed(
    sizes: Mapping[str, tuple[float, float]],
    layers: Sequence[Sequence[str]],
    across: Mapping[str, float],
    chains: Mapping[Arrow, Sequence[str]],
    turned: frozenset[Arrow],
    spacing: Spacing,
) -> Layout:
    left = min(
        (across[n] - sizes[n][0] / 2 if n in sizes else across[n] for n in across), default=0
    )
    right = max(
        (across[n] + sizes[n][0] / 2 if n in sizes else across[n] for n in across), default=0
    )
    tops: list[tuple[float, float]] = []
    y = 0.0
    for layer in layers:
        tall = max((sizes[name][1] for name in layer if name in sizes), default=0.0)
        tops.append((y, y + tall))
        y += tall + spacing.down
    level = {name: at for at, layer in enumerate(layers) for name in layer}
    centres = {name: (across[name] - left, sum(tops[level[name]]) / 2) for name in sizes}
    ways = {
        arrow: _way(chain, sizes, {n: across[n] - left for n in chain}, tops, level)
        for arrow, chain in chains.items()
    }
    return Layout(
        centres=centres,
        ways=ways,
        turned=turned,
        layers=tuple(tuple(name for name in layer if name in sizes) for layer in layers),
        width=right - left,
        height=max(0.0, y - spacing.down),
    )


def _way(
    chain: Sequence[str],
    sizes: Mapping[str, tuple[float, float]],
    across: Mapping[str, float],
    tops: Sequence[tuple[float, float]],
    level: Mapping[str, int],
) -> tuple[Point, ...]:
    first, last = chain[0], chain[-1]
    middle = sum(tops[level[first]]) / 2
    points: list[Point] = [(across[first], middle + sizes[first][1] / 2)]
    for name in chain[1:-1]:
        points += [(across[name], edge) for edge in tops[level[name]]]
    middle = sum(tops[level[last]]) / 2
    points.append((across[last], middle - sizes[last][1] / 2))
    return tuple(points)
