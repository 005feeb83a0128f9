"""Running a model's serving form, the same way every time.

ONNX Runtime gives a row the same bits in any batch only when it runs on one thread and never on a
single row: a lone row takes another code path (matrix-vector rather than matrix-matrix), and
threads split sums. So the way a model is run is part of its package, and a replay repeats it.
Numeric: imports NumPy and ONNX Runtime.
"""

import platform
from typing import Any, Final

import msgspec
import numpy as np
import onnxruntime

from trivet.core.errors import Corrupt, Invalid, Unsupported
from trivet.models.onnx_graph import check_onnx
from trivet.models.rows import Matrix

_runtime: Any = onnxruntime  # it ships no types
_state: Any = _runtime.capi.onnxruntime_pybind11_state
_NO_KERNEL: type[Exception] = _state.NotImplemented
_REJECTED: tuple[type[Exception], ...] = (
    _state.Fail,
    _state.InvalidArgument,
    _state.InvalidGraph,
    _state.InvalidProtobuf,
    _state.RuntimeException,
)
_QUIET: Final = 3  # errors only: warnings would go to the standard error of every request


class ExecutionProfile(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is run. Two runs under equal profiles give equal bits."""

    runtime: str = f"onnxruntime {onnxruntime.__version__}"
    machine: str = platform.machine()
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    intra_op_threads: int = 1
    inter_op_threads: int = 1
    execution: str = "sequential"
    optimization: str = "all"
    pad_rows: int = 2
    """A smaller batch is filled up to so many rows by repeating its last one."""
    row_by_row: bool = False
    """Whether each row runs on its own: for a model whose rows are not independent in a batch."""


class Session:
    """A model in memory, ready to answer. Safe to share between threads.

    Args:
        model: A serialised ONNX model with one float32 input (n, k) and one float32 output
            (n, m); all its tensors inside.
        row_by_row: Run each row on its own; see `ExecutionProfile`.

    Raises:
        Corrupt: The bytes are no ONNX model.
        Invalid: A tensor lies outside the model, or its inputs and outputs are others.
        Unsupported: The runtime has no kernel for an operator.
    """

    def __init__(self, model: bytes, *, row_by_row: bool = False) -> None:
        check_onnx(model)
        self.profile = ExecutionProfile(row_by_row=row_by_row)
        self._session = _load(model)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shapes = [value.shape for value in (*inputs, *outputs)]
        types = {value.type for value in (*inputs, *outputs)}
        if len(inputs) != 1 or len(outputs) != 1 or types != {"tensor(float)"}:
            raise _wrong_ports(f"{len(inputs)} inputs and {len(outputs)} outputs of {types}")
        if any(len(shape) != 2 or not isinstance(shape[1], int) for shape in shapes):
            raise _wrong_ports(f"shapes {shapes}")
        self.features: int = shapes[0][1]
        """k: how many features a row has."""
        self.outputs: int = shapes[1][1]
        """m: how many numbers a row is answered with."""
        self._input: str = inputs[0].name
        self._outputs: list[str] = [outputs[0].name]

    def run(self, matrix: Matrix) -> Matrix:
        """Predict.

        Args:
            matrix: float32, shape (n, k), C order, n >= 0.

        Returns:
            float32, shape (n, m). A row's bits do not depend on the rows beside it.

        Raises:
            Invalid: The matrix has another type or shape.
        """
        if matrix.ndim != 2 or matrix.shape[1] != self.features or matrix.dtype != np.float32:
            raise Invalid(
                f"a matrix is {matrix.dtype} of shape {matrix.shape}; expected float32 of shape "
                f"(n, {self.features})",
                code="wrong-matrix",
                hint="Encode the rows with the model's own signature.",
            )
        rows = matrix.shape[0]
        if rows >= self.profile.pad_rows and not self.profile.row_by_row:
            return self._answer(matrix)
        if rows == 0:
            return np.empty((0, self.outputs), dtype=np.float32)
        if rows == 1:
            return self._answer(np.repeat(matrix, self.profile.pad_rows, axis=0))[:1]
        return np.concatenate([self.run(matrix[at : at + 1]) for at in range(rows)])

    def _answer(self, matrix: Matrix) -> Matrix:
        return self._session.run(self._outputs, {self._input: matrix})[0]


def open_session(model: bytes, probe: Matrix) -> Session:
    """Open a model in the quickest way that keeps rows independent of their batch.

    Args:
        model: As `Session` takes it.
        probe: n >= 2 rows to try it on; the more, the surer.

    Returns:
        A session; row by row when any row's bits differed between batches of one, two, seven and
        all rows.
    """
    session = Session(model)
    whole = session.run(probe)
    for size in (1, 2, 7):
        parts = [session.run(probe[at : at + size]) for at in range(0, len(probe), size)]
        if np.concatenate(parts).tobytes() != whole.tobytes():
            return Session(model, row_by_row=True)
    return session


def _load(model: bytes) -> Any:  # noqa: ANN401  # the same
    profile = ExecutionProfile()
    options = _runtime.SessionOptions()
    options.intra_op_num_threads = profile.intra_op_threads
    options.inter_op_num_threads = profile.inter_op_threads
    options.execution_mode = _runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = _runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = _QUIET
    # The bytes were checked as ONNX; they shall not be read as the runtime's own format after all.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return _runtime.InferenceSession(model, options, providers=list(profile.providers))
    except _NO_KERNEL as error:
        raise Unsupported(
            f"ONNX Runtime {onnxruntime.__version__} has no kernel for this model: {error}",
            code="no-kernel",
            hint="Convert the model with operators that the runtime has, or upgrade it.",
        ) from error
    except _REJECTED as error:
        raise Corrupt(
            f"ONNX Runtime does not accept the model: {error}",
            code="not-onnx",
            hint="Package the model again from its run.",
        ) from error


def _wrong_ports(what: str) -> Invalid:
    return Invalid(
        f"the ONNX model has {what}; expected one float32 input (n, k) and one float32 output "
        "(n, m) with fixed k and m",
        code="wrong-model",
        hint="Export it with one matrix in and one matrix out.",
    )
