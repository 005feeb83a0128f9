import numpy as np
import numpy.typing as npt
import pytest

from trivet.core.errors import Invalid
from trivet.statistics.bootstrap import bootstrap, bootstrap_draws
from trivet.statistics.intervals import student_mean


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(1).normal(size=80)
    first = bootstrap(lambda rows: values[rows].mean(), 80, seed=5)
    assert first == bootstrap(lambda rows: values[rows].mean(), 80, seed=5)
    assert first != bootstrap(lambda rows: values[rows].mean(), 80, seed=6)


def test_for_a_mean_it_agrees_with_student() -> None:
    values = np.random.default_rng(2).normal(size=400)
    ours = bootstrap(lambda rows: values[rows].mean(), 400, draws=2000)
    known = student_mean(values)
    assert ours.estimate == known.estimate
    assert ours.width == pytest.approx(known.width, rel=0.1)


def test_clusters_are_kept_whole() -> None:
    clusters = np.array(["b", "a", "b", "c", "a", "b"])
    seen: list[npt.NDArray[np.intp]] = []

    def watch(rows: npt.NDArray[np.intp]) -> float:
        seen.append(rows)
        return 0.0

    bootstrap_draws(watch, 6, clusters=clusters, draws=100)
    for rows in seen:
        times = np.bincount(rows, minlength=6)
        for name in "abc":
            assert len(set(times[clusters == name])) == 1
        assert sum(times[[0, 1, 3]]) == 3


def test_blocks_are_runs_of_neighbours_closed_to_a_circle() -> None:
    days = np.arange(12)

    def follows(rows: npt.NDArray[np.intp]) -> float:
        steps = np.diff(rows) % 12
        return float((steps[np.arange(11) % 4 != 3] == 1).all())

    assert bootstrap_draws(follows, 12, clusters=days, block=4, draws=100).min() == 1.0


def test_resampling_days_is_wider_than_resampling_rows_when_days_differ() -> None:
    generator = np.random.default_rng(3)
    days = np.repeat(np.arange(25), 20)
    values = generator.normal(size=25)[days] + generator.normal(size=500)

    def mean(rows: npt.NDArray[np.intp]) -> float:
        return float(values[rows].mean())

    by_day = bootstrap(mean, 500, clusters=days, draws=500)
    assert by_day.width > 2.5 * bootstrap(mean, 500, draws=500).width
    assert by_day.width == pytest.approx(student_mean(values, clusters=days).width, rel=0.2)


def test_a_statistic_that_is_mostly_undefined_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        bootstrap(lambda rows: 1.0 if rows[0] == 0 else float("nan"), 9)
    assert caught.value.code == "too-few-rows"
