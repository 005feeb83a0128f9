"""Files become tables, and broken files become sentences that say what to do."""

import csv
import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trivet.core.errors import Invalid, NotFound, TrivetError
from trivet.data.sources import append_rows, as_frame, as_portable, is_same, read_table


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def refusal(path: Path) -> TrivetError:
    with pytest.raises(TrivetError) as caught:
        read_table(path)
    assert caught.value.hint, "an error that does not say what to do next"
    return caught.value


def test_types_are_read_from_every_row(write: Any) -> None:
    rows = "".join(f"{row},{row},x{row}\n" for row in range(5000))
    frame = read_table(write(f"count,late,name\n{rows}1,2.5,7\n"))
    assert frame.schema == {"count": pl.Int64(), "late": pl.Float64(), "name": pl.String()}
    assert frame.height == 5001


def test_dates_times_and_booleans_are_understood(write: Any) -> None:
    frame = read_table(
        write(
            "day,german,at,local,ok\n"
            "2013-01-31,31.1.2013,2013-01-31T05:00:00Z,2013-01-31 05:00,True\n"
            "2013-02-01,1.2.2013,2013-01-31T05:00:00.5+01:00,2013-02-01 06:30,false\n"
        )
    )
    assert frame.row(0) == (
        date(2013, 1, 31),
        date(2013, 1, 31),
        datetime(2013, 1, 31, 5, tzinfo=UTC),
        datetime(2013, 1, 31, 5),  # noqa: DTZ001  # the file says no zone
        True,
    )
    assert frame["at"][1] == datetime(2013, 1, 31, 4, 0, 0, 500000, tzinfo=UTC)


def test_days_with_slashes_are_read_only_when_one_order_fits(write: Any) -> None:
    frame = read_table(
        write("us,eu,unclear\n01/31/2013,31/01/2013,01/02/2013\n02/01/2013,1/2/2013,3/4/2013\n")
    )
    assert frame["us"].to_list() == [date(2013, 1, 31), date(2013, 2, 1)]
    assert frame["eu"].to_list() == [date(2013, 1, 31), date(2013, 2, 1)]
    assert frame["unclear"].dtype == pl.String


def test_all_spellings_of_missing_are_missing(write: Any) -> None:
    frame = read_table(write("a,b\n1,x\n,NA\nNA,null\nnull,NaN\nNaN,\n \t,y\n"))
    assert frame["a"].to_list() == [1, None, None, None, None, None]
    assert frame["b"].to_list() == ["x", None, None, None, None, "y"]


def test_codes_with_leading_zeros_or_too_many_digits_stay_text(write: Any) -> None:
    frame = read_table(write("post,card,zero\n01234,12345678901234567890,0\n80331,1,0.5\n"))
    assert frame["post"].to_list() == ["01234", "80331"]
    assert frame["card"].dtype == pl.String
    assert frame["zero"].to_list() == [0.0, 0.5]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_taken_from_the_first_line(write: Any, separator: str) -> None:
    frame = read_table(write(f"a{separator}b\n1{separator}2\n"))
    assert frame.rows() == [(1, 2)]


def test_line_ends_marks_and_blank_lines_do_not_matter(write: Any) -> None:
    plain = read_table(write("a,b\n1,x\n2,y\n"))
    for other in (
        "a,b\r\n1,x\r\n2,y\r\n",
        "\ufeffa,b\n1,x\n2,y\n",
        "\n\na,b\n1,x\n\n2,y\n\n\n",
        "a,b\n1,x\n2,y",
        "a , b\n1,x\n2,y\n",
    ):
        assert_frame_equal(read_table(write(other)), plain)


