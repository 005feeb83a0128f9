"""Arguments in a few words: bounded, never a surprise, and no secret."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.pipelines.explaining.showing import show, show_arguments

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=3)
    ),
)


@given(_PLAIN)
def test_whatever_is_plain_is_shown_in_at_most_200_characters(value: object) -> None:
    assert 0 < len(show(value)) <= 200


@given(st.integers() | st.floats(allow_nan=False) | st.text(max_size=50) | st.booleans())
def test_a_short_value_is_shown_whole(value: object) -> None:
    assert show(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (10**1000, "an int of 3322 bits"),
        ([1, (2, None)], "[1, (2, None)]"),
        ({"b": 1, "a": {2}}, "{'b': 1, 'a': {2}}"),
        ((1,), "(1)"),
        (list(range(1000)), "[" + ", ".join(map(str, range(20))) + ", … 1000 in all]"),
        (Path("a/b.csv"), "a/b.csv"),
        (show, "trivet.pipelines.explaining.showing.show"),
        ([[[[[1]]]]], "[[[[list]]]]"),
    ],
)
def test_values_are_written_as_a_person_would(value: object, said: str) -> None:
    assert show(value) == said


def test_a_frame_is_shown_by_type_and_shape_and_is_not_read() -> None:
    import numpy as np
    import polars as pl

    assert show(pl.DataFrame({"a": [1, 2]})) == "polars.DataFrame (2, 1)"
    assert show(np.zeros((3, 4))) == "numpy.ndarray (3, 4)"


def test_nothing_is_called_on_a_value_of_the_user_s_own_type() -> None:
    class Trap:
        def __repr__(self) -> str:
            raise AssertionError

        def __getattr__(self, name: str) -> Any:
            raise AssertionError

    assert show([Trap()]).endswith("Trap]")


def test_what_is_named_like_a_secret_is_hidden() -> None:
    shown = show_arguments({"api_key": "s3cret", "db_password": "x", "max_tokens": 5, "keys": [1]})
    assert shown == {
        "api_key": "(hidden)",
        "db_password": "(hidden)",
        "max_tokens": "5",
        "keys": "[1]",
    }
