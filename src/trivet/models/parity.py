"""Proving that a serving form answers as the original does, on rows where it would show.

Ordinary rows are not enough: a converted tree ensemble may be right everywhere but exactly on its
split points. So half of the numbers of some rows are replaced by split points of the model itself,
and other rows lose values wherever the signature lets them. Numeric: imports NumPy.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid, Unsupported
from trivet.models.facts import Signature
from trivet.models.onnx_graph import split_points
from trivet.models.packaging import ParityPart, ParityReport
from trivet.models.rows import Matrix, RowEncoder
from trivet.models.session import Session

TOLERANCE: Final = 1e-5
_MISSING_SHARE: Final = 0.2
_EDGE_SHARE: Final = 0.5


def probe_rows(signature: Signature, sample: Matrix, onnx: bytes) -> dict[str, Matrix]:
    """Make the rows on which two forms of a model are compared; the same ones each time.

    Args:
        signature: Which features may be missing.
        sample: Encoded training rows, float32 (n, k), n >= 1.
        onnx: The serving form, for its split points.

    Returns:
        `sample`; where it makes sense `missing`, with a fifth of the cells that may be missing
        taken away, and `edges`, with half of the cells put onto split points.
    """
    generator = np.random.default_rng(0)
    probes = {"sample": sample}
    encoder = RowEncoder(signature)
    optional = np.array(
        [
            item.missing == "allow" or (item.type, item.unknown) == ("category", "missing")
            for item in encoder.sources
        ]
    )
    if optional.any():
        emptied = sample.copy()
        emptied[(generator.random(sample.shape) < _MISSING_SHARE) & optional] = np.nan
        probes["missing"] = emptied
    categorical = set(encoder.categorical)
    splits = {
        feature: values
        for feature, values in split_points(onnx).items()
        if feature < sample.shape[1] and feature not in categorical and values.size
    }
    if splits:
        edged = probes.get("missing", sample).copy()
        for feature, values in splits.items():
            chosen = generator.random(len(sample)) < _EDGE_SHARE
            edged[chosen, feature] = generator.choice(values, size=int(chosen.sum()))
        probes["edges"] = edged
    return probes


def measure_parity(
    original: Callable[[Matrix], Any],
    session: Session,
    probes: Mapping[str, Matrix],
    signature: Signature,
    *,
    tolerance: float = TOLERANCE,
) -> ParityReport:
    """Compare two forms of a model.

    Probabilities are compared by their difference; the numbers of a regression by their
    difference in relation to the number or to the spread of all answers, whichever is greater,
    since float32 keeps seven digits and no fixed unit.

    Args:
        original: float32 (n, k) to float64 (n, m): the model in its own library.
        session: The serving form.
        probes: Rows by kind; see `probe_rows`.
        signature: The task.
        tolerance: The greatest difference that is accepted.

    Raises:
        Invalid: The original cannot answer rows that its signature allows.
    """
    parts: dict[str, ParityPart] = {}
    for kind, rows in probes.items():
        try:
            expected = np.asarray(original(rows), dtype=np.float64)
        except ValueError as error:
            raise Invalid(
                f"the model fails on rows that its signature allows ({kind} rows): {error}",
                code="cannot-answer",
                hint="Fit the signature with allow_missing=False, or fill missing values inside "
                "the model (SimpleImputer in a pipeline, or LightGBM, which needs none).",
            ) from error
        parts[kind] = _compare(expected, session.run(rows), signature, tolerance)
    is_regression = signature.task == "regression"
    return ParityReport(
        tolerance=tolerance,
        unit="relative difference" if is_regression else "difference of probabilities",
        parts=parts,
        row_by_row=session.profile.row_by_row,
    )


def demand_parity(report: ParityReport) -> ParityReport:
    """Return the report when it holds.

    Raises:
        Unsupported: Some row is beyond the tolerance; `detail` has the report.
    """
    if report.holds:
        return report
    kind, worst = max(report.parts.items(), key=lambda item: item[1].largest)
    raise Unsupported(
        f"the ONNX form differs from the original by {worst.largest:.3g} ({report.unit}) on "
        f"{worst.beyond:.2%} of {worst.rows} {kind} rows; accepted is {report.tolerance:.3g}",
        code="no-parity",
        hint="Train with an ordinary objective and without options that the converter does not "
        "know; or pass a tolerance that you can answer for.",
        detail={kind: part.largest for kind, part in report.parts.items()},
    )


def _compare(
    expected: npt.NDArray[np.float64], answered: Matrix, signature: Signature, tolerance: float
) -> ParityPart:
    if expected.shape != answered.shape:
        raise Unsupported(
            f"the ONNX form answers with shape {answered.shape}; the original with "
            f"{expected.shape}",
            code="no-parity",
            hint="Fit the signature and the model to the same target.",
        )
    difference = np.abs(expected - answered)
    if signature.task == "regression":
        scale = np.maximum(np.abs(expected), np.nanstd(expected))
        difference = np.divide(difference, scale, out=difference, where=scale > 0)
    # NaN on one side alone is as far apart as can be; on both sides it is agreement.
    difference[np.isnan(expected) & np.isnan(answered)] = 0
    difference[np.isnan(difference)] = np.inf
    rows = difference.max(axis=1)
    return ParityPart(
        rows=len(rows),
        largest=float(min(rows.max(), np.finfo(np.float64).max)),
        beyond=float((rows > tolerance).mean()),
    )
