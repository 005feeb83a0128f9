"""Tables out of files: CSV and Parquet, with types read from every row and errors that teach.

This is a numeric module: Polars is loaded with it. Python's `csv` module is the judge of what a
CSV file says (RFC 4180, strictly); Polars reads the bytes, and where the two could differ (a
quotation mark inside a field, blank lines) the judge's reading is taken.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl
import polars.selectors as cs

from trivet.core.errors import Invalid, NotFound
from trivet.core.ports import ArrowStream
from trivet.data.columns import infer_type
from trivet.data.naming import suggest

_SEPARATORS = {".csv": ",;\t|", ".tsv": "\t"}
_PARQUET = {".parquet", ".pq"}
_CHUNK_ROWS = 50_000
_FOREIGN = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"PAR1", "a Parquet file"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"%PDF", "a PDF document"),
)


Frame = pl.DataFrame
"""What this room holds a table in while it works on it."""


def read_table(path: Path | str) -> pl.DataFrame:
    """Read a CSV (`.csv`, `.tsv`) or Parquet (`.parquet`, `.pq`) file.

    In CSV files the first line names the columns; the separator (comma, semicolon, tab, bar) is
    taken from that line. Empty fields, `NA`, `N/A`, `null` and `NaN` are missing values. A column
    is an integer, number, boolean, date or datetime when every value in it is one, and otherwise
    text; numbers with leading zeros (post codes) stay text. Blank lines are skipped.

    Raises:
        NotFound: There is no such file.
        Invalid: It is no table: empty, without rows, broken in a line, not UTF-8, of another
            format, or its columns have no names or the same name twice.
    """
    path = Path(path)
    _check_exists(path)
    suffix = path.suffix.lower()
    if suffix in _PARQUET:
        frame = _read_parquet(path)
    elif suffix in _SEPARATORS:
        frame = _read_csv(path, _SEPARATORS[suffix])
    else:
        raise Invalid(
            f"{path.name!r} has the ending {suffix!r}; expected .csv, .tsv or .parquet",
            code="unknown-format",
            hint="Save the table as CSV (UTF-8) or Parquet.",
        )
    if frame.is_empty():
        raise Invalid(
            f"{path.name!r} has {frame.width} columns and no rows",
            code="no-rows",
            hint="Check the export that wrote it: a table needs at least one row of data.",
        )
    return as_portable(frame)


def as_frame(name: str, table: ArrowStream) -> pl.DataFrame:
    """Read an Arrow stream; a Polars frame is taken as it is, without a copy.

    Raises:
        Invalid: The object does not speak the Arrow C stream protocol, or yields no table.
    """
    if isinstance(table, pl.DataFrame):
        return table
    if not hasattr(table, "__arrow_c_stream__"):
        raise Invalid(
            f"{name} is a {type(table).__name__}; expected a table that speaks Arrow "
            "(Polars, pandas, PyArrow, DuckDB)",
            code="not-a-table",
            hint="Pass a data frame, for example polars.DataFrame(rows).",
        )
    try:
        return pl.DataFrame(table)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise Invalid(
            f"{name} is a {type(table).__name__} that cannot be read as a table: {error}",
            code="not-a-table",
            hint="Pass a table of named columns.",
        ) from error


def as_portable(frame: pl.DataFrame) -> pl.DataFrame:
    """Cast columns to types that every store and engine keeps as they are.

    Categories become text, unsigned integers int64, datetimes microseconds, columns without any
    value text. All other types stay.

    Raises:
        Invalid: A column has no name, or an unsigned integer exceeds int64.
    """
    if not frame.width:
        raise Invalid(
            "the table has no columns", code="no-columns", hint="Pass a table with named columns."
        )
    _check_names("the table", frame.columns)
    try:
        return frame.with_columns(
            cs.by_dtype(pl.Null, pl.Categorical, pl.Enum).cast(pl.String),
            cs.unsigned_integer().cast(pl.Int64),
            (cs.datetime("ms") | cs.datetime("ns")).dt.cast_time_unit("us"),
        )
    except pl.exceptions.InvalidOperationError as error:
        raise Invalid(
            "a column of unsigned integers holds values beyond 9223372036854775807",
            code="too-large",
            hint="Store such identifiers as text.",
        ) from error


def append_rows(before: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Put rows below a table, by column name; the result has the table's columns and types.

    Integers may join a column of floats, and columns without any value join every column.

    Raises:
        Invalid: The columns' names differ, or a type does not fit.
    """
    _check_same_names(before.columns, rows.columns)
    for name, dtype in before.schema.items():
        column = rows.get_column(name)
        is_widened = column.dtype.is_integer() and dtype.is_float()
        if column.dtype != dtype and not is_widened and column.null_count() < column.len():
            raise Invalid(
                f"column {name!r} of the new rows is of type {column.dtype}; expected {dtype}",
                code="other-columns",
                hint="Convert the column, or publish the whole table anew without append.",
            )
    ordered = rows.select(pl.col(name).cast(dtype) for name, dtype in before.schema.items())
    return pl.concat([before, ordered])


