"""What a look at held-out rows asks, as a digest: the same question again learns nothing new.

Two looks ask the same when the same candidate meets the same champion on the same rows, labels
and groups, by the same metric with the same demands. Anything else is another question, and
another chance to be lucky. Numeric: imports NumPy.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from trivet.core.ids import sha256_hex
from trivet.models.exam import Exam
from trivet.models.metrics import Groups, Values
from trivet.models.packaging import REFERENCE, Package
from trivet.statistics.arrays import cluster_codes


def answers_question(
    labels: Values,
    champion: Values,
    candidate: Values,
    *,
    groups: Groups,
    metric: str,
    margin: float,
) -> str:
    """Return the digest of a comparison of plain answers."""
    arrays = (labels, champion, candidate)
    return sha256_hex(
        *(_bytes(values) for values in arrays),
        _parts(groups, labels.size),
        msgspec.json.encode((metric, margin)),
    )


def exam_question(exam: Exam) -> str:
    """Return the digest of what an exam asks.

    The rows are taken as each package reads them, so that it does not matter by which machine
    they were answered. A package is known by all its files but the losses that it brings for
    monitors: these follow from the rest and the rows.
    """
    spec, champion = exam.spec, exam.champion
    simple = exam.baseline if spec.quality.baseline else exam.baseline[:0]
    return sha256_hex(
        _package(exam.package),
        _bytes(exam.encoder.encode_frame(exam.holdout.rows)),
        _bytes(exam.holdout.labels),
        _parts(exam.holdout.groups, exam.holdout.size),
        _bytes(simple),
        champion.identity.encode() if champion else b"",
        msgspec.json.encode((exam.metric.name, spec.quality, spec.champion.margin)),
    )


def labels_digest(labels: npt.ArrayLike) -> str | None:
    """Return what held-out rows are known by under whatever name; None when nothing tells.

    Labels that are all alike name no rows: those of other rows would be the same.
    """
    values = np.asarray(labels, dtype=np.float64)
    return None if (values == values[0]).all() else sha256_hex(_bytes(values))


def _package(package: Package) -> bytes:
    files = {path: file for path, file in package.manifest.files.items() if path != REFERENCE}
    return msgspec.json.encode(files, order="deterministic")


def _parts(groups: Groups, rows: int) -> bytes:
    return b"" if groups is None else _bytes(cluster_codes(groups, rows)[0])


def _bytes(values: npt.NDArray[np.generic]) -> bytes:
    return np.ascontiguousarray(values).tobytes()
