"""A forest of regression trees over coded columns, grown all trees at once.

Bagging and random choices of columns follow Breiman, Random Forests, Machine Learning 45 (2001).
Columns are small whole numbers, so a split is found in histograms; a category goes to the side that
its mean asks for, which is the best split into two there is (Fisher, 1958).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

BINS: Final = 16
"""Codes are 0 to 15."""
_DEEPEST: Final = 8
_TRIED: Final = 0.66
"""This share of the columns is tried for each split."""
_MOST_TRIED: Final = 16
_LEAF: Final = 3.0
_SMALLEST_GAIN: Final = 1e-12


@dataclass(frozen=True)
class Coded:
    """Columns as codes.

    Attributes:
        codes: A row for each column, an item for each observation.
        is_ordered: For each column, whether its codes stand in an order; otherwise they are names.
    """

    codes: Whole
    is_ordered: Flags

    def rows(self, chosen: Whole) -> "Coded":
        """Return some of the observations."""
        return Coded(self.codes[:, chosen], self.is_ordered)


@dataclass(frozen=True)
class Forest:
    """Trees as one list of nodes; node t is the root of tree t.

    Attributes:
        feature: For each node the column by which it splits; -1 for a leaf.
        goes_left: For each node and code, whether it goes to the first of the two children.
        child: For each node its first child; the second one follows it.
        value: For each node the mean of what fell into it.
        bags: For each tree and observation, how often it was drawn.
    """

    feature: Whole
    goes_left: Flags
    child: Whole
    value: Floats
    bags: Whole

    def out_of_bag(self, columns: Coded, shuffled: int | None, places: Whole) -> Floats:
        """Return what the trees that did not see an observation say of it, on average.

        Args:
            columns: As the forest was grown on.
            shuffled: A column whose values are taken from other observations.
            places: For each tree and observation, from which one.

        Returns:
            NaN for an observation that all trees have seen.
        """
        tree, row = np.nonzero(self.bags == 0)
        at = tree.copy()
        moving = np.arange(len(at))
        for _ in range(_DEEPEST + 1):
            feature = self.feature[at[moving]]
            moving, feature = moving[feature >= 0], feature[feature >= 0]
            if not len(moving):
                break
            source = row[moving]
            if shuffled is not None:
                is_shuffled = feature == shuffled
                source = np.where(is_shuffled, places[tree[moving], source], source)
            nodes = at[moving]
            left = self.goes_left[nodes, columns.codes[feature, source]]
            at[moving] = self.child[nodes] + ~left
        count = self.bags.shape[1]
        total = np.bincount(row, weights=self.value[at], minlength=count)
        seen = np.bincount(row, minlength=count)
        return np.where(seen > 0, total / np.maximum(seen, 1), np.nan)


def grow(columns: Coded, target: Floats, trees: int, chance: np.random.Generator) -> Forest:
    """Grow a forest.

    Args:
        columns: What trees split by.
        target: A finite number for each observation.
        trees: How many.
        chance: Where bags and columns are drawn from.
    """
    count = len(target)
    drawn = chance.integers(0, count, (trees, count)) + count * np.arange(trees)[:, None]
    bags = np.bincount(drawn.ravel(), minlength=trees * count).reshape(trees, count)
    growth = _Growth(columns, target, bags, chance)
    for _ in range(_DEEPEST):
        if not growth.split_level():
            break
    return growth.forest()


class _Growth:
    """A forest while it grows, one level at a time."""

    def __init__(
        self, columns: Coded, target: Floats, bags: Whole, chance: np.random.Generator
    ) -> None:
        trees, count = bags.shape
        self._columns = columns
        self._chance = chance
        self._bags = bags
        self._tried = min(_MOST_TRIED, math.ceil(_TRIED * len(columns.codes)))
        self._weight = bags.ravel().astype(np.float64)
        self._weighted = self._weight * np.tile(target, trees)
        self._row: Whole = np.tile(_upto(count), trees)
        self._open = _upto(trees * count)  # observations of trees in nodes that may split
        self._slot: Whole = np.repeat(_upto(trees), count)  # the nodes of those, from 0
        self._nodes = _upto(trees)
        sums, weights = self._sums(trees)
        self._feature: list[Whole] = [np.full(trees, -1)]
        self._child: list[Whole] = [np.zeros(trees, np.int64)]
        self._tables: list[Flags] = [np.zeros((trees, BINS), np.bool_)]
        self._values: list[Floats] = [sums / np.maximum(weights, 1.0)]
        self._made = trees

    def forest(self) -> Forest:
        return Forest(
            feature=np.concatenate(self._feature),
            goes_left=np.concatenate(self._tables),
            child=np.concatenate(self._child),
            value=np.concatenate(self._values),
            bags=self._bags,
        )

    def split_level(self) -> bool:
        """Split each node that is worth it; whether there was one."""
        slots = len(self._nodes)
        gain, feature, table = self._best(slots)
        splits = np.flatnonzero(gain > _SMALLEST_GAIN)
        if not len(splits):
            return False
        first = self._made + 2 * _upto(len(splits))
        # The last level made is the only one with open nodes; those of earlier ones are settled.
        place = self._nodes[splits] - (self._made - len(self._feature[-1]))
        self._feature[-1][place] = feature[splits]
        self._child[-1][place] = first
        self._tables[-1][place] = table[splits]
        rank: Whole = np.full(slots, -1)
        rank[splits] = _upto(len(splits))
        stays = rank[self._slot] >= 0
        self._open, slot = self._open[stays], self._slot[stays]
        codes = self._columns.codes[feature[slot], self._row[self._open]]
        self._slot = 2 * rank[slot] + ~table[slot, codes]
        made = 2 * len(splits)
        sums, weights = self._sums(made)
        self._nodes = self._made + _upto(made)
        self._feature.append(np.full(made, -1))
        self._child.append(np.zeros(made, np.int64))
        self._tables.append(np.zeros((made, BINS), np.bool_))
        self._values.append(sums / np.maximum(weights, 1.0))
        self._made += made
        return True

    def _sums(self, slots: int) -> tuple[Floats, Floats]:
        weighted, weight = self._weighted[self._open], self._weight[self._open]
        return _added(self._slot, weighted, slots), _added(self._slot, weight, slots)

    def _best(self, slots: int) -> tuple[Floats, Whole, Flags]:
        """Return the best split of each node: by how much, by which column, and how."""
        best = np.zeros(slots)
        feature = np.zeros(slots, np.int64)
        table = np.zeros((slots, BINS), np.bool_)
        draw: Floats = self._chance.random((slots, len(self._columns.codes)))
        tried: Whole = np.argsort(draw, axis=1)[:, : self._tried]
        is_tried: Flags = np.zeros(draw.shape, np.bool_)
        np.put_along_axis(is_tried, tried, values=True, axis=1)
        weighted, weight = self._weighted[self._open], self._weight[self._open]
        rows = self._row[self._open]
        for column, codes in enumerate(self._columns.codes):
            nodes = np.flatnonzero(is_tried[:, column])
            rank: Whole = np.full(slots, -1)
            rank[nodes] = _upto(len(nodes))
            place = rank[self._slot]
            met = np.flatnonzero(place >= 0)
            key = place[met] * BINS + codes[rows[met]]
            shape, size = (len(nodes), BINS), len(nodes) * BINS
            gain, goes_left = _split(
                _added(key, weighted[met], size).reshape(shape),
                _added(key, weight[met], size).reshape(shape),
                is_ordered=bool(self._columns.is_ordered[column]),
            )
            better = gain > best[nodes]
            chosen = nodes[better]
            best[chosen], feature[chosen] = gain[better], column
            table[chosen] = goes_left[better]
        return best, feature, table


def _upto(count: int) -> Whole:
    return np.arange(count, dtype=np.int64)


def _added(places: Whole, values: Floats, count: int) -> Floats:
    """Add up the values of each place."""
    return np.bincount(places, values, count).astype(np.float64, copy=False)


def _split(sums: Floats, weights: Floats, *, is_ordered: bool) -> tuple[Floats, Flags]:
    """Return for each node the gain of its best split by one column, and which codes go left."""
    slots = len(sums)
    order: Whole | None = None
    if not is_ordered:
        means = np.where(weights > 0, sums / np.maximum(weights, 1.0), np.inf)
        order = np.argsort(means, axis=1, kind="stable")
        sums = np.take_along_axis(sums, order, axis=1)
        weights = np.take_along_axis(weights, order, axis=1)
    left, left_weight = np.cumsum(sums, axis=1), np.cumsum(weights, axis=1)
    total, total_weight = left[:, -1:], left_weight[:, -1:]
    right_weight = total_weight - left_weight
    gain = (
        left**2 / np.maximum(left_weight, 1.0)
        + (total - left) ** 2 / np.maximum(right_weight, 1.0)
        - total**2 / np.maximum(total_weight, 1.0)
    )
    gain[(left_weight < _LEAF) | (right_weight < _LEAF)] = 0.0
    cut = np.argmax(gain, axis=1)
    ranked = np.arange(BINS) <= cut[:, None]
    if order is not None:
        unranked = np.zeros((slots, BINS), np.bool_)
        np.put_along_axis(unranked, order, ranked, axis=1)
        ranked = unranked
    return gain[np.arange(slots), cut], ranked