def is_same(first: pl.DataFrame, second: pl.DataFrame) -> bool:
    """Say whether two tables have the same columns, types and rows, in the same order."""
    return first.schema == second.schema and first.equals(second)


def _check_same_names(before: Sequence[str], rows: Sequence[str]) -> None:
    absent = [name for name in before if name not in rows]
    foreign = [name for name in rows if name not in before]
    if absent or foreign:
        words = [f"lack {', '.join(map(repr, absent))}"] if absent else []
        words += [f"have {', '.join(map(repr, foreign))} in addition"] if foreign else []
        raise Invalid(
            f"the new rows {' and '.join(words)}",
            code="other-columns",
            hint="Give the rows the table's columns, or publish the whole table without append.",
        )


def _check_exists(path: Path) -> None:
    if path.is_dir():
        raise Invalid(
            f"{path.name!r} is a folder; expected a file",
            code="not-a-file",
            hint="Name one CSV or Parquet file, or publish the folder as a file tree.",
        )
    if not path.is_file():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        tables = {".csv", ".tsv", *_PARQUET}
        known = sorted(item.name for item in beside if item.suffix.lower() in tables)
        folder = path.parent.name or str(path.parent)
        raise NotFound(
            f"there is no file {path.name!r} in the folder {folder!r}",
            code="no-file",
            hint=suggest(path.name, known) if known else "Check the path.",
        )
    if path.stat().st_size == 0:
        raise Invalid(
            f"{path.name!r} is empty (0 bytes)",
            code="empty-file",
            hint="Check the export that wrote it.",
        )


