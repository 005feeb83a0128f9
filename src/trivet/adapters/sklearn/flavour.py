"""scikit-learn estimators, as skops files and as ONNX.

skops builds only objects of types that are on a list. Its own list leaves out a few that ordinary
estimators hold; those that are data through and through are added here. Anything else in a file
is refused, when it is written and when it is read.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any, Final, cast

from trivet.core.errors import Corrupt, Invalid, Unsupported
from trivet.core.ports import Converted

_OPSET: Final = {"": 18, "ai.onnx.ml": 3}

_TRUSTED: Final = (
    "numpy.dtype",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
)
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
_NPY: Final = b"\x93NUMPY"
_HEADER: Final = 4096
"""In so many bytes of an array's file its type is named."""


class SklearnFlavour:
    """Fitted estimators of scikit-learn itself, and pipelines of them."""

    name = "sklearn"

    def accepts(self, model: object) -> bool:
        kinds = type(model).__mro__
        # LightGBM's classes descend from scikit-learn's and belong to their own flavour.
        return kinds[0].__module__.split(".")[0] == "sklearn" and any(
            kind.__name__ == "BaseEstimator" for kind in kinds
        )

    def convert(self, model: object, *, features: int, task: str) -> Converted:
        _check(model, features, task)
        serving = _to_onnx(model, features, task)
        return Converted(source=_to_skops(model), source_format="skops", onnx=serving)

    def load(self, source: bytes) -> object:
        import skops.io

        library: Any = skops.io
        try:
            foreign = _foreign_types(library, source)
            if not foreign:
                return library.loads(source, trusted=list(_TRUSTED))
            problem = f"it holds objects of {foreign}"
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
            problem = str(error)
        raise Corrupt(
            f"the source of the model is no skops file of this flavour: {problem}",
            hint="Package the model again from its run.",
        )

    def predict(self, model: object, matrix: Any) -> Any:
        import numpy as np

        estimator: Any = model
        if not hasattr(estimator, "predict_proba"):
            return np.asarray(estimator.predict(matrix), dtype=np.float64).reshape(len(matrix), -1)
        chances = np.asarray(estimator.predict_proba(matrix), dtype=np.float64)
        return chances[:, 1:] if chances.shape[1] == 2 else chances


def _check(model: Any, features: int, task: str) -> None:
    from sklearn import base, exceptions
    from sklearn.utils import validation

    kinds: Any = base
    fitted: Any = validation
    name = type(model).__name__
    try:
        fitted.check_is_fitted(model)
    except exceptions.NotFittedError:
        raise Invalid(
            f"the model is a {name} that was not fitted",
            code="not-fitted",
            hint="Call its fit method in the training step, before the model is returned.",
        ) from None
    if getattr(model, "n_features_in_", features) != features:
        raise Invalid(
            f"the model was trained on {model.n_features_in_} features; its signature has "
            f"{features}",
            code="other-features",
            hint="Train it on the matrix that the signature's encoder makes.",
        )
    found = "regression"
    if kinds.is_classifier(model):
        found = "binary" if len(model.classes_) == 2 else "multiclass"
    if found != task:
        raise Invalid(
            f"the model is a {name} for {found}; its signature says {task}",
            code="other-task",
            hint="Fit the signature and the model to the same target.",
        )
    if task != "regression" and not hasattr(model, "predict_proba"):
        raise Unsupported(
            f"{name} gives no probabilities",
            code="no-probabilities",
            hint="Wrap it in CalibratedClassifierCV, or use LogisticRegression.",
        )


def _parts(model: Any) -> Iterator[Any]:
    yield model
    for value in model.get_params(deep=True).values():
        if hasattr(value, "get_params") and hasattr(value, "fit"):
            yield value


