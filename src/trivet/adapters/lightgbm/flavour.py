"""LightGBM models, as their own text format and as ONNX with the same answers.

The converter rounds each double threshold to the nearest float32; when that is upwards, a row
that lies exactly on the rounded value takes the other branch. Thresholds are therefore rounded
*down* before converting: for a float32 x, x <= t holds exactly when x <= floor32(t) does, so the
model's answers stay the same and the converter has nothing left to round.
"""

import re
from typing import Any, Final

from trivet.core.errors import Corrupt, Invalid, Unsupported
from trivet.core.ports import Converted

# The converter's ceiling.
_OPSET: Final = 15

_OBJECTIVES: Final = {
    "binary": "binary",
    "multiclass": "multiclass",
    "regression": "regression",
    "regression_l1": "regression",
    "huber": "regression",
    "quantile": "regression",
    "poisson": "regression",
    "tweedie": "regression",
    "gamma": "regression",
}

# What the converter passes over in silence, each by the line of the text format that betrays it.
_UNTOLD: Final = {
    r"^average_output$": "a random forest (boosting='rf')",
    r"^is_linear=1$": "linear trees (linear_tree=True)",
    r"^objective=\S+ .*\bsqrt\b": "a transformed target (reg_sqrt=True)",
    r"^objective=binary .*\bsigmoid:(?!1(?:\s|$|\.0*(?:\s|$)))": "a sigmoid other than 1",
}


class LightGBMFlavour:
    """Boosters, `LGBMClassifier` and `LGBMRegressor`."""

    name = "lightgbm"

    def accepts(self, model: object) -> bool:
        return any(
            kind.__module__.split(".")[0] == "lightgbm"
            and kind.__name__ in {"Booster", "LGBMModel"}
            for kind in type(model).__mro__
        )

    def convert(self, model: object, *, features: int, task: str) -> Converted:
        booster = _booster_of(model)
        text = booster.model_to_string()
        _check(booster, text, features, task)
        return Converted(
            source=text.encode(),
            source_format="lightgbm.txt",
            onnx=_to_onnx(_with_thresholds_rounded_down(text), features, task),
        )

    def load(self, source: bytes) -> object:
        import lightgbm

        problem = "its trees do not lie where it says"
        try:
            text = source.decode()
            # The library reads past the end of a text that was cut, and may take the process down.
            if _is_whole(source):
                return lightgbm.Booster(model_str=text)
        except (UnicodeDecodeError, lightgbm.basic.LightGBMError) as error:
            problem = str(error)
        raise Corrupt(
            f"the source of the model is no LightGBM text: {problem}",
            hint="Package the model again from its run.",
        )

    def predict(self, model: object, matrix: Any) -> Any:
        import numpy as np

        answers = np.asarray(_booster_of(model).predict(matrix, num_threads=1), dtype=np.float64)
        return answers.reshape(len(matrix), -1)


def _is_whole(source: bytes) -> bool:
    """Whether every tree stands where the table of sizes says, and nothing is missing behind."""
    sizes = re.search(rb"^tree_sizes=([\d ]*)$", source, re.MULTILINE)
    if sizes is None:
        return False
    at = sizes.end() + 2
    for number, size in enumerate(sizes.group(1).split()):
        if not source.startswith(b"Tree=%d\n" % number, at):
            return False
        at += int(size)
    return source.startswith(b"end of trees\n", at)


def _booster_of(model: object) -> Any:
    import lightgbm

    library: Any = lightgbm
    trained: Any = model
    if isinstance(model, lightgbm.Booster):
        return trained
    try:
        return trained.booster_
    except library.sklearn.LGBMNotFittedError:
        raise Invalid(
            f"the model is a {type(model).__name__} that was not fitted",
            code="not-fitted",
            hint="Call its fit method in the training step, before the model is returned.",
        ) from None


def _check(booster: Any, text: str, features: int, task: str) -> None:
    """Refuse what the converter would get wrong, and what does not belong to the task."""
    if booster.num_feature() != features:
        raise Invalid(
            f"the model was trained on {booster.num_feature()} features; its signature has "
            f"{features}",
            code="other-features",
            hint="Train it on the matrix that the signature's encoder makes.",
        )
    objective = re.search(r"^objective=(\S+)", text, re.MULTILINE)
    name = objective.group(1) if objective else "a function of its own"
    if _OBJECTIVES.get(name) is None:
        raise _unsupported(f"the objective {name!r}", f"Train with one of {list(_OBJECTIVES)}.")
    if _OBJECTIVES[name] != task:
        raise Invalid(
            f"the model's objective is {name!r}; its signature says {task}",
            code="other-task",
            hint=f"Train with an objective for {task}, or fit the signature for {name!r}.",
        )
    for line, what in _UNTOLD.items():
        if re.search(line, text, re.MULTILINE):
            raise _unsupported(what, "Train without it.")
    if any(int(kind) >> 2 & 3 == 1 for kind in _numbers_of("decision_type", text)):
        raise _unsupported("zeros read as missing (zero_as_missing=True)", "Train without it.")
    if re.search(r"^pandas_categorical:\[.*\S.*\]", text, re.MULTILINE):
        raise _unsupported(
            "categories kept by pandas", "Train on the matrix that the signature's encoder makes."
        )


def _numbers_of(name: str, text: str) -> list[str]:
    lines = re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)
    return [number for line in lines for number in line.split()]


def _with_thresholds_rounded_down(text: str) -> Any:
    import lightgbm
    import numpy as np

    highest = float(np.finfo(np.float32).max)
    zero = np.float32(-1e-35)  # LightGBM reads |x| <= 1e-35 as 0

    def rounded(line: re.Match[str]) -> str:
        exact = np.array(line.group(1).split(), dtype=np.float64)
        near = np.clip(exact, -highest, highest).astype(np.float32)
        below = np.nextafter(near, np.float32(-np.inf))
        down = np.where((near > exact) | (near == zero), below, near).astype(np.float64)
        # 1e300 stands for "every number".
        kept = np.where(np.abs(exact) > highest, exact, down)
        return "threshold=" + " ".join(repr(float(value)) for value in kept)

    text = re.sub(r"^threshold=(.*)$", rounded, text, flags=re.MULTILINE)
    # The lengths of the trees' texts have changed; without them the loader reads in order.
    return lightgbm.Booster(model_str=re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE))


def _to_onnx(booster: Any, features: int, task: str) -> bytes:
    import numpy as np
    import onnx
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    library: Any = onnxmltools
    try:
        model = library.convert_lightgbm(
            booster,
            name="model",  # else a random one, and other bytes each time
            initial_types=[("X", FloatTensorType([None, features]))],
            zipmap=False,
            target_opset=_OPSET,
        )
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise _unsupported(
            f"this model ({error})", "Train with a simpler configuration."
        ) from error
    # The predicted label goes: it is declared with one row, which warns on every larger batch.
    output = "variable" if task == "regression" else "probabilities"
    model = onnx.utils.Extractor(model).extract_model(["X"], [output])
    graph = model.graph
    columns = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    chosen = np.array([1] if task == "binary" else range(columns), dtype=np.int64)
    graph.initializer.append(onnx.numpy_helper.from_array(chosen, "chosen"))
    graph.node.append(onnx.helper.make_node("Gather", [output, "chosen"], ["Y"], axis=1))
    del graph.output[:]
    graph.output.append(
        onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, [None, chosen.size])
    )
    return model.SerializeToString(deterministic=True)


def _unsupported(what: str, hint: str) -> Unsupported:
    return Unsupported(
        f"LightGBM's ONNX converter cannot express {what}", code="not-convertible", hint=hint
    )
