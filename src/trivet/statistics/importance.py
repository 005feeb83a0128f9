"""How much parameters mattered for a figure, over trials that somebody has made.

A forest learns the figure from the parameters. A parameter's importance is how much worse the
forest becomes, on trials that its trees did not see, when that parameter is shuffled (Breiman,
Random Forests, 2001), as a share of the figure's variance. For independent parameters this is what
is lost by not knowing the parameter, alone or together with others (its total Sobol index).

Whether that is more than chance is asked of forests that are given a shuffled copy of each
parameter, too (Kursa & Rudnicki, Feature selection with the Boruta package, 2010): a parameter must
be above the greatest of all copies, so that the more parameters there are, the more each must show
(Westfall & Young, 1993). The interval is that of halves of the trials (the delete-d jackknife;
Ishwaran & Lu, Statistics in Medicine 38, 2019).

Values count by their rank, so a parameter on a logarithmic scale needs no hint. What depends on
each other shares its importance: these are associations in the trials made, not effects.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from trivet.core.errors import Invalid
from trivet.statistics.forest import BINS, Coded, Floats, Whole, grow

FEWEST: Final = 20
"""So many trials are needed to say anything."""
MOST_COLUMNS: Final = 200
_MOST: Final = 500
_TREES: Final = 40
_FITS: Final = 5
_SHUFFLES: Final = 99
_HALVES: Final = 40
_LEVEL: Final = 0.05
_HALF_WIDTH: Final = 1.959964
_DOMINATED: Final = 0.5

Value = str | float | None


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """What one parameter mattered."""

    names: tuple[str, ...]
    """More than one where parameters changed only together: nobody can tell them apart."""
    share: float
    """Of the figure's variance, 0 to 1. Those of several need not sum to anything."""
    low: float
    """The lower end of the 95 % interval; likewise `high`."""
    high: float
    p_value: float
    """How often chance alone gives any parameter as much, at least 0.01."""
    is_clear: bool
    """Whether that is at most 0.05."""


class Importances(msgspec.Struct, frozen=True, kw_only=True):
    """What all parameters mattered, the greatest share first."""

    trials: int
    """How many were looked at."""
    explained: float
    """Share of the figure's variance that the parameters together explain, on unseen trials; 0 when
    they explain none."""
    parameters: tuple[Importance, ...]
    left_out: dict[str, str]
    """Parameters that nothing can be said about, and why."""
    notes: tuple[str, ...] = ()
    """What to mind when reading the figures."""


def parameter_importance(
    parameters: Mapping[str, Sequence[Value]],
    figure: Sequence[float],
    *,
    by_rank: bool = False,
    seed: int = 0,
) -> Importances:
    """Say how much each parameter mattered for a figure.

    Args:
        parameters: By name a value for each trial: numbers, texts (categories), or None where the
            trial has no such parameter.
        figure: A number for each trial; trials where it is not finite are left out.
        by_rank: Look at the order of the figures alone, so that a few extreme ones cannot decide.
        seed: Makes the answer repeatable.

    Raises:
        Invalid: There are fewer than 20 trials (code `too-few-trials`), the figure is always the
            same (`constant`), no parameter varies (`nothing-varies`), or more than 200 do.
    """
    chance = np.random.default_rng(seed)
    values = np.asarray(figure, np.float64)
    chosen = np.flatnonzero(np.isfinite(values))
    _check_enough(len(chosen), len(values))
    notes: list[str] = []
    if len(chosen) < len(values):
        notes.append(f"{len(values) - len(chosen)} trials have no finite figure and are left out")
    if len(chosen) > _MOST:
        notes.append(f"of {len(chosen)} trials {_MOST} were drawn at random")
        chosen = np.sort(chance.choice(chosen, _MOST, replace=False))
    target = _target(values[chosen], by_rank=by_rank, notes=notes)
    columns, names, left_out = _coded(parameters, chosen.tolist())
    fits = [_shares(columns, target, chance) for _ in range(_FITS)]
    shares = np.mean([share for share, _ in fits], axis=0)
    error = float(np.mean([error for _, error in fits]))
    p_values = _p_values(columns, target, chance)
    spread = _spread(columns, target, chance)
    found = [
        Importance(
            names=names[at],
            share=_within(shares[at]),
            low=_within(shares[at] - _HALF_WIDTH * spread[at]),
            high=_within(shares[at] + _HALF_WIDTH * spread[at]),
            p_value=float(p_values[at]),
            is_clear=bool(p_values[at] <= _LEVEL),
        )
        for at in sorted(range(len(names)), key=lambda at: -shares[at])
    ]
    return Importances(
        trials=len(chosen),
        explained=_within(1 - error),
        parameters=tuple(found),
        left_out=left_out,
        notes=tuple(notes),
    )


def _check_enough(usable: int, trials: int) -> None:
    if usable < FEWEST:
        raise Invalid(
            f"{usable} of {trials} trials have a finite figure; expected at least {FEWEST}",
            code="too-few-trials",
            hint="With fewer, chance alone makes any parameter look important: make more trials.",
        )


def _target(values: Floats, *, by_rank: bool, notes: list[str]) -> Floats:
    """Return the figures with mean 0 and variance 1."""
    if by_rank:
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        values = (np.cumsum(count) - (count - 1) / 2)[place]
    if values.min() == values.max():
        raise Invalid(
            "the figure is the same in all trials; expected it to vary",
            code="constant",
            hint="Choose another metric.",
        )
    scaled = values / np.abs(values).max()  # so that the greatest of numbers can be added
    scaled = scaled - scaled.mean()
    scaled /= np.abs(scaled).max()
    squares = scaled**2
    if squares.max() > _DOMINATED * squares.sum():
        notes.append(
            "one trial alone makes up more than half of the figure's variance: look at ranks"
        )
    return scaled / math.sqrt(float(squares.mean()))


