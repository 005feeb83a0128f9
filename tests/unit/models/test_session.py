import threading
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trivet.adapters.sklearn.flavour import SklearnFlavour
from trivet.core.errors import Corrupt, Invalid
from trivet.core.ports import Flavour
from trivet.models.building import build_package
from trivet.models.encoding import Encoder
from trivet.models.session import Session, open_session
from trivet.testing.memory_stores import MemoryBlobs

Rows = NDArray[np.float32]
BATCHES = (1, 2, 3, 7, 16, 31, 100)


def in_batches(session: Session, rows: Rows, size: int) -> bytes:
    parts = [session.run(rows[at : at + size]) for at in range(0, len(rows), size)]
    return np.concatenate(parts).tobytes()


def graph(
    nodes: list[onnx.NodeProto], *tensors: TensorProto, outputs: int = 1, kind: int = 1
) -> bytes:
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("Y", kind, [None, outputs])],
        list(tensors),
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString()


def weights(*values: float) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32).reshape(2, -1), "W")


MATMUL = [helper.make_node("MatMul", ["X", "W"], ["Y"])]
# Each row minus the mean of its batch: the answers depend on the company.
DEPENDENT = [
    helper.make_node("ReduceMean", ["X"], ["m"], keepdims=1, noop_with_empty_axes=0),
    helper.make_node("Sub", ["X", "m"], ["d"]),
    helper.make_node("MatMul", ["d", "W"], ["Y"]),
]


@pytest.mark.parametrize("size", BATCHES)
def test_a_boosted_row_has_the_same_bits_in_any_batch(
    trained: Any, flavours: Any, size: int
) -> None:
    package = build_package(MemoryBlobs(), trained.candidate, flavours, requirements=b"")
    rows = Encoder(trained.signature).encode_frame(trained.holdout)[:700]
    session = package.session()
    assert in_batches(session, rows, size) == session.run(rows).tobytes()


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        RandomForestClassifier(20, random_state=0),
        GaussianNB(),
        make_pipeline(
            StandardScaler(), MLPClassifier((16, 8), solver="lbfgs", max_iter=5000, random_state=0)
        ),
    ],
    ids=["logistic", "forest", "bayes", "network"],
)
def test_other_models_rows_have_the_same_bits_in_any_batch(model: Any) -> None:
    flavour: Flavour = SklearnFlavour()
    for load, task in ((load_breast_cancer, "binary"), (load_iris, "multiclass")):
        rows, goal = load(return_X_y=True)
        rows = rows.astype(np.float32)
        model.fit(rows, goal)
        converted = flavour.convert(model, features=rows.shape[1], task=task)
        session = open_session(converted.onnx, rows)
        assert not session.profile.row_by_row
        whole = session.run(rows).tobytes()
        assert all(in_batches(session, rows, size) == whole for size in BATCHES)


def test_a_model_whose_rows_are_not_independent_runs_row_by_row() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    model = graph(DEPENDENT, weights(1, 2))
    assert in_batches(Session(model), rows, 7) != Session(model).run(rows).tobytes()
    session = open_session(model, rows)
    assert session.profile.row_by_row
    assert all(in_batches(session, rows, size) == session.run(rows).tobytes() for size in BATCHES)


def test_the_profile_says_how_it_was_run() -> None:
    profile = Session(graph(MATMUL, weights(1, 2))).profile
    assert (profile.intra_op_threads, profile.inter_op_threads, profile.pad_rows) == (1, 1, 2)
    assert profile.providers == ("CPUExecutionProvider",)
    assert profile.runtime.startswith("onnxruntime ")


def test_no_rows_get_no_answers() -> None:
    session = Session(graph(MATMUL, weights(1, 2)))
    assert session.run(np.empty((0, 2), np.float32)).shape == (0, 1)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((3, 2)),
        np.zeros((3, 3), np.float32),
        np.zeros(2, np.float32),
    ],
)
def test_a_matrix_of_another_type_or_width_is_refused(matrix: Rows) -> None:
    with pytest.raises(Invalid, match="expected float32"):
        Session(graph(MATMUL, weights(1, 2))).run(matrix)


@pytest.mark.parametrize(
    "model",
    [
        graph([helper.make_node("Cast", ["X"], ["Y"], to=TensorProto.DOUBLE)], outputs=2, kind=11),
        graph([helper.make_node("Shape", ["X"], ["Y"])], kind=TensorProto.INT64),
    ],
)
def test_a_model_with_other_outputs_is_refused(model: bytes) -> None:
    with pytest.raises((Invalid, Corrupt)):
        Session(model)


def test_a_graph_that_the_runtime_refuses_is_corrupt() -> None:
    with pytest.raises(Corrupt):
        Session(graph([helper.make_node("MatMul", ["X", "nowhere"], ["Y"])]))


def test_threads_share_a_session() -> None:
    session = Session(graph(MATMUL, weights(1, 2)))
    rows = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    expected = session.run(rows).tobytes()
    answers: list[bytes] = []

    def ask() -> None:
        answers.extend(session.run(rows).tobytes() for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) == {expected}
    assert len(answers) == 80
