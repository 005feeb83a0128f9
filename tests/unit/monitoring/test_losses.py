from typing import Any

import numpy as np
import pytest

from trivet.models.facts import Input, Signature, Task
from trivet.monitoring.collecting import Seen
from trivet.monitoring.losses import compared_losses, figures, labelled
from trivet.serving.facts import Prediction
from trivet.serving.records import output_bytes


def signature(task: Task, classes: tuple[str, ...] = ()) -> Signature:
    item = Input(name="x", type="number")
    return Signature(inputs=(item,), task=task, target="y", classes=classes)


def seen(output: tuple[float, ...], truth: float | None) -> Seen:
    fields: dict[str, Any] = dict.fromkeys(("id", "endpoint", "release", "variant", "package"), "a")
    return Seen(
        Prediction(
            time_us=0,
            role="live",
            assignment="random",
            share=1.0,
            unit=None,
            event_us=None,
            inputs=(),
            output=output_bytes(output),
            micros=1,
            **fields,
        ),
        truth,
    )


def test_rows_without_a_truth_are_passed_over() -> None:
    truth, outputs = labelled([seen((0.25,), 1.0), seen((0.5,), None)])
    assert truth.tolist() == [1.0]
    assert outputs.tolist() == [[0.25]]


@pytest.mark.parametrize("width", [1, 3])
def test_no_row_at_all_still_has_a_shape(width: int) -> None:
    truth, outputs = labelled([seen((0.5,) * width, None)])
    assert (truth.shape, outputs.shape) == ((0,), (0, width))


def test_a_binary_window_has_the_figures_people_read() -> None:
    random = np.random.default_rng(1)
    p = random.random((400, 1))
    truth = (random.random(400) < p[:, 0]).astype(float)
    found = figures(signature("binary", ("no", "yes")), truth, p)
    assert set(found) == {"brier", "event-rate", "mean-prediction", "auc"}
    assert found["brier"].value == pytest.approx(float(((truth - p[:, 0]) ** 2).mean()))
    assert found["event-rate"].value == truth.mean()
    for name in ("brier", "event-rate", "auc"):
        figure = found[name]
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high


def test_the_area_under_the_curve_needs_both_outcomes() -> None:
    found = figures(signature("binary", ("no", "yes")), np.ones(50), np.full((50, 1), 0.5))
    assert "auc" not in found


def test_one_row_has_a_value_and_no_interval() -> None:
    found = figures(signature("binary", ("no", "yes")), np.ones(1), np.full((1, 1), 0.5))
    assert found["brier"].value == 0.25
    assert found["brier"].low is None


def test_a_multiclass_window_has_its_accuracy() -> None:
    outputs = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.5, 0.4, 0.1], [0.2, 0.6, 0.2]])
    found = figures(signature("multiclass", ("a", "b", "c")), np.array([0.0, 2, 1, 1]), outputs)
    assert found["accuracy"].value == 0.75


def test_a_regression_window_has_its_mean_error() -> None:
    truth, outputs = np.array([1.0, 2, 3]), np.array([[1.5], [2.0], [2.0]])
    found = figures(signature("regression"), truth, outputs)
    assert found["mean-absolute-error"].value == 0.5
    assert found["mean-truth"].value == 2.0


def test_a_window_without_labels_has_no_figures() -> None:
    assert figures(signature("regression"), np.empty(0), np.empty((0, 1))) == {}


@pytest.mark.parametrize(
    ("task", "truth", "outputs", "expected"),
    [
        ("binary", [1.0, 0.0], [[0.5], [0.1]], [0.25, 0.01]),
        ("multiclass", [2.0, 0.0], [[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]], [0.3, 0.9]),
        ("regression", [1.0, 5.0], [[1.5], [99.0]], [0.25, 1.0]),
    ],
)
def test_models_are_compared_by_losses_between_0_and_1(
    task: Task, truth: list[float], outputs: list[list[float]], expected: list[float]
) -> None:
    classes = ("a", "b", "c") if task == "multiclass" else ()
    losses = compared_losses(
        signature(task, classes), np.array(truth), np.array(outputs), scale=2.0
    )
    assert losses.tolist() == pytest.approx(expected)
