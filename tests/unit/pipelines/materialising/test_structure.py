"""Whatever is plain comes back equal and of the same type, to any depth."""

import contextlib
import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Corrupt
from trivet.pipelines.materialising.structure import NoForm, put_together, take_apart

atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.complex_numbers(allow_nan=False),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(), inner, max_size=4),
        st.dictionaries(atoms, inner, max_size=4),
        st.frozensets(atoms, max_size=4),
        st.sets(atoms, max_size=4),
    ),
    max_leaves=20,
)


def no_leaf(value: object) -> None:
    return None


def back(text: str) -> object:
    return put_together(text, lambda name: pytest.fail("there is no leaf"))


def same(one: Any, two: Any) -> bool:
    """Equal, of equal types, in equal order."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return same(list(one.items()), list(two.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, two) and one == two
    return one == two  # type: ignore[no-any-return]


@given(value=values)
def test_every_plain_value_comes_back_as_it_was(value: object) -> None:
    assert same(back(take_apart(value, no_leaf)), value)


@given(value=values)
def test_what_came_back_is_written_in_the_same_words(value: object) -> None:
    text = take_apart(value, no_leaf)
    assert take_apart(back(text), no_leaf) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_know_come_back(value: float) -> None:
    assert repr(back(take_apart([value], no_leaf))) == repr([value])


def test_values_that_look_alike_are_told_apart() -> None:
    alike: list[object] = [1, 1.0, True, "1", [1], (1,), {1}, frozenset({1}), {"1": 1}, {1: 1}]
    alike += [Decimal(1), UUID(int=1), b"1"[0:0].decode(), None, 1 + 0j]
    texts = [take_apart(value, no_leaf) for value in alike]
    assert len(set(texts)) == len(alike)


def test_leaves_are_taken_out_and_put_back() -> None:
    class Model: ...

    model, taken = Model(), []

    def take(value: object) -> object | None:
        if not isinstance(value, Model):
            return None
        taken.append(value)
        return len(taken)

    text = take_apart({"models": [model, (model, 1)]}, take)
    assert json.loads(text) == {"models": [{"$part": 1}, {"$tuple": [{"$part": 2}, 1]}]}
    assert put_together(text, lambda name: ("leaf", name)) == {
        "models": [("leaf", 1), (("leaf", 2), 1)]
    }


class Length(int): ...


@pytest.mark.parametrize(
    "value",
    [
        object(),
        [object()],
        {"a": (object(),)},
        {object(): 1},
        Length(3),
        lambda: 1,
        b"bytes",
    ],
)
def test_what_has_no_form_is_named(value: object) -> None:
    with pytest.raises(NoForm) as refused:
        take_apart(value, no_leaf)
    assert refused.value.value is not None


def test_a_value_that_holds_itself_has_no_form() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(NoForm):
        take_apart(circle, no_leaf)


zone = dt.timezone(dt.timedelta(hours=1), "CET")
halves = "\ud83d" + "\ude00"


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2020, 10, 25, 2, 30, fold=1),  # noqa: DTZ001  # naive on purpose
        dt.datetime(2020, 1, 1, tzinfo=zone),
        dt.datetime(2020, 1, 1, tzinfo=dt.UTC, fold=1),
        dt.time(2, 30, fold=1),
        dt.time(2, 30, tzinfo=zone),
        halves,
        {halves: [halves, "\ud800", "\U0001f600"]},
    ],
    ids=repr,
)
def test_what_texts_leave_out_comes_back(value: Any) -> None:
    assert repr(back(take_apart(value, no_leaf))) == repr(value)


def test_a_character_and_its_two_halves_are_told_apart() -> None:
    assert take_apart(halves, no_leaf) != take_apart("\U0001f600", no_leaf)


tags = st.sampled_from(["$tuple", "$x", "$dict", "$date", "$timedelta", "$part", "a"])
said = st.one_of(st.none(), st.text(), st.lists(st.integers()))


@given(text=st.one_of(st.text(), st.dictionaries(tags, said, max_size=2).map(json.dumps)))
def test_damaged_text_is_damaged_and_nothing_else(text: str) -> None:
    with contextlib.suppress(Corrupt):
        put_together(text, lambda name: name)
