"""Importances of parameters: those of functions that are known, and those of noise."""

import math

import numpy as np
import pytest

from trivet.core.errors import Invalid
from trivet.statistics.importance import Importance, Importances, Value, parameter_importance

Columns = dict[str, list[Value]]


def by_name(found: Importances) -> dict[str, Importance]:
    return {one.names[0]: one for one in found.parameters}


def drawn(rng: np.random.Generator, count: int) -> Columns:
    return {
        "lr": (10 ** rng.uniform(-5, -1, count)).tolist(),
        "kind": rng.choice(["adam", "sgd", "rms"], count).tolist(),
        "depth": rng.integers(1, 9, count).tolist(),
        "drop": rng.random(count).tolist(),
    }


def figure_of(columns: Columns, rng: np.random.Generator) -> np.ndarray:
    """A bowl over the logarithm of `lr`, and a step for one kind."""
    bowl = (np.log10(np.array(columns["lr"], float)) + 3) ** 2
    return bowl + 1.5 * (np.array(columns["kind"]) == "sgd") + 0.1 * rng.normal(size=len(bowl))


def test_shares_come_near_to_those_that_are_known() -> None:
    rng = np.random.default_rng(0)
    columns = drawn(rng, 200)
    figure = figure_of(columns, rng)
    found = parameter_importance(columns, figure.tolist())
    shares = by_name(found)
    bowl = np.var((np.log10(np.array(columns["lr"], float)) + 3) ** 2) / np.var(figure)
    step = np.var(1.5 * (np.array(columns["kind"]) == "sgd")) / np.var(figure)
    assert shares["lr"].share == pytest.approx(bowl, abs=0.12)
    assert shares["kind"].share == pytest.approx(step, abs=0.12)
    assert [name for name, one in shares.items() if one.is_clear] == ["lr", "kind"]
    assert max(shares["depth"].share, shares["drop"].share) < 0.03
    assert found.explained > 0.8
    assert all(one.low <= one.share <= one.high for one in found.parameters)


def test_what_matters_only_together_is_seen_in_both() -> None:
    rng = np.random.default_rng(5)
    columns = {name: rng.random(200).tolist() for name in "abcd"}
    a, b = np.array(columns["a"]), np.array(columns["b"])
    figure = np.sign((a - 0.5) * (b - 0.5)) + 0.1 * rng.normal(size=200)
    found = by_name(parameter_importance(columns, figure.tolist()))
    assert {name for name, one in found.items() if one.is_clear} == {"a", "b"}


def test_noise_has_no_importance() -> None:
    claims = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        columns = drawn(rng, 30) | {"tag": rng.choice(list("abcdefghijkl"), 30).tolist()}
        figure = rng.normal(size=30) if seed % 2 else rng.standard_cauchy(30)
        found = parameter_importance(columns, figure.tolist(), seed=seed)
        claims += any(one.is_clear for one in found.parameters)
    assert claims <= 2  # of 12 at a level of 0.05


def test_the_scale_of_a_parameter_makes_no_difference() -> None:
    rng = np.random.default_rng(1)
    columns = drawn(rng, 60)
    figure = figure_of(columns, rng).tolist()
    logged = columns | {"lr": [math.log(float(value)) for value in columns["lr"]]}  # type: ignore[arg-type]
    assert parameter_importance(columns, figure) == parameter_importance(logged, figure)


def test_parameters_that_tell_nothing_are_left_out_and_twins_are_one() -> None:
    rng = np.random.default_rng(2)
    columns = drawn(rng, 40)
    figure = figure_of(columns, rng).tolist()
    columns |= {
        "fixed": [1.0] * 40,
        "never": [None] * 40,
        "path": [f"run-{number}" for number in range(40)],
        "twin": [2 * float(value) for value in columns["lr"]],  # type: ignore[arg-type]
    }
    found = parameter_importance(columns, figure)
    assert set(found.left_out) == {"fixed", "never", "path"}
    assert ("lr", "twin") in [one.names for one in found.parameters]


def test_a_parameter_that_some_trials_lack_can_matter_by_that() -> None:
    rng = np.random.default_rng(3)
    there = rng.random(80) < 0.5
    columns: Columns = {
        "c": [
            float(value) if is_there else None
            for value, is_there in zip(rng.random(80), there, strict=True)
        ],
        "noise": rng.random(80).tolist(),
    }
    figure = there + 0.1 * rng.normal(size=80)
    found = by_name(parameter_importance(columns, figure.tolist()))
    assert found["c"].is_clear
    assert found["c"].share > 0.7


def test_one_extreme_figure_is_told_and_ranks_do_not_mind_it() -> None:
    rng = np.random.default_rng(4)
    columns = drawn(rng, 60)
    figure = figure_of(columns, rng)
    figure[7] = 1e300
    assert any("look at ranks" in note for note in parameter_importance(columns, figure).notes)
    ranked = parameter_importance(columns, figure.tolist(), by_rank=True)
    assert by_name(ranked)["lr"].is_clear
    assert ranked.notes == ()


def test_many_trials_and_broken_ones_are_told() -> None:
    rng = np.random.default_rng(6)
    columns = {"a": rng.random(700).tolist()}
    figure = np.array(columns["a"]) * 2
    figure[:50] = math.nan
    figure[50] = math.inf
    found = parameter_importance(columns, figure.tolist())
    assert found.trials == 500
    assert found.notes == (
        "51 trials have no finite figure and are left out",
        "of 649 trials 500 were drawn at random",
    )
    assert found.parameters[0].share > 0.8


def test_the_answer_is_repeatable() -> None:
    rng = np.random.default_rng(7)
    columns = drawn(rng, 30)
    figure = figure_of(columns, rng).tolist()
    assert parameter_importance(columns, figure) == parameter_importance(columns, figure)


@pytest.mark.parametrize(
    ("columns", "figure", "code"),
    [
        ({"a": [1.0, 2.0] * 9}, [0.1, 0.2] * 9, "too-few-trials"),
        ({"a": [1.0, 2.0] * 20}, [0.1, math.nan] + [math.nan] * 38, "too-few-trials"),
        ({"a": [1.0, 2.0] * 20}, [0.5] * 40, "constant"),
        ({"a": [1.0] * 40}, [0.1, 0.2] * 20, "nothing-varies"),
        ({}, [0.1, 0.2] * 20, "nothing-varies"),
        (
            {f"p{n}": list(np.random.default_rng(n).permutation(40)) for n in range(201)},
            [0.1, 0.2] * 20,
            "too-many-parameters",
        ),
    ],
)
def test_too_little_to_say_anything_is_refused(
    columns: Columns, figure: list[float], code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        parameter_importance(columns, figure)
    assert refused.value.code == code
    assert refused.value.hint


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1.0, 1e12, 1.7e308])
def test_figures_of_any_size_are_looked_at(scale: float) -> None:
    rng = np.random.default_rng(8)
    values = rng.uniform(-1, 1, 40)
    found = parameter_importance({"a": values.tolist()}, (values * scale).tolist())
    assert found.parameters[0].is_clear
