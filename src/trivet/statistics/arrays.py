"""The doors through which numbers enter: every other module takes what these functions return."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid

Values = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


def finite_values(name: str, values: npt.ArrayLike, *, least: int = 1) -> Values:
    """Read a one-dimensional array of at least `least` finite numbers.

    Args:
        name: What the caller calls the array; it appears in errors.
        values: Anything NumPy can read as numbers.
        least: Fewest rows that make sense.

    Returns:
        A float64 array of shape (n,).

    Raises:
        Invalid: Not numeric, not one-dimensional, too short, or holding NaN or infinity.
    """
    try:
        read = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise Invalid(
            f"{name} is a {type(values).__name__} that holds something other than numbers",
            hint=f"Pass {name} as a sequence of numbers.",
        ) from None
    if read.ndim != 1:
        raise Invalid(
            f"{name} has {read.ndim} dimensions; expected 1", hint=f"Pass one column as {name}."
        )
    if read.size < least:
        raise Invalid(
            f"{name} has {read.size} rows; expected at least {least}",
            code="too-few-rows",
            hint="Collect more rows before asking this question.",
        )
    if not np.isfinite(read).all():
        missing = int(read.size - np.isfinite(read).sum())
        raise Invalid(
            f"{name} has {missing} missing or infinite values; expected finite numbers",
            hint=f"Drop or fill the missing rows of {name}, and count them elsewhere.",
        )
    return read


def same_rows(**columns: npt.ArrayLike) -> tuple[Values, ...]:
    """Read several columns that describe the same rows, in the order they are named.

    Raises:
        Invalid: A column is not a finite vector, or the lengths differ.
    """
    read = tuple(finite_values(name, column) for name, column in columns.items())
    lengths = {name: column.size for name, column in zip(columns, read, strict=True)}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {size}" for name, size in lengths.items())
        raise Invalid(f"columns differ in rows: {shown}", hint="Pass one value per row in each.")
    return read


def binary_labels(name: str, labels: npt.ArrayLike) -> Values:
    """Read labels that are 0 or 1 (or booleans) as float64.

    Raises:
        Invalid: A label is neither 0 nor 1.
    """
    read = finite_values(name, labels)
    if not ((read == 0) | (read == 1)).all():
        raise Invalid(
            f"{name} holds values other than 0 and 1",
            hint="Encode the positive class as 1 and the other as 0.",
        )
    return read


def probabilities(name: str, values: npt.ArrayLike) -> Values:
    """Read probabilities in [0, 1].

    Raises:
        Invalid: A value lies outside [0, 1].
    """
    read = finite_values(name, values)
    if read.min() < 0 or read.max() > 1:
        raise Invalid(
            f"{name} holds values outside 0 to 1; expected probabilities",
            hint="Pass calibrated probabilities, not raw scores.",
        )
    return read


def cluster_codes(clusters: npt.ArrayLike | None, rows: int) -> tuple[Codes, int]:
    """Number clusters by first appearance; without clusters each row is its own.

    Args:
        clusters: One label per row (day, customer, aeroplane), or None.
        rows: How many rows the other columns have.

    Returns:
        Codes in 0..count-1, shape (rows,), and the count.

    Raises:
        Invalid: The lengths differ, or there are fewer than two clusters.
    """
    if clusters is None:
        return np.arange(rows), rows
    labels = np.asarray(clusters)
    if labels.shape != (rows,):
        raise Invalid(
            f"clusters has shape {labels.shape}; expected ({rows},)",
            hint="Pass one cluster label per row.",
        )
    if _has_gaps(labels):
        raise Invalid(
            "clusters has rows without a label; expected one for every row",
            code="no-cluster",
            hint="Give each row that stands alone a label of its own.",
        )
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    if first.size < 2:
        raise Invalid(
            "clusters names a single cluster; expected at least 2",
            code="too-few-clusters",
            hint="Use a finer cluster, or more data: one cluster says nothing about variation.",
        )
    rank = np.empty(first.size, dtype=np.intp)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[inverse], int(first.size)


def _has_gaps(labels: npt.NDArray[Any]) -> bool:
    if labels.dtype.kind == "O":
        return any(label is None or _is_nan(label) for label in labels.tolist())
    if labels.dtype.kind in "Mm":
        return bool(np.isnat(labels).any())
    return labels.dtype.kind == "f" and bool(np.isnan(labels).any())


def _is_nan(label: object) -> bool:
    return isinstance(label, float) and np.isnan(label)


def check_count(name: str, value: float, *, least: float = 0) -> None:
    """Refuse a count that is not finite or lies below `least`.

    Raises:
        Invalid: As said.
    """
    if not np.isfinite(value) or value < least:
        raise Invalid(f"{name} must be a finite count of at least {least}")


def check_share(name: str, value: float) -> None:
    """Refuse a share, level or probability outside the open interval (0, 1).

    Raises:
        Invalid: As said.
    """
    if not 0 < value < 1:
        raise Invalid(
            f"{name} must lie strictly between 0 and 1", hint=f"Pass for instance {name}=0.05."
        )
