"""Retraining until a gate passes: how often is a model promoted that is no better, and one that is?

Simulated holdouts of 2,000 rows, a champion that is right on 90 % of them, up to 20 rounds. The
gate is the shipped one (`models.holdout_gate.HoldoutGate`, driven by `until`, looks counted in a
ledger); beside it stand three gates as they are commonly built, judging the very same candidates.

Two models err on the same rows: `discordant` is the share of rows on which exactly one of the two
is right. A share of 6 to 12 % is what retraining one algorithm on fresh rows gives at 90 %; two
models that err independently of each other would have 18 %.
"""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.models.holdout_gate import HoldoutGate
from trivet.models.rules import Champion
from trivet.pipelines.looping.until import until
from trivet.statistics.paired import compare_correct
from trivet.testing.memory_stores import memory_stores

ROWS, ACCURACY, ROUNDS = 2000, 0.90, 20
DISCORDANT = (0.06, 0.08, 0.10, 0.12)
INDEPENDENT = 2 * ACCURACY * (1 - ACCURACY)
REPETITIONS, QUICK = 1000, 100
ALPHA, POWER, WITHIN = 0.05, 0.80, 5

Right = npt.NDArray[np.bool_]
"""Shape (n,): on which rows a model is right."""
Random = np.random.Generator


@dataclass(frozen=True)
class Place:
    """A workspace's stores in memory, for one repetition."""

    stores: Stores
    scope: Scope


def rows(quick: bool) -> list[dict[str, Any]]:
    """Measure all; `quick` takes a tenth of the repetitions."""
    many = QUICK if quick else REPETITIONS
    return [*false_promotions(many), *power(many), *chosen(many)]


# -- the world --------------------------------------------------------------------------------


def a_champion(random: Random) -> Right:
    return random.random(ROWS) < ACCURACY


def beside(champion: Right, gain: float, discordant: float, random: Random) -> Right:
    """Draw a model that is truly better by `gain`, and differs on `discordant` of all rows."""
    won = (discordant + gain) / 2 / (1 - ACCURACY)
    lost = (discordant - gain) / 2 / ACCURACY
    luck = random.random(ROWS)
    return np.where(champion, luck >= lost, luck < won)


def a_gate(champion: Right, rules: Champion | None = None) -> Callable[[Right], Any]:
    """Return the shipped gate over a ledger of its own."""
    stores = memory_stores()
    gate = HoldoutGate(
        Place(stores, Scope(project="simulation", actor="benchmark")),
        "model",
        np.ones(ROWS),
        champion.astype(float),
        metric="accuracy",
        rules=rules,
    )
    return lambda right: gate(right.astype(float))


NAIVE: dict[str, Callable[[Right, Right], bool]] = {
    "any gain": lambda champion, right: right.sum() > champion.sum(),
    "gain of more than 0.5 point": lambda champion, right: right.mean() - champion.mean() > 0.005,
    "paired p < 0.05 in every round": lambda champion, right: (
        compare_correct(champion, right).p_value < 0.05
    ),
}


# -- (a) candidates that are no better --------------------------------------------------------


def falsely_promoted(many: int, discordant: float, seed: int = 0) -> dict[str, int]:
    """Count the repetitions in which any of 20 equal candidates is promoted, by gate."""
    counts = dict.fromkeys(("Trivet", *NAIVE), 0)
    for repetition in range(many):
        random = np.random.default_rng((seed, repetition))
        champion = a_champion(random)
        made = [beside(champion, 0.0, discordant, random) for _ in range(ROUNDS)]
        gate = a_gate(champion)
        found = until(lambda number, made=made: made[number - 1], gate, rounds=ROUNDS)
        counts["Trivet"] += found.passed
        for name, promotes in NAIVE.items():
            counts[name] += any(promotes(champion, right) for right in made)
    return counts