def _shares(columns: Coded, target: Floats, chance: np.random.Generator) -> tuple[Floats, float]:
    """Return the importance of each column, and the error of the forest, as shares of variance."""
    forest = grow(columns, target, _TREES, chance)
    places = np.argsort(chance.random(forest.bags.shape), axis=1)
    error = _error(target, forest.out_of_bag(columns, None, places))
    worse = [
        _error(target, forest.out_of_bag(columns, column, places))
        for column in range(len(columns.codes))
    ]
    return np.array(worse) - error, error


def _error(target: Floats, said: Floats) -> float:
    """Return the mean squared error as a share of the variance of what was judged."""
    judged = ~np.isnan(said)
    variance = float(target[judged].var()) or 1.0
    return float(np.mean((target[judged] - said[judged]) ** 2)) / variance


def _p_values(columns: Coded, target: Floats, chance: np.random.Generator) -> Floats:
    """Return how often the greatest of all shuffled copies is as important as each column."""
    count, trials = columns.codes.shape
    own = np.zeros((_SHUFFLES, count))
    greatest = np.zeros(_SHUFFLES)
    for at in range(_SHUFFLES):
        copies = columns.codes[:, chance.permutation(trials)]
        both = Coded(np.concatenate([columns.codes, copies]), np.tile(columns.is_ordered, 2))
        shares = _shares(both, target, chance)[0]
        own[at], greatest[at] = shares[:count], shares[count:].max()
    return (1 + (greatest[:, None] >= own.mean(axis=0)).sum(axis=0)) / (_SHUFFLES + 1)


def _spread(columns: Coded, target: Floats, chance: np.random.Generator) -> Floats:
    """Return the standard error of each share, from halves of the trials.

    With half of the trials left out, the variance of what the halves say is that of the whole.
    """
    said: list[Floats] = []
    for _ in range(_HALVES):
        half = chance.permutation(len(target))[: len(target) // 2]
        if np.ptp(target[half]) > 0:
            said.append(_shares(columns.rows(half), target[half], chance)[0])
    return np.std(said, axis=0) if said else np.full(len(columns.codes), np.inf)


def _within(share: float) -> float:
    return float(min(1.0, max(0.0, share)))


# ---------------------------------------------------------------------- columns


def _coded(
    parameters: Mapping[str, Sequence[Value]], chosen: Sequence[int]
) -> tuple[Coded, list[tuple[str, ...]], dict[str, str]]:
    """Return columns, the names of each, and why others are left out."""
    left_out: dict[str, str] = {}
    alike: dict[bytes, list[str]] = {}
    columns: list[tuple[Whole, bool]] = []
    for name, values in parameters.items():
        kept = [_plain(values[at]) for at in chosen]
        reason = _reason_against(kept)
        if reason:
            left_out[name] = reason
            continue
        codes, is_ordered = _codes(kept)
        key = _partition(codes)
        if key not in alike:
            columns.append((codes, is_ordered))
        alike.setdefault(key, []).append(name)
    if not columns:
        raise Invalid(
            "no parameter varies over the trials; expected at least one",
            code="nothing-varies",
            hint="; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:5])
            or "The trials have no parameters.",
        )
    if len(columns) > MOST_COLUMNS:
        raise Invalid(
            f"{len(columns)} parameters vary; expected at most {MOST_COLUMNS}",
            code="too-many-parameters",
            hint="Name those to look at.",
        )
    coded = Coded(np.array([codes for codes, _ in columns]), np.array([o for _, o in columns]))
    return coded, [tuple(names) for names in alike.values()], left_out


def _plain(value: Value) -> Value:
    """Return a value that is comparable: NaN is nothing, and 1 and 1.0 are one number."""
    if value is None or isinstance(value, str):
        return value
    return None if math.isnan(value) else float(value)


def _reason_against(values: Sequence[Value]) -> str:
    distinct = set(values)
    if len(distinct) == 1:
        return "it is the same in all trials"
    if len(distinct) == len(values) and any(isinstance(value, str) for value in distinct):
        return "it is another text in every trial"
    return ""


def _codes(values: Sequence[Value]) -> tuple[Whole, bool]:
    """Return codes of a column, and whether they stand in an order; what is missing comes last."""
    numbers = [value for value in values if isinstance(value, float)]
    has_text = any(isinstance(value, str) for value in values)
    room = BINS - any(value is None for value in values)
    if has_text:
        counts = Counter(str(value) for value in values if value is not None)
        rank = {text: min(at, room - 1) for at, (text, _) in enumerate(counts.most_common())}
        return np.array([BINS - 1 if v is None else rank[str(v)] for v in values]), False
    known = np.array(numbers)
    edges = np.unique(known)
    if len(edges) > room:
        edges = np.unique(np.quantile(known, np.arange(room) / room, method="nearest"))
    codes = [
        BINS - 1 if value is None else int(np.searchsorted(edges, value, side="right")) - 1
        for value in values
    ]
    return np.array(codes), True


def _partition(codes: Whole) -> bytes:
    """Return what two columns share that tell trials apart in the same way."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return order[inverse].astype(np.uint8).tobytes()
