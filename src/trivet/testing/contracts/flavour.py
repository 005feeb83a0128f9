"""What every `Flavour` does. Subclass `FlavourContract` with models of the library.

Needs the library itself and ONNX Runtime.
"""

import subprocess
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from trivet.core.errors import Corrupt, Invalid, Unsupported
from trivet.core.ports import Flavour

_TOLERANCE = 1e-5
_WATCH_IMPORTS = """
import sys
from {module} import {name}
flavour = {name}()
assert not flavour.accepts(object())
print([library for library in {libraries!r} if library in sys.modules])
"""


@dataclass(frozen=True)
class FlavourCase:
    """A fitted model and rows to ask it about.

    Attributes:
        name: For people.
        model: The model, as its library made it.
        task: `binary`, `multiclass` or `regression`.
        rows: float32 (n, k), n >= 10; with NaN where the model takes missing values.
        outputs: m: how many numbers a row is answered with.
    """

    name: str
    model: object
    task: str
    rows: Any
    outputs: int = 1


class FlavourContract:
    """The suite; every test takes all cases, since fitting them costs more than asking them."""

    flavour: ClassVar[Flavour]
    libraries: ClassVar[tuple[str, ...]]
    """Top-level packages that must not be loaded just to say no."""
    is_repeatable: ClassVar[bool] = True
    """Whether converting a model twice gives equal bytes."""

    @staticmethod
    def make_cases() -> tuple[FlavourCase, ...]:
        """Fit the models that the suite asks about."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def cases(cls) -> tuple[FlavourCase, ...]:
        return cls.make_cases()

    def test_it_knows_its_own_models(self, cases: tuple[FlavourCase, ...]) -> None:
        assert [case.name for case in cases if not self.flavour.accepts(case.model)] == []

    @pytest.mark.parametrize("other", [None, 1, "text", b"bytes", {}, [], object(), len, dict])
    def test_it_leaves_everything_else_alone(self, other: object) -> None:
        assert not self.flavour.accepts(other)

    def test_saying_no_loads_no_library(self) -> None:
        kind = type(self.flavour)
        program = _WATCH_IMPORTS.format(
            module=kind.__module__, name=kind.__name__, libraries=self.libraries
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"

    def test_the_serving_form_answers_as_the_original(self, cases: tuple[FlavourCase, ...]) -> None:
        for case in cases:
            expected = self.flavour.predict(case.model, case.rows)
            answered = _answer(self._convert(case).onnx, case.rows)
            scale = max(1.0, float(abs(expected).max()))
            assert abs(answered - expected).max() <= _TOLERANCE * scale, case.name

    def test_predictions_are_doubles_of_the_promised_shape(
        self, cases: tuple[FlavourCase, ...]
    ) -> None:
        for case in cases:
            answers = self.flavour.predict(case.model, case.rows)
            assert answers.dtype.name == "float64", case.name
            assert answers.shape == (len(case.rows), case.outputs), case.name

    def test_the_source_gives_back_the_same_model_bit_for_bit(
        self, cases: tuple[FlavourCase, ...]
    ) -> None:
        for case in cases:
            restored = self.flavour.load(self._convert(case).source)
            before = self.flavour.predict(case.model, case.rows)
            after = self.flavour.predict(restored, case.rows)
            assert before.tobytes() == after.tobytes(), case.name

    def test_converting_twice_gives_the_same_bytes(self, cases: tuple[FlavourCase, ...]) -> None:
        if not self.is_repeatable:
            pytest.skip("the library's converter is not repeatable")
        for case in cases:
            assert self._convert(case) == self._convert(case), case.name

    def test_the_serving_form_has_one_input_and_one_output_of_single_precision(
        self, cases: tuple[FlavourCase, ...]
    ) -> None:
        for case in cases:
            session = _open(self._convert(case).onnx)
            (taken,), (given,) = session.get_inputs(), session.get_outputs()
            assert (taken.type, given.type) == ("tensor(float)", "tensor(float)"), case.name
            assert taken.shape[1:] == [case.rows.shape[1]], case.name
            assert given.shape[1:] == [case.outputs], case.name

    def test_a_model_of_another_width_is_refused(self, cases: tuple[FlavourCase, ...]) -> None:
        for case in cases:
            with pytest.raises(Invalid) as caught:
                self.flavour.convert(case.model, features=case.rows.shape[1] + 1, task=case.task)
            assert caught.value.code == "other-features", case.name
            assert caught.value.hint, case.name

    def test_a_model_of_another_task_is_refused(self, cases: tuple[FlavourCase, ...]) -> None:
        for case in cases:
            other = "regression" if case.task == "multiclass" else "multiclass"
            with pytest.raises((Invalid, Unsupported)) as caught:
                self.flavour.convert(case.model, features=case.rows.shape[1], task=other)
            assert caught.value.hint, case.name

    @pytest.mark.parametrize("source", [b"", b"no model at all", bytes(range(256))])
    def test_other_bytes_are_no_source(self, source: bytes) -> None:
        with pytest.raises(Corrupt):
            self.flavour.load(source)

    def test_a_source_that_was_cut_is_recognised(self, cases: tuple[FlavourCase, ...]) -> None:
        for case in cases:
            source = self._convert(case).source
            for share in (0.1, 0.5, 0.9):
                with pytest.raises(Corrupt):
                    self.flavour.load(source[: int(len(source) * share)])

    def _convert(self, case: FlavourCase) -> Any:
        return self.flavour.convert(case.model, features=case.rows.shape[1], task=case.task)


def _open(model: bytes) -> Any:
    import onnxruntime  # only whoever tests a flavour needs it

    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _answer(model: bytes, rows: Any) -> Any:
    session = _open(model)
    return session.run(None, {session.get_inputs()[0].name: rows})[0]
