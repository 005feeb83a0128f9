"""Names are valid where they are used, and two different tables never share one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.core.ids import NAME_PATTERN, check_name
from trivet.data.naming import check_dataset_name, name_from_file, stored_name, suggest

part = st.from_regex(NAME_PATTERN, fullmatch=True)


@given(st.tuples(part, part, part), st.tuples(part, part, part))
def test_stored_names_are_valid_and_unique(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert check_name(stored_name(*one))
    assert (stored_name(*one) == stored_name(*other)) == (one == other)


def test_dots_do_not_make_two_tables_one() -> None:
    assert stored_name("a", "b", "c") == "a.b.c"
    assert len({stored_name("a.b", "c", "d"), stored_name("a", "b.c", "d")}) == 2


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("My Data (2).csv", "my-data-2"),
        ("flights.csv.parquet", "flights-csv"),
        ("Größe.csv", "gr-e"),
    ],
)
def test_a_file_name_becomes_a_name(file: str, name: str) -> None:
    assert name_from_file(Path(file)) == name


@pytest.mark.parametrize("file", ["数据.csv", "---.csv", "0123456789abcdef0123456789abcdef.csv"])
def test_a_file_name_that_gives_none_is_refused(file: str) -> None:
    with pytest.raises(Invalid) as caught:
        name_from_file(Path(file))
    assert "dataset=" in caught.value.hint


def test_a_data_set_cannot_be_named_like_an_identifier() -> None:
    with pytest.raises(Invalid):
        check_dataset_name("0123456789abcdef0123456789abcdef")


def test_suggestions_are_near_or_complete() -> None:
    assert suggest("churn", ["tenure", "Churned"]) == "Did you mean 'Churned'?"
    assert suggest("zzz", ["a", "b"]) == "There are: 'a', 'b'."
    assert suggest("zzz", []) == "There are none yet."
    assert "3 more" in suggest("zzz", [f"column-{place}" for place in range(15)])