def false_promotions(many: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for discordant in (*DISCORDANT, INDEPENDENT):
        counts = falsely_promoted(many, discordant)
        for name, count in counts.items():
            is_ours = name == "Trivet"
            row = share_row(
                f"false promotions in {ROUNDS} rounds, {name}",
                count,
                many,
                f"{discordant:.0%} of rows discordant, candidates truly equal",
            )
            if is_ours:
                row |= {"target": ALPHA, "ok": count <= most_by_chance(many)}
            found.append(row)
    return found


def most_by_chance(many: int, alpha: float = ALPHA) -> int:
    """Return the count that a true rate of alpha exceeds in 1 of 1,000 benchmarks."""
    return math.floor(many * alpha + 3.09 * math.sqrt(many * alpha * (1 - alpha)))


# -- (b) candidates that are better -----------------------------------------------------------


def promoted(
    many: int, discordant: float, *, gain: float = 0.02, only: int | None = None, seed: int = 1
) -> list[int]:
    """Count in which of five rounds a better candidate was promoted, first promotions only.

    Args:
        many: Repetitions.
        discordant: Share of rows on which exactly one of the two is right.
        gain: How much better.
        only: The one round whose candidate is better; None: every round's is.
        seed: Makes it repeatable.
    """
    counts = [0] * WITHIN
    for repetition in range(many):
        random = np.random.default_rng((seed, repetition))
        champion = a_champion(random)
        made = [
            beside(champion, gain if only in {None, at} else 0.0, discordant, random)
            for at in range(1, WITHIN + 1)
        ]
        gate = a_gate(champion)
        found = until(lambda number, made=made: made[number - 1], gate, rounds=WITHIN)
        if found.passed:
            counts[found.last.number - 1] += 1
    return counts


def power(many: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for discordant in DISCORDANT:
        counts = promoted(many, discordant)
        mode = f"{discordant:.0%} of rows discordant, each round's candidate better by 2 points"
        within = share_row("promoted within five rounds", sum(counts), many, mode)
        first = share_row("promoted in the first round", counts[0], many, mode)
        found += [within | {"target": POWER, "ok": sum(counts) >= POWER * many}, first]
        late = promoted(many, discordant, only=WITHIN)[-1]
        mode = f"{discordant:.0%} of rows discordant, four equal candidates before it"
        found.append(share_row("promoted when it comes fifth", late, many, mode))
    return found


# -- (c) candidates that are chosen by what the gate said -------------------------------------


def climbed(many: int, discordant: float, rounds: int, seed: int = 2) -> int:
    """Count promotions when each candidate is a change of the best so far, by the gate's figures.

    Every candidate is truly equal to the champion: what it gains on these rows it has by luck.
    """
    count = 0
    for repetition in range(many):
        random = np.random.default_rng((seed, repetition))
        champion = a_champion(random)
        best, highest = champion, 0.0
        gate = a_gate(champion)
        for _ in range(rounds):
            right = beside(best, 0.0, discordant, random)
            verdict = gate(right)
            if verdict.passed:
                count += 1
                break
            gain = verdict.findings[0].value
            if gain is not None and gain > highest:
                best, highest = right, gain
    return count


def combined(many: int, discordant: float, rounds: int, seed: int = 4) -> int:
    """Count promotions of a model put together from earlier ones, weighted by their figures.

    This is the strongest use of figures that we know, and no look is priced for it: what hiding
    the figures (`figures = "hidden"`) is for.
    """
    count = 0
    for repetition in range(many):
        random = np.random.default_rng((seed, repetition))
        champion = a_champion(random)
        gate = a_gate(champion)
        votes = np.zeros(ROWS)
        for _ in range(rounds):
            right = beside(champion, 0.0, discordant, random)
            verdict = gate(right)
            if verdict.passed:
                count += 1
                break
            gain = verdict.findings[0].value or 0.0
            votes += np.sign(gain) * (right.astype(float) - champion)
        else:
            strongest = np.argsort(-np.abs(votes), kind="stable")[: int(discordant * ROWS)]
            together = champion.copy()
            together[strongest] = votes[strongest] > 0
            count += gate(together).passed
    return count


def best_of(many: int, discordant: float, seed: int = 3) -> dict[str, int]:
    """Count promotions of the best of 20 on the holdout: every one of them is a look."""
    counts = {"Trivet": 0, "paired p < 0.05 of the best alone": 0}
    for repetition in range(many):
        random = np.random.default_rng((seed, repetition))
        champion = a_champion(random)
        made = [beside(champion, 0.0, discordant, random) for _ in range(ROUNDS)]
        best = max(range(ROUNDS), key=lambda at: made[at].sum())
        gate = a_gate(champion)
        verdicts = [gate(right) for right in made]
        counts["Trivet"] += verdicts[best].passed
        naive = compare_correct(champion, made[best]).p_value < 0.05
        counts["paired p < 0.05 of the best alone"] += naive
    return counts


def chosen(many: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for discordant in (DISCORDANT[0], DISCORDANT[-1]):
        mode = f"{discordant:.0%} of rows discordant, the best of 20 equal candidates"
        for name, count in best_of(many, discordant).items():
            row = share_row(f"false promotions of the best of 20, {name}", count, many, mode)
            if name == "Trivet":
                row |= {"target": ALPHA, "ok": count <= most_by_chance(many)}
            found.append(row)
        for rounds in (20, 50):
            count = climbed(many, discordant, rounds)
            mode = f"{discordant:.0%} of rows discordant, each a change of the best by its figures"
            row = share_row(f"false promotions, climbing {rounds} rounds", count, many, mode)
            found.append(row)
        for rounds in (5, 20):
            count = combined(many, discordant, rounds)
            mode = f"{discordant:.0%} of rows discordant, by the figures of all rounds before"
            what = f"false promotions of a combination after {rounds} rounds"
            found.append(share_row(what, count, many, mode))
    return found


def share_row(what: str, count: int, many: int, mode: str) -> dict[str, Any]:
    """Make a row of a count: its share, and the exact count in words."""
    return {
        "id": "5.1",
        "what": f"until: {what}",
        "value": round(count / many, 4),
        "unit": "share",
        "target": None,
        "floor": None,
        "ratio": None,
        "ok": True,
        "mode": f"{count:,} of {many:,} repetitions; {ROWS:,} rows, {ACCURACY:.0%} right; {mode}",
    }


if __name__ == "__main__":
    start = time.perf_counter()
    for line in rows("--quick" in sys.argv):
        print(f"{line['value']:8.3f}  {line['what']:70}  {line['mode']}")
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
