"""What a training step returns: a fitted model, its contract, and rows it was trained on.

A candidate is kept between steps by its exact form, so that a remembered step gives back a model
with the same answers, and nothing is ever unpickled. Numeric: imports NumPy and Polars.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from trivet.core.errors import Corrupt, Invalid, Unsupported
from trivet.core.ports import Flavour
from trivet.models.encoding import Encoder, Frame, Labels, as_frame
from trivet.models.facts import Signature
from trivet.pipelines.materialisers import Materialiser

SAMPLE_ROWS: Final = 20_000
_LEAST_ROWS: Final = 10

_DESCRIPTION, _SIGNATURE, _SAMPLE = "candidate.json", "signature.json", "sample.parquet"


@dataclass(frozen=True)
class Candidate:
    """A fitted model on its way to a package.

    Attributes:
        model: The fitted model, as its library made it.
        signature: The contract it was trained under.
        sample: Raw training rows, at most 20,000, evenly chosen; the inputs alone.
    """

    model: object
    signature: Signature
    sample: pl.DataFrame

    @classmethod
    def of(cls, model: object, signature: Signature, *, sample: Frame) -> "Candidate":
        """Make a candidate.

        Args:
            model: A fitted LightGBM or scikit-learn model, or an ONNX one, trained on the matrix
                that `Encoder(signature)` makes.
            signature: The contract, from `fit_signature`.
            sample: Raw training rows, at least 10, best all of them: monitors compare the
                present with them, and the conversion to ONNX is proven on them.

        Raises:
            Invalid: The rows do not fit the signature, or the model's classes are others.
        """
        table = as_frame(sample)
        if table.height < _LEAST_ROWS:
            raise Invalid(
                f"the sample has {table.height} rows; expected at least {_LEAST_ROWS}",
                code="too-few-rows",
                hint="Pass the training table as sample=.",
            )
        step = -(-table.height // SAMPLE_ROWS)
        table = table.gather_every(step)
        encoder = Encoder(signature)
        encoder.encode_frame(table)
        _check_classes(model, signature)
        return cls(model=model, signature=signature, sample=table.select(encoder.names))

    def predict(self, frame: Frame) -> Labels:
        """Answer raw rows with the model as it is in memory.

        Args:
            frame: n rows with at least the inputs' columns.

        Returns:
            Shape (n, m): the positive class's probability for `binary`, all classes' for
            `multiclass`, the number for `regression`.

        Raises:
            Unsupported: The model has no way to predict of its own (an ONNX model).
        """
        matrix = Encoder(self.signature).encode_frame(frame)
        for name in ("predict_proba", "predict"):
            method = getattr(self.model, name, None)
            if method is not None:
                answers = np.asarray(method(matrix), dtype=np.float64).reshape(len(matrix), -1)
                both = self.signature.task == "binary" and answers.shape[1] == 2
                return answers[:, 1:] if both else answers
        raise Unsupported(
            f"a {type(self.model).__name__} cannot predict by itself",
            code="no-predict",
            hint="Package it, and predict with the package's session.",
        )


class _Description(msgspec.Struct, frozen=True):
    flavour: str
    source: str


def candidate_materialiser(flavours: Sequence[Flavour]) -> Materialiser:
    """Return what keeps candidates of these flavours between steps and runs, as files."""
    known = tuple(flavours)
    return Materialiser(
        format="candidate",
        accepts=lambda value: isinstance(value, Candidate),
        save=lambda value: save_candidate(value, known),
        load=lambda files: load_candidate(files, known),
    )


def save_candidate(candidate: Candidate, flavours: Sequence[Flavour]) -> dict[str, bytes]:
    """Turn a candidate into files; equal candidates give equal files.

    Raises:
        Unsupported: No flavour takes the model, or its library cannot express it in ONNX.
    """
    signature = candidate.signature
    flavour = flavour_for(candidate.model, flavours)
    features = len(Encoder(signature).features)
    converted = flavour.convert(candidate.model, features=features, task=signature.task)
    source = f"source.{converted.source_format}"
    sample = io.BytesIO()
    candidate.sample.write_parquet(sample)
    encode = msgspec.json.Encoder(order="deterministic").encode
    return {
        _DESCRIPTION: encode(_Description(flavour=flavour.name, source=source)),
        _SIGNATURE: encode(signature),
        _SAMPLE: sample.getvalue(),
        source: converted.source,
    }


def load_candidate(files: Mapping[str, bytes], flavours: Sequence[Flavour]) -> Candidate:
    """Read a candidate back. Nothing in it is executed.

    Raises:
        Unsupported: Its flavour is not installed.
        Corrupt: The files are not what `save_candidate` wrote.
    """
    try:
        description = msgspec.json.decode(files[_DESCRIPTION], type=_Description)
        signature = msgspec.json.decode(files[_SIGNATURE], type=Signature)
        sample = pl.read_parquet(io.BytesIO(files[_SAMPLE]))
        source = files[description.source]
    except (KeyError, msgspec.DecodeError, pl.exceptions.PolarsError) as error:
        raise Corrupt(
            f"the files of a candidate do not decode: {error}", hint="Run its step again."
        ) from error
    flavour = flavour_named(description.flavour, flavours)
    return Candidate(model=flavour.load(source), signature=signature, sample=sample)


def flavour_for(model: object, flavours: Sequence[Flavour]) -> Flavour:
    """Return the flavour that takes a model.

    Raises:
        Unsupported: None does.
    """
    found = next((flavour for flavour in flavours if flavour.accepts(model)), None)
    if found is None:
        names = ", ".join(flavour.name for flavour in flavours)
        raise Unsupported(
            f"the model is a {type(model).__module__}.{type(model).__name__}, which no flavour "
            "takes",
            code="no-flavour",
            hint=f"Return a fitted model of one of: {names}; or export it to ONNX.",
        )
    return found


def flavour_named(name: str, flavours: Sequence[Flavour]) -> Flavour:
    """Return the flavour of this name.

    Raises:
        Unsupported: It is not installed.
    """
    found = next((flavour for flavour in flavours if flavour.name == name), None)
    if found is None:
        raise Unsupported(
            f"the flavour {name!r} is not installed",
            code="no-flavour",
            hint="Install trivet[train], or the distribution that brings this flavour.",
        )
    return found


def _check_classes(model: object, signature: Signature) -> None:
    """Refuse a classifier whose classes are neither the signature's nor their numbers."""
    classes: Any = getattr(model, "classes_", None)
    if classes is None or signature.task == "regression":
        return
    found = [value.item() if hasattr(value, "item") else value for value in classes]
    if found == list(range(len(signature.classes))):
        return
    names = [str(value).lower() if isinstance(value, bool) else str(value) for value in found]
    if names != list(signature.classes):
        raise Invalid(
            f"the model's {len(found)} classes are not the signature's, or stand in another order",
            code="other-classes",
            hint="Train on Encoder(signature).encode_target(table), which numbers the classes.",
        )