def _check_names(what: str, names: Sequence[str]) -> None:
    blank = [place for place, name in enumerate(names, 1) if not name.strip()]
    if blank:
        raise Invalid(
            f"{what} has no name for {_numbered('column', blank)}",
            code="blank-column",
            hint="Give every column a name; a trailing separator in the first line also does this.",
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Invalid(
            f"{what} names columns more than once: {', '.join(map(repr, twice))}",
            code="duplicate-column",
            hint="Rename or drop the repeated columns.",
        )


def _numbered(word: str, places: Sequence[int]) -> str:
    return f"{word}{'s' if len(places) > 1 else ''} {', '.join(map(str, places[:10]))}"


def _read_parquet(path: Path) -> pl.DataFrame:
    with path.open("rb") as file:
        begins_well = file.read(4) == b"PAR1"
    try:
        if begins_well:
            # As in CSV: what is not a number is a missing one.
            return pl.read_parquet(path).with_columns(pl.selectors.float().fill_nan(None))
    except pl.exceptions.PolarsError as error:
        raise _bad_parquet(path) from error
    raise _bad_parquet(path)


def _bad_parquet(path: Path) -> Invalid:
    return Invalid(
        f"{path.name!r} is no whole Parquet file",
        code="broken-parquet",
        hint="Write it again; perhaps the copy was cut short.",
    )


# ---------------------------------------------------------------- CSV


def _read_csv(path: Path, separators: str) -> pl.DataFrame:
    _check_is_text(path)
    try:
        judged = _judge_lines(path, separators)
    except UnicodeDecodeError as error:
        raise _bad_encoding(path) from error
    strings = _read_fast(path, judged) if judged.is_plain else None
    if strings is None or strings.height != judged.rows:
        strings = _read_slowly(path, judged)
    return strings.select(infer_type(strings[name]) for name in judged.header)


def _check_is_text(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8192)
    for signature, words in _FOREIGN:
        if start.startswith(signature):
            raise _no_csv(path, words)
    if b"\0" in start:
        raise _no_csv(path, "not text: there are zero bytes in it")


def _no_csv(path: Path, words: str) -> Invalid:
    return Invalid(
        f"{path.name!r} is {words}; expected CSV text in UTF-8",
        code="not-csv",
        hint="Save the table as CSV (UTF-8) or Parquet.",
    )


def _bad_encoding(path: Path) -> Invalid:
    with path.open("rb") as file:
        line = next((number for number, text in enumerate(file, 1) if not _is_utf8(text)), 0)
    return Invalid(
        f"line {line} of {path.name!r} is not UTF-8",
        code="bad-encoding",
        hint="Save the file as UTF-8; from Windows, "
        "`iconv -f WINDOWS-1252 -t UTF-8 old.csv > new.csv` does it.",
        detail={"line": line},
    )


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Judgement(NamedTuple):
    separator: str
    header: list[str]
    rows: int
    is_plain: bool
    """No field holds a quotation mark: Polars reads the file as the strict reader does."""


def _judge_lines(path: Path, separators: str) -> _Judgement:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = next((line for line in file if line.strip()), "")
        separator = max(separators, key=first.count)
        file.seek(0)
        reader = csv.reader(file, delimiter=separator, strict=True)
        lines: Iterator[list[str]] = filter(None, reader)  # a blank line is an empty list
        try:
            header = [name.strip() for name in next(lines, ())]
            _check_header(path, header)
            rows, is_plain, other_width = _judge_rows(lines, len(header))
        except csv.Error as error:
            raise Invalid(
                f"line {reader.line_num} of {path.name!r} cannot be read as CSV: {error}",
                code="broken-csv",
                hint="Look for a quotation mark that is not closed, or not doubled inside a field.",
                detail={"line": reader.line_num},
            ) from error
        if other_width is not None:
            raise _broken_line(path, reader.line_num, other_width, len(header))
    return _Judgement(separator, header, rows, is_plain)


def _judge_rows(lines: Iterator[list[str]], width: int) -> tuple[int, bool, int | None]:
    """Count rows up to the first one of another width; return that width as well."""
    rows = 0
    is_plain = True
    for fields in lines:
        if len(fields) != width:
            return rows, is_plain, len(fields)
        rows += 1
        is_plain = is_plain and '"' not in "".join(fields)
    return rows, is_plain, None


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise Invalid(
            f"{path.name!r} holds blank lines alone",
            code="empty-file",
            hint="Check the export that wrote it.",
        )
    _check_names(f"the first line of {path.name!r}", header)
    if all(_is_number(name) for name in header):
        raise Invalid(
            f"the first line of {path.name!r} holds numbers alone; expected the columns' names",
            code="no-header",
            hint="Put a line with the names of the columns in front.",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _broken_line(path: Path, line: int, found: int, wanted: int) -> Invalid:
    return Invalid(
        f"line {line} of {path.name!r} has {found} {'field' if found == 1 else 'fields'}; "
        f"expected {wanted} as in the first line",
        code="broken-csv",
        hint="Quote fields that contain the separator, or mend the line.",
        detail={"line": line, "fields": found, "expected": wanted},
    )


def _read_fast(path: Path, judged: _Judgement) -> pl.DataFrame | None:
    try:
        return pl.read_csv(
            path, separator=judged.separator, infer_schema=False, new_columns=judged.header
        )
    except pl.exceptions.PolarsError:
        return None  # the strict reader has accepted the file, so it can also read it


def _read_slowly(path: Path, judged: _Judgement) -> pl.DataFrame:
    schema = dict.fromkeys(judged.header, pl.String)
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = filter(None, csv.reader(file, delimiter=judged.separator, strict=True))
        next(lines)
        frames = [pl.DataFrame(rows, schema, orient="row") for rows in _chunks(lines)]
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)


def _chunks(lines: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while rows := list(islice(lines, _CHUNK_ROWS)):
        yield rows