@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1),
            st.text('ab",;\n', max_size=6),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_text_comes_back_as_it_was_written(
    rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("csv") / "text.csv"
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows([("first", "second"), *rows])
    path.write_text("\n" + written.getvalue(), encoding="utf-8", newline="")
    frame = read_table(path)
    read = [tuple("" if cell is None else str(cell) for cell in row) for row in frame.rows()]
    if frame.schema == {"first": pl.String(), "second": pl.String()}:
        missing = {"NA", "N/A", "null", "NULL", "NaN", "nan"}
        blank = [tuple("" if not c.strip() or c.strip() in missing else c for c in r) for r in rows]
        assert read == blank
    assert frame.height == len(rows)


@pytest.mark.parametrize("content", ['a,b\n5" pipe,3\n6" pipe,4\n', 'a,b\nx"y"z,3\nq,4\n'])
def test_quotation_marks_inside_a_field_are_kept(write: Any, content: str) -> None:
    frame = read_table(write(content))
    assert frame.height == 2
    assert '"' in frame["a"][0]


# ---------------------------------------------------------------- errors that teach


def test_a_missing_file_is_named_with_its_neighbours(write: Any) -> None:
    path = write("a\n1\n", "customers.csv")
    with pytest.raises(NotFound, match=r"costumers\.csv") as caught:
        read_table(path.with_name("costumers.csv"))
    assert "customers.csv" in caught.value.hint


def test_a_line_with_too_many_or_too_few_fields_is_named(write: Any) -> None:
    error = refusal(write("a,b,c\n1,2,3\n4,5\n6,7,8\n"))
    assert "line 3" in str(error)
    assert "2 fields" in str(error)
    assert error.detail == {"line": 3, "fields": 2, "expected": 3}
    error = refusal(write('a,b\n"two\nlines",1\n2,3,4\n'))
    assert error.detail == {"line": 4, "fields": 3, "expected": 2}


def test_a_quotation_mark_that_is_not_closed_is_named(write: Any) -> None:
    error = refusal(write('a,b\n1,"x\n2,y\n'))
    assert error.code == "broken-csv"
    assert "quotation mark" in error.hint


def test_another_encoding_is_named_with_its_line(write: Any) -> None:
    error = refusal(write("city,n\nKöln,1\n".encode() + "München,2\n".encode("latin-1")))
    assert error.code == "bad-encoding"
    assert error.detail == {"line": 3}
    assert "UTF-8" in error.hint


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-file"),
        (b"\n\n", "empty-file"),
        (b"a,b\n", "no-rows"),
        (b"a,a\n1,2\n", "duplicate-column"),
        (b"a, a\n1,2\n", "duplicate-column"),
        (b"a,,b\n1,2,3\n", "blank-column"),
        (b"1,2\n3,4\n", "no-header"),
        (b"PK\x03\x04rest", "not-csv"),
        (b"\xff\xfea\x00,\x00", "not-csv"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not-csv"),
        (b"\x1f\x8b\x08", "not-csv"),
    ],
)
def test_what_is_no_table_is_told_why(write: Any, content: bytes, code: str) -> None:
    assert refusal(write(content)).code == code


def test_unknown_endings_and_folders_are_refused(write: Any, tmp_path: Path) -> None:
    assert refusal(write("a\n1\n", "table.xlsx")).code == "unknown-format"
    assert refusal(tmp_path).code == "not-a-file"


def test_parquet_is_read_and_a_cut_file_is_refused(write: Any) -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    assert_frame_equal(read_table(write(buffer.getvalue(), "t.parquet")), frame)
    assert refusal(write(buffer.getvalue()[:-20], "t.parquet")).code == "broken-parquet"
    assert refusal(write("a,b\n1,2\n", "t.parquet")).code == "broken-parquet"


# ---------------------------------------------------------------- frames


def test_types_that_stores_do_not_share_are_cast() -> None:
    frame = pl.DataFrame(
        {
            "none": pl.Series([None, None], dtype=pl.Null),
            "category": pl.Series(["a", "b"], dtype=pl.Categorical),
            "unsigned": pl.Series([1, 2], dtype=pl.UInt64),
            "at": pl.Series([datetime(2020, 1, 1, tzinfo=UTC)] * 2, dtype=pl.Datetime("ns", "UTC")),
        }
    )
    assert as_portable(frame).schema == {
        "none": pl.String(),
        "category": pl.String(),
        "unsigned": pl.Int64(),
        "at": pl.Datetime("us", "UTC"),
    }


def test_numbers_that_would_not_fit_are_refused() -> None:
    with pytest.raises(Invalid, match="9223372036854775807"):
        as_portable(pl.DataFrame({"n": pl.Series([2**64 - 1], dtype=pl.UInt64)}))


class Stream:
    """Somebody else's table: all that is known of it is the Arrow protocol."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def test_only_what_speaks_arrow_is_a_table() -> None:
    frame = pl.DataFrame({"a": [1]})
    assert as_frame("t", frame) is frame
    assert_frame_equal(as_frame("t", Stream(frame)), frame)
    with pytest.raises(Invalid, match="t is a dict"):
        as_frame("t", {"a": [1]})  # pyright: ignore[reportArgumentType]  # on purpose


def test_rows_are_appended_by_name_and_widened() -> None:
    before = pl.DataFrame({"a": [1.5], "b": ["x"]})
    rows = pl.DataFrame({"b": [None], "a": [2]})
    assert_frame_equal(append_rows(before, rows), pl.DataFrame({"a": [1.5, 2.0], "b": ["x", None]}))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"a": [1]}, "lack 'b'"),
        ({"a": [1], "b": ["x"], "c": [1]}, "have 'c'"),
        ({"a": ["one"], "b": ["x"]}, "column 'a'"),
        ({"a": [1.5], "b": ["x"]}, "column 'a'"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: dict[str, Any], words: str) -> None:
    before = pl.DataFrame({"a": [1], "b": ["x"]})
    with pytest.raises(Invalid, match=words):
        append_rows(before, pl.DataFrame(rows))


def test_the_order_of_rows_and_columns_makes_a_table() -> None:
    frame = pl.DataFrame({"a": [1.0, None, float("nan")]})
    assert is_same(frame, frame.clone())
    assert not is_same(frame, frame.reverse())
    assert not is_same(frame, frame.cast(pl.Float32))
