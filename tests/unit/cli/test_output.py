import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.cli.output import fields, is_colourful, size, table, to_json


def test_a_table_has_headings_a_rule_and_numbers_on_the_right() -> None:
    rows = [("left", 7), ("right-hand", 123)]
    assert table(("name", "rows"), rows).splitlines() == [
        "name        rows",
        "----------  ----",
        "left           7",
        "right-hand   123",
    ]


def test_a_table_without_rows_says_so() -> None:
    assert table(("name",), [], empty="no models yet") == "no models yet"


def test_what_is_not_known_is_a_dash_and_times_are_short() -> None:
    noon = datetime(2013, 3, 1, 12, 30, tzinfo=UTC)
    assert fields([("when", noon), ("who", None)]) == "when  2013-03-01 12:30:00\nwho   -"


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="ascii", categories=["L", "N"])), st.integers()),
        max_size=8,
    )
)
def test_no_line_ends_in_blanks_and_all_columns_stand_below_each_other(
    rows: list[tuple[str, int]],
) -> None:
    lines = table(("a", "b"), rows).splitlines()
    assert all(line == line.rstrip() for line in lines)
    if rows:
        assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes_are_written_for_people(count: int, text: str) -> None:
    assert size(count) == text


def test_json_takes_structs_and_times() -> None:
    class Thing(msgspec.Struct):
        name: str
        when: datetime

    thing = Thing(name="x", when=datetime(2013, 3, 1, tzinfo=UTC))
    assert json.loads(to_json([thing])) == [{"name": "x", "when": "2013-03-01T00:00:00Z"}]


def test_there_are_no_colours_where_nobody_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_colourful()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "")
    assert not is_colourful()
