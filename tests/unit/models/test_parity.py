from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from trivet.core.errors import Invalid, Unsupported
from trivet.models.facts import Input, Signature
from trivet.models.packaging import ParityReport
from trivet.models.parity import demand_parity, measure_parity, probe_rows
from trivet.models.session import Session

Rows = NDArray[np.float32]
PLAIN = Signature(
    inputs=(
        Input(name="a", type="number"),
        Input(name="b", type="number", missing="reject"),
        Input(name="c", type="category", categories=("x", "y"), missing="reject"),
        Input(name="d", type="category", missing="reject", unknown="missing"),
        Input(name="e", type="datetime"),
    ),
    task="binary",
    target="y",
)


def first(rows: Rows) -> Any:
    return rows[:, :1].astype(np.float64)


def adding(amount: float, columns: int = 1) -> Session:
    """A serving form that answers with its first columns and something more."""
    chosen = numpy_helper.from_array(np.arange(columns), "chosen")
    more = numpy_helper.from_array(np.array(amount, np.float32), "more")
    made = helper.make_graph(
        [
            helper.make_node("Gather", ["X", "chosen"], ["first"], axis=1),
            helper.make_node("Add", ["first", "more"], ["Y"]),
        ],
        "g",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 8])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, columns])],
        [chosen, more],
    )
    opsets = [helper.make_opsetid("", 18)]
    return Session(helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString())


def compare(session: Session, signature: Signature = PLAIN, **more: Any) -> ParityReport:
    rows = np.random.default_rng(0).random((100, 8), dtype=np.float32)
    return measure_parity(first, session, {"sample": rows}, signature, **more)


def test_equal_answers_hold() -> None:
    report = compare(adding(0.0))
    assert report.holds
    assert report.largest == 0.0
    assert demand_parity(report) is report


def test_a_difference_beyond_the_tolerance_is_refused_with_its_size_and_share() -> None:
    report = compare(adding(1e-3))
    assert not report.holds
    assert report.parts["sample"].beyond == 1.0
    with pytest.raises(Unsupported) as caught:
        demand_parity(report)
    assert caught.value.code == "no-parity"
    assert "100.00%" in caught.value.message
    assert caught.value.hint


def test_a_tolerance_of_ones_own_is_kept_in_the_report() -> None:
    report = compare(adding(1e-3), tolerance=0.01)
    assert report.holds
    assert report.tolerance == 0.01


def test_a_regression_is_measured_in_its_own_size() -> None:
    thousands = Signature(inputs=PLAIN.inputs, task="regression", target="y")
    rows = np.random.default_rng(0).random((100, 8), dtype=np.float32)

    def original(rows: Rows) -> Any:
        return 1e6 + first(rows)

    report = measure_parity(original, adding(1e6), {"sample": rows}, thousands)
    assert 0 < report.largest < 1e-6
    assert report.unit == "relative difference"


def test_nan_on_one_side_alone_is_as_far_apart_as_can_be() -> None:
    report = compare(adding(float("nan")))
    assert not report.holds


def test_answers_of_another_shape_are_refused() -> None:
    with pytest.raises(Unsupported, match="shape"):
        compare(adding(0.0, columns=2))


def test_an_original_that_fails_on_allowed_rows_is_explained() -> None:
    def original(rows: Rows) -> Any:
        raise ValueError("Input contains NaN")

    with pytest.raises(Invalid) as caught:
        measure_parity(original, adding(0.0), {"missing": np.zeros((2, 8), np.float32)}, PLAIN)
    assert "missing rows" in caught.value.message
    assert "SimpleImputer" in caught.value.hint


def test_only_cells_that_may_be_missing_are_emptied() -> None:
    sample = np.ones((500, 8), np.float32)
    emptied = np.isnan(probe_rows(PLAIN, sample, b"")["missing"]).any(axis=0)
    assert emptied.tolist() == [True, False, False, True, True, True, True, True]


def test_probes_are_the_same_each_time() -> None:
    sample = np.ones((50, 8), np.float32)
    one, two = (probe_rows(PLAIN, sample, b"")["missing"] for _ in range(2))
    assert one.tobytes() == two.tobytes()


def test_a_converter_that_rounds_split_points_upwards_is_found_out() -> None:
    # This is what the library's converter does when it is left alone; ordinary rows do not show it.
    random = np.random.default_rng(0)
    rows = random.normal(size=(4000, 4)).astype(np.float32)
    labels = (rows.sum(axis=1) + random.normal(size=4000) > 0).astype(float)
    parameters = {"objective": "binary", "num_threads": 1, "verbose": -1}
    model = lightgbm.train(parameters, lightgbm.Dataset(rows, labels), 50)
    naive = convert_lightgbm(
        model, name="m", zipmap=False, initial_types=[("X", FloatTensorType([None, 4]))]
    )
    del naive.graph.output[0]
    serving = naive.SerializeToString()
    signature = Signature(
        inputs=tuple(Input(name=name, type="number", missing="reject") for name in "abcd"),
        task="binary",
        target="y",
    )
    session = Session(serving)

    def original(rows: Rows) -> Any:
        chances = np.asarray(model.predict(rows))
        return np.column_stack([1 - chances, chances])

    probes = probe_rows(signature, rows[:1000], serving)
    report = measure_parity(original, session, probes, signature)
    assert report.parts["sample"].beyond == 0
    assert report.parts["edges"].beyond > 0.01
    assert not report.holds