def _to_onnx(model: Any, features: int, task: str) -> bytes:
    import numpy as np
    import onnx
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    library: Any = skl2onnx
    if any(type(part).__name__.startswith("HistGradientBoosting") for part in _parts(model)):
        raise Unsupported(
            "scikit-learn's histogram gradient boosting does not convert to ONNX",
            code="not-convertible",
            hint="Use LightGBM's LGBMClassifier or LGBMRegressor: the same method, and exact.",
        )
    is_classifier = task != "regression"
    try:
        converted = library.to_onnx(
            model,
            name="model",  # else a random one, and other bytes each time
            initial_types=[("X", FloatTensorType([None, features]))],
            options={id(model): {"zipmap": False}} if is_classifier else None,
            target_opset=dict(_OPSET),
        )
    except (RuntimeError, NotImplementedError, ValueError, TypeError, KeyError) as error:
        raise Unsupported(
            f"{type(model).__name__} does not convert to ONNX: {error}",
            code="not-convertible",
            hint="Use linear models, forests, or pipelines of scalers and these; or LightGBM.",
        ) from error
    output = "probabilities" if is_classifier else converted.graph.output[0].name
    converted = onnx.utils.Extractor(converted).extract_model(["X"], [output])
    graph = converted.graph
    columns = len(model.classes_) if is_classifier else 1
    chosen = np.array([1] if task == "binary" else range(columns), dtype=np.int64)
    graph.initializer.append(onnx.numpy_helper.from_array(chosen, "chosen"))
    graph.node.append(onnx.helper.make_node("Gather", [output, "chosen"], ["Y"], axis=1))
    del graph.output[:]
    graph.output.append(
        onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, [None, chosen.size])
    )
    return converted.SerializeToString(deterministic=True)


def _to_skops(model: Any) -> bytes:
    import skops.io

    library: Any = skops.io
    source = canonical(library.dumps(model))
    foreign = _foreign_types(library, source)
    if foreign:
        raise Unsupported(
            f"the model holds objects of {foreign}, which a package may not contain",
            code="untrusted-types",
            hint="Build it from scikit-learn's own classes; put functions of your own into the "
            "step that prepares the data.",
        )
    return source


def _foreign_types(library: Any, source: bytes) -> list[str]:
    return sorted(set(library.get_untrusted_types(data=source)) - set(_TRUSTED))


def canonical(source: bytes) -> bytes:
    """Rewrite a skops file so that equal models give equal bytes.

    skops names objects by their addresses and stamps each member of the archive with the time;
    here they are numbered in the order of the description, and the clock stands still. The nodes
    of a tree have gaps between them, in which there is whatever the memory held; here zeros.
    """
    numbers: dict[str, int] = {}

    def renumber(node: Any) -> Any:
        if type(node) is list:
            return [renumber(item) for item in cast("list[Any]", node)]
        if type(node) is not dict:
            return node
        items = {key: renumber(value) for key, value in cast("dict[str, Any]", node).items()}
        if items.get("__loader__") == "JsonNode":
            items.pop("__id__", None)  # whether two equal texts are one object is chance
        if "__id__" in items:
            items["__id__"] = numbers.setdefault(str(items["__id__"]), len(numbers))
        if isinstance(items.get("file"), str):
            stem, dot, suffix = items["file"].partition(".")
            items["file"] = f"{numbers.setdefault(stem, len(numbers))}{dot}{suffix}"
        return items

    with zipfile.ZipFile(io.BytesIO(source)) as archive:
        members = {name: _without_gaps(archive.read(name)) for name in archive.namelist()}
    schema = renumber(json.loads(members.pop("schema.json")))
    renamed = {
        f"{numbers[stem]}{dot}{suffix}": content
        for name, content in members.items()
        for stem, dot, suffix in (name.partition("."),)
    }
    renamed["schema.json"] = json.dumps(schema).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(renamed):
            member = zipfile.ZipInfo(name, _ZIP_TIME)
            archive.writestr(member, renamed[name], zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _without_gaps(content: bytes) -> bytes:
    """Return an array's file with zeros between the fields of its rows; else as it is."""
    if not content.startswith(_NPY) or b"('', '|V" not in content[:_HEADER]:
        return content
    import numpy as np

    array: Any = np.load(io.BytesIO(content), allow_pickle=False)
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names or ():
        clean[name] = array[name]
    target = io.BytesIO()
    np.save(target, clean, allow_pickle=False)
    return target.getvalue()
