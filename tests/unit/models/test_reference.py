from datetime import datetime

import msgspec
import numpy as np
import polars as pl
import pytest

from trivet.models.facts import Input, Signature
from trivet.models.holdout import Holdout, hold_out
from trivet.models.packaging import Reference
from trivet.models.reference import LOSS_RANGES, build_reference, day_losses
from trivet.statistics.histogram import CategoryBins, NumericBins

TABLE = pl.DataFrame(
    {
        "weight": [1.0, 2.0, None, 4.0, 5.0],
        "depot": ["east", "west", "east", None, "east"],
        "express": [True, False, True, True, None],
        "blank": [None, None, None, None, None],
        "sent": [datetime(2024, 1, 1 + at // 2) for at in range(5)],  # noqa: DTZ001  # as a file has them
        "hours": [10.0, 20.0, 30.0, 40.0, 50.0],
    },
    schema_overrides={"blank": pl.Float64},
)
INPUTS = (
    Input(name="weight", type="number"),
    Input(name="depot", type="category", categories=("east", "west")),
    Input(name="express", type="boolean"),
    Input(name="blank", type="number"),
    Input(name="sent", type="datetime"),
)
HOURS = Signature(inputs=INPUTS, task="regression", target="hours")


def held() -> Holdout:
    return hold_out(TABLE, HOURS, time="sent")


def test_inputs_are_counted_with_their_gaps() -> None:
    found = build_reference(HOURS, TABLE, np.ones((5, 1), np.float32))
    by_name = {item.name: item for item in found.inputs}
    assert set(by_name) == {"weight", "depot", "express"}
    assert isinstance(by_name["weight"].bins, NumericBins)
    assert by_name["weight"].counts == (1, 0, 1, 1, 1, 1, 0)
    assert by_name["depot"].bins == CategoryBins(("east", "west"))
    assert by_name["depot"].counts == (1, 0, 3, 1)
    assert by_name["express"].values == ("True", "False")
    assert found.windows == ()


def test_losses_of_a_regression_are_shares_of_a_large_error() -> None:
    outputs = np.array([[12.0], [20.0], [30.0], [30.0], [50.0]], np.float32)
    found = build_reference(HOURS, TABLE, outputs, holdout=held(), holdout_outputs=outputs)
    assert [window.rows for window in found.windows] == [2, 2, 1]
    assert found.loss_scale == pytest.approx(np.quantile([2, 0, 0, 10, 0], 0.99))
    means = [window.losses["absolute-error"].mean for window in found.windows]
    expected = [1 / found.loss_scale, 0.5, 0.0]
    assert means == pytest.approx(expected, abs=1e-3)


def test_a_perfect_regression_has_a_scale_all_the_same() -> None:
    outputs = np.array([[10.0], [20.0], [30.0], [40.0], [50.0]], np.float32)
    found = build_reference(HOURS, TABLE, outputs, holdout=held(), holdout_outputs=outputs)
    assert found.loss_scale == 1.0


def test_the_likeliest_classes_are_the_reference_of_many_classes() -> None:
    kinds = Signature(inputs=INPUTS, task="multiclass", target="kind", classes=("a", "b", "c"))
    outputs = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]], np.float32)
    found = build_reference(kinds, TABLE.head(3), outputs)
    assert (found.output.values, found.output.counts) == (("a", "b", "c"), (0, 0, 1, 0, 2))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_losses_stay_within_the_ranges_that_monitors_know(task: str) -> None:
    random = np.random.default_rng(0)
    outputs = random.dirichlet([1, 1, 1], 200) if task == "multiclass" else random.random((200, 1))
    labels = random.integers(0, 2, 200).astype(float)
    for name, losses in day_losses(task, labels, outputs, 0.25).items():  # pyright: ignore[reportArgumentType]
        low, high = LOSS_RANGES[name]
        assert losses.shape == (200,)
        assert losses.min() >= low
        assert losses.max() <= high


def test_a_reference_survives_being_written_down() -> None:
    outputs = np.array([[12.0], [20.0], [30.0], [30.0], [50.0]], np.float32)
    found = build_reference(HOURS, TABLE, outputs, holdout=held(), holdout_outputs=outputs)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Reference) == found
