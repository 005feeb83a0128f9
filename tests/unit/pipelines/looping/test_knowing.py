"""A search that is kept is known by the data that its objective holds."""

import logging
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from trivet.core.errors import Invalid
from trivet.pipelines.looping import knowing
from trivet.pipelines.looping.budget import Budget
from trivet.pipelines.looping.searching import search, uniform

pytest.importorskip("optuna")

Objective = Callable[..., float]


def first(objective: Objective, workspace: Any, **options: Any) -> float | None:
    """Return the first trial's value; the parameter adds nothing that could be seen."""
    found = search(
        objective,
        {"x": uniform(0, 1e-9)},
        minimize="loss",
        budget=Budget(trials=2),
        workspace=workspace,
        **{"name": "same", **options},
    )
    value = found.trials[0].value
    return None if value is None else round(value, 3)


def total(held: Any) -> float:
    match held:
        case pl.DataFrame() | pd.DataFrame():
            return float(held["a"].sum())
        case pl.Series() | pd.Series():
            return float(held.sum())
        case np.ndarray():
            return sum(float(item) for item in held.ravel().tolist())
        case dict():
            return sum(map(total, held.values()))
        case _:
            return total(held.frame)


class Box:
    def __init__(self, frame: object) -> None:
        self.frame = frame

    def __call__(self, x: float) -> float:
        return total(self.frame) + x

    def method(self, x: float) -> float:
        return total(self.frame) + x


def held_by(x: float, held: object) -> float:
    return total(held) + x


def by_default(held: object) -> Objective:
    def objective(x: float, known: object = held) -> float:
        return total(known) + x

    return objective


def by_keyword(held: object) -> Objective:
    def objective(x: float, *, known: object = held) -> float:
        return total(known) + x

    return objective


WAYS: dict[str, Callable[[Any], Objective]] = {
    "closure": lambda held: lambda x: total(held) + x,
    "partial": lambda held: partial(held_by, held=held),
    "callable object": Box,
    "bound method": lambda held: Box(held).method,
    "default": by_default,
    "keyword default": by_keyword,
}
DATA: dict[str, Callable[[float], Any]] = {
    "polars": lambda at: pl.DataFrame({"a": [at]}),
    "pandas": lambda at: pd.DataFrame({"a": [at]}),
    "polars series": lambda at: pl.Series([at]),
    "pandas series": lambda at: pd.Series([at]),
    "array": lambda at: np.array([at]),
    "array of objects": lambda at: np.array([0.0] * 3000 + [at] + [0.0] * 3000, dtype=object),
    "dict of frames": lambda at: {"train": pl.DataFrame({"a": [at]})},
    "object with a frame": lambda at: Box(pd.DataFrame({"a": [at]})),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("data", DATA)
def test_other_data_is_another_search_and_the_same_data_the_same(
    way: str, data: str, place: Any
) -> None:

    made = WAYS[way]
    assert [first(made(DATA[data](at)), place) for at in (1.0, 2.0, 1.0)] == [1.0, 2.0, 1.0]
    # Two searches and not three: the third call found the first one's trials.
    assert len(place.stores.ledger.find("search").entries) == 2


def test_the_cost_function_counts_as_the_objective_does(place: Any) -> None:
    def priced(prices: pl.DataFrame) -> Any:
        return search(
            lambda x: x,
            {"x": uniform(0, 1)},
            minimize="loss",
            budget=Budget(trials=1),
            workspace=place,
            name="priced",
            cost=lambda made: float(prices["a"][0]),
        ).cost

    assert [priced(pl.DataFrame({"a": [price]})) for price in (1.0, 2.0)] == [1.0, 2.0]


def test_a_query_that_was_not_collected_is_refused_where_trials_are_kept(place: Any) -> None:
    query = pl.DataFrame({"a": [1.0]}).lazy()

    def objective(x: float) -> float:
        return float(query.collect()["a"].sum()) + x

    with pytest.raises(Invalid, match="LazyFrame") as caught:
        first(objective, place)
    assert caught.value.code == "unknown-content"
    assert "collect()" in caught.value.hint
    assert first(objective, None) == 1.0


def test_what_cannot_be_seen_is_said_once(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    connection = sqlite3.connect(":memory:")

    def objective(x: float) -> float:
        return float(connection.execute("select 1").fetchone()[0]) + x

    with caplog.at_level(logging.WARNING):
        first(objective, None, name="unkept")
        assert not caplog.messages
        for _ in range(2):
            first(objective, place, name="unseen")
    connection.close()
    (said,) = caplog.messages
    assert "'unseen'" in said
    assert "sqlite3.Connection" in said
    assert "name=" in said


def test_a_file_that_the_objective_opens_is_told_of_whenever_its_trials_are_returned(
    place: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("level.txt").write_text("1")

    def objective(x: float) -> float:
        return float(Path("level.txt").read_text()) + x

    for expected in (1.0, 1.0):
        time.sleep(
            0.05
        )  # what is written in the same tick of the clock counts as written meanwhile
        monkeypatch.setattr(knowing, "_told", set[tuple[str, str]]())  # as in another process
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert first(objective, place, name="reads") == expected
        (said,) = caplog.messages
        assert "the file level.txt" in said
        Path("level.txt").write_text("2")
