"""Loaded models: a package's session, encoder and golden rows, ready to answer."""

from collections.abc import Sequence

import msgspec
import numpy as np

from trivet.core.errors import Corrupt
from trivet.core.ports import Blobs
from trivet.models.facts import Model, Signature
from trivet.models.packaging import Package, open_package
from trivet.models.rows import Matrix, RowEncoder
from trivet.serving.exchange import Answer

_TOLERANCE = 1e-5


class LoadedModel:
    """One model version in memory.

    Loading proves itself: the package's golden rows must give the recorded answers, to 1e-5,
    before the model answers anybody; on the machine it was packaged on they give the same bits.

    Raises:
        Corrupt: A file of the package is not as it was recorded, or the golden rows answer
            otherwise on this machine.
    """

    def __init__(self, blobs: Blobs, model: Model) -> None:
        package: Package = open_package(blobs, model.version.package)
        self.model = model
        self.label = model.label
        self.package = model.version.package
        self.signature: Signature = package.signature
        self.encoder = RowEncoder(package.signature)
        self.session = package.session()
        self.is_exact = self._prove(package)
        """Whether the golden rows gave the recorded bits, and not only the recorded values."""

    def predict(self, matrix: Matrix) -> Matrix:
        """Answer an encoded matrix (n, k) with the model's output rows (n, m)."""
        return self.session.run(matrix)

    def answer(
        self, prediction_id: str, output: Sequence[float], warnings: tuple[str, ...]
    ) -> Answer:
        """Put an output row into words."""
        if self.signature.task == "binary":
            return Answer(
                id=prediction_id, model=self.label, probability=output[0], warnings=warnings
            )
        if self.signature.task == "regression":
            return Answer(id=prediction_id, model=self.label, value=output[0], warnings=warnings)
        probabilities = dict(zip(self.signature.classes, output, strict=True))
        return Answer(
            id=prediction_id,
            model=self.label,
            class_=max(probabilities, key=probabilities.__getitem__),
            probabilities=probabilities,
            warnings=warnings,
        )

    def _prove(self, package: Package) -> bool:
        golden = package.golden
        output = self.predict(self.encoder.encode_rows(golden.rows))
        expected = np.frombuffer(golden.output, np.float32).reshape(output.shape)
        if np.array_equal(output, expected, equal_nan=True):
            return True
        if np.allclose(output, expected, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True):
            return False
        worst = float(np.nanmax(np.abs(output - expected)))
        raise Corrupt(
            f"{self.label} answers its golden rows otherwise here (largest difference {worst:.3g})",
            code="golden-rows",
            hint="Serve it with the versions its package locks, or judge it anew here.",
            detail={"package": self.package},
        )


class Variants(msgspec.Struct, frozen=True):
    """The loaded models of a release, by variant name."""

    champion: LoadedModel
    candidate: LoadedModel | None = None

    def named(self, name: str) -> LoadedModel:
        """Return the model of a variant."""
        return self.candidate if name == "candidate" and self.candidate else self.champion
