"""Scoring whole files: the rows of a table, answered as serving answers them, bit for bit.

The same package, encoder contract and session as online; what differs is that rows come as
columns. The scored file appears under its name whole, or not at all. Numeric: imports NumPy and
Polars.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from trivet.core.disk import sync_file
from trivet.core.errors import Invalid, NotFound
from trivet.core.ports import Blobs
from trivet.data.sources import read_table
from trivet.models.encoding import Encoder
from trivet.models.facts import Model, Signature
from trivet.serving.predictor import LoadedModel

PREDICTION: Final = "prediction"
_CHUNK_ROWS: Final = 65_536


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was scored."""

    model: str
    """`name:version`."""
    package: str
    rows: int
    columns: tuple[str, ...]
    """The columns that were added."""
    unknown: dict[str, int] = {}
    """Inputs that met categories which training never saw, and in how many rows; they were taken
    as missing, as the signature allows."""


def score_file(blobs: Blobs, model: Model, source: Path, target: Path) -> Scored:
    """Add a model's answers to the rows of a file.

    Args:
        blobs: Where the package is.
        model: Who answers.
        source: A CSV or Parquet file with at least the model's inputs; other columns are kept.
        target: Where the scored rows go, `.csv` or `.parquet`; an existing file is replaced.

    Raises:
        NotFound: There is no such file, or no folder for the target.
        Invalid: The file is no table, lacks an input, or holds a value that the signature
            refuses; or the target has another ending. Nothing is written then.
    """
    write = _writer_of(target)
    table = read_table(source)
    loaded = LoadedModel(blobs, model)
    added = answers_of(loaded.signature, predict_table(loaded, table))
    taken = [name for name in added.columns if name in table.columns]
    if taken:
        raise Invalid(
            f"{source.name!r} has a column {taken[0]!r} already",
            code="column-taken",
            hint="Rename the column, or score the file without it.",
        )
    _write_whole(table.hstack(added), target, write)
    return Scored(
        model=loaded.label,
        package=loaded.package,
        rows=table.height,
        columns=tuple(added.columns),
        unknown=_unknown(loaded.signature, table),
    )


def predict_table(loaded: LoadedModel, table: pl.DataFrame) -> NDArray[np.float32]:
    """Return the model's output rows, float32 of shape (n, m), for a table's rows.

    Raises:
        Invalid: A column is absent, or holds a value that the signature refuses.
    """
    # A column without any value has no type of its own: it is missing, whatever it should be.
    empty = [name for name in table.columns if table[name].null_count() == table.height]
    table = table.with_columns(pl.lit(None).alias(name) for name in empty)
    matrix = Encoder(loaded.signature).encode_frame(table)
    parts = [loaded.predict(matrix[at : at + _CHUNK_ROWS]) for at in _starts(len(matrix))]
    return np.concatenate(parts)


def answers_of(signature: Signature, outputs: NDArray[np.float32]) -> pl.DataFrame:
    """Put output rows into columns.

    `prediction` is the positive class's probability for `binary`, the value for `regression`, the
    likeliest class for `multiclass`, whose probabilities follow as `probability_<class>`.
    """
    if signature.task != "multiclass":
        return pl.DataFrame({PREDICTION: outputs[:, 0]})
    likeliest = pl.Series(signature.classes).gather(outputs.argmax(axis=1))
    shares = {f"probability_{name}": outputs[:, at] for at, name in enumerate(signature.classes)}
    return pl.DataFrame({PREDICTION: likeliest, **shares})


def _starts(rows: int) -> range:
    return range(0, max(rows, 1), _CHUNK_ROWS)


def _unknown(signature: Signature, table: pl.DataFrame) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in signature.inputs:
        if item.type == "category" and item.unknown == "missing":
            values = table[item.name].drop_nulls().cast(pl.String)
            count = int((~values.is_in(item.categories)).sum())
            if count:
                found[item.name] = count
    return found


_Writer = Callable[[pl.DataFrame, Path], object]


def _writer_of(target: Path) -> _Writer:
    suffix = target.suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        raise Invalid(
            f"the target {target.name!r} has the ending {suffix!r}; expected .csv or .parquet",
            code="unknown-format",
            hint="Write for example --out scored.parquet.",
        )
    if not target.parent.is_dir():
        raise NotFound(
            f"there is no folder {str(target.parent)!r}", code="no-folder", hint="Make it first."
        )
    return pl.DataFrame.write_csv if suffix == ".csv" else pl.DataFrame.write_parquet


def _write_whole(table: pl.DataFrame, target: Path, write: _Writer) -> None:
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        write(table, scratch)
        sync_file(scratch)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
