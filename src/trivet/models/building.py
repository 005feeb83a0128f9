"""From a candidate to its package: converted, proven, described, stored.

Numeric: imports NumPy and Polars.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from trivet.core.errors import Invalid, Unsupported
from trivet.core.ports import Blobs, Flavour
from trivet.models.candidate import Candidate, flavour_for
from trivet.models.encoding import Encoder
from trivet.models.facts import Signature
from trivet.models.holdout import Holdout
from trivet.models.packaging import (
    GOLDEN,
    PARITY,
    REFERENCE,
    REQUIREMENTS,
    SERVING,
    SIGNATURE,
    Golden,
    Package,
    encode_file,
    write_package,
)
from trivet.models.parity import TOLERANCE, demand_parity, measure_parity, probe_rows
from trivet.models.reference import build_reference
from trivet.models.rows import Matrix
from trivet.models.session import Session, open_session

_PROBE_ROWS: Final = 2000
_GOLDEN_ROWS: Final = 16
_UNSEEN: Final = "(a category that was not seen in training)"


def build_package(
    blobs: Blobs,
    candidate: Candidate,
    flavours: Sequence[Flavour],
    *,
    requirements: bytes,
    holdout: Holdout | None = None,
    tolerance: float = TOLERANCE,
) -> Package:
    """Convert a candidate, prove the conversion, and store the package.

    Args:
        blobs: Where the package goes.
        candidate: What a training step returned.
        flavours: The installed flavours.
        requirements: The environment's lock.
        holdout: Held-out rows whose losses become the monitors' reference.
        tolerance: The greatest accepted difference between the two forms; see `parity`.

    Raises:
        Unsupported: No flavour takes the model, it does not convert, or parity does not hold.
        Invalid: The model was not fitted, or not to this signature.
    """
    signature = candidate.signature
    encoder = Encoder(signature)
    flavour = flavour_for(candidate.model, flavours)
    converted = flavour.convert(
        candidate.model, features=len(encoder.features), task=signature.task
    )
    matrix = encoder.encode_frame(candidate.sample)
    probes = probe_rows(signature, _evenly(matrix, _PROBE_ROWS), converted.onnx)
    session = open_session(converted.onnx, np.concatenate(list(probes.values())))
    _check_answer(session, signature)
    # What is proven is the source as it can be read back, not the object that is in memory now.
    restored = flavour.load(converted.source)
    _check_source(flavour, candidate.model, restored, probes["sample"])
    report = measure_parity(
        lambda rows: flavour.predict(restored, rows),
        session,
        probes,
        signature,
        tolerance=tolerance,
    )
    demand_parity(report)
    reference = build_reference(
        signature,
        candidate.sample,
        session.run(matrix),
        holdout=holdout,
        holdout_outputs=None
        if holdout is None
        else session.run(encoder.encode_frame(holdout.rows)),
    )
    source = f"model/source.{converted.source_format}"
    files = {
        source: converted.source,
        SERVING: converted.onnx,
        SIGNATURE: encode_file(signature),
        GOLDEN: encode_file(make_golden(encoder, candidate.sample, session)),
        REFERENCE: encode_file(reference),
        PARITY: encode_file(report),
        REQUIREMENTS: requirements,
    }
    return write_package(
        blobs,
        files,
        flavour=flavour.name,
        task=signature.task,
        source=source,
        profile=session.profile,
    )


def make_golden(encoder: Encoder, sample: pl.DataFrame, session: Session) -> Golden:
    """Choose example rows and record their answers, bit for bit.

    Besides ordinary rows there is one without any value that may be missing, and one with unseen
    categories wherever those are taken as missing.
    """
    step = -(-sample.height // _GOLDEN_ROWS)
    rows = encoder.rows_of(sample.gather_every(step))
    first = rows[0]
    inputs = encoder.signature.inputs
    emptied = {item.name: None for item in inputs if item.missing == "allow"}
    unseen = {
        item.name: _UNSEEN
        for item in inputs
        if item.type == "category" and item.unknown == "missing"
    }
    rows += [{**first, **change} for change in (emptied, unseen) if change]
    output = session.run(encoder.encode_rows(rows))
    return Golden(rows=tuple(rows), output=output.astype("<f4").tobytes())


def _evenly(matrix: Matrix, most: int) -> Matrix:
    return np.ascontiguousarray(matrix[:: -(-len(matrix) // most)])


def _check_answer(session: Session, signature: Signature) -> None:
    width = len(signature.classes) if signature.task == "multiclass" else 1
    if session.outputs != width:
        raise Invalid(
            f"the model answers with {session.outputs} numbers a row; its signature is for {width}",
            code="other-task",
            hint="Fit the signature and the model to the same target.",
        )


def _check_source(flavour: Flavour, model: object, restored: object, rows: Matrix) -> None:
    before: Any = flavour.predict(model, rows)
    after: Any = flavour.predict(restored, rows)
    if not np.array_equal(before, after, equal_nan=True):
        raise Unsupported(
            f"a {type(model).__name__} read back from its source answers otherwise than before",
            code="source-differs",
            hint="Train with an ordinary configuration, or report this as a defect of the flavour.",
        )
