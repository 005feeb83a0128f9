import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.cli.output import fields, is_colourful, size, table, to_json, write_page
from trivet.core.errors import Invalid, NotFound, Unavailable


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


def test_what_acts_on_a_terminal_is_shown_and_not_done() -> None:
    name = "run\x1b[2J\nof\u202eada"
    assert table(["name"], [[name]]).splitlines()[-1] == "run\ufffd[2J of\ufffdada"
    assert fields([("name", name), ("n", 1)]) == "name  run\ufffd[2J\n      of\ufffdada\nn     1"


def test_a_page_is_written_where_it_was_wanted(tmp_path: Path) -> None:
    page, link = tmp_path / "page.html", tmp_path / "link"
    link.symlink_to(page)
    write_page(str(link), "<p>训练")
    assert page.read_text(encoding="utf-8") == "<p>训练"
    assert link.is_symlink()  # as /dev/stdout is one
    with pytest.raises(Invalid, match="is a folder"):
        write_page(str(tmp_path), "")
    with pytest.raises(NotFound, match=r"there is no folder .*nowhere for page.html"):
        write_page(str(tmp_path / "nowhere" / "page.html"), "")
    with pytest.raises(Unavailable, match="/dev/full cannot be written: No space left"):
        write_page("/dev/full", "text")
