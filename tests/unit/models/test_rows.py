import math
from datetime import UTC, date, datetime

import numpy as np
import pytest

from trivet.core.errors import Invalid
from trivet.models.facts import Input, Signature
from trivet.models.rows import RowEncoder

NUMBER = Input(name="weight", type="number")
WHOLE = Input(name="parcels", type="integer")
FLAG = Input(name="express", type="boolean")
DEPOT = Input(name="depot", type="category", categories=("east", "west", "7"))
SENT = Input(name="sent", type="datetime")


def encoder(*inputs: Input) -> RowEncoder:
    return RowEncoder(Signature(inputs=inputs, task="regression", target="hours"))


def one(item: Input, value: object) -> list[float]:
    return encoder(item).encode_rows([{item.name: value}])[0].tolist()


def refusal(item: Input, value: object) -> Invalid:
    with pytest.raises(Invalid) as caught:
        one(item, value)
    return caught.value


@pytest.mark.parametrize(
    ("item", "value", "expected"),
    [
        (NUMBER, 1.5, [1.5]),
        (NUMBER, 3, [3.0]),
        (NUMBER, np.float64(2.5), [2.5]),
        (NUMBER, np.int32(4), [4.0]),
        (WHOLE, 4, [4.0]),
        (WHOLE, 4.0, [4.0]),
        (FLAG, True, [1.0]),
        (FLAG, False, [0.0]),
        (FLAG, np.bool_(1), [1.0]),
        (DEPOT, "west", [1.0]),
        (DEPOT, "7", [2.0]),
        (DEPOT, 7, [2.0]),
        (DEPOT, np.str_("east"), [0.0]),
        (SENT, "1970-01-02", [1.0, 1.0, 5.0, 0.0]),
        (SENT, "1969-12-31T23:59:59", [-1.0, 12.0, 3.0, 1439.0]),
        (SENT, "2013-07-01T18:30:00+02:00", [15887.0, 7.0, 1.0, 990.0]),
        (SENT, datetime(2013, 7, 1, 16, 30, tzinfo=UTC), [15887.0, 7.0, 1.0, 990.0]),
        (SENT, date(2013, 7, 1), [15887.0, 7.0, 1.0, 0.0]),
    ],
)
def test_values_become_features(item: Input, value: object, expected: list[float]) -> None:
    assert one(item, value) == expected


@pytest.mark.parametrize("item", [NUMBER, WHOLE, FLAG, DEPOT, SENT])
@pytest.mark.parametrize("nothing", [None, math.nan])
def test_a_missing_value_is_nan_throughout(item: Input, nothing: object) -> None:
    assert all(math.isnan(value) for value in one(item, nothing))


@pytest.mark.parametrize("item", [NUMBER, WHOLE, FLAG, DEPOT, SENT])
def test_a_missing_value_is_refused_where_training_had_none(item: Input) -> None:
    strict = Input(name=item.name, type=item.type, categories=item.categories, missing="reject")
    error = refusal(strict, None)
    assert error.code == "missing-value"
    assert error.detail["field"] == item.name


@pytest.mark.parametrize(
    ("item", "value", "word"),
    [
        (NUMBER, "1.5", "str"),
        (NUMBER, True, "bool"),
        (NUMBER, [1.0], "list"),
        (WHOLE, 1.5, "fraction"),
        (WHOLE, "1", "str"),
        (WHOLE, False, "bool"),
        (FLAG, 1, "int"),
        (FLAG, "true", "str"),
        (DEPOT, 1.0, "float"),
        (DEPOT, True, "bool"),
        (DEPOT, {}, "dict"),
        (SENT, 1372696200, "int"),
        (SENT, "yesterday", "no date"),
    ],
)
def test_a_wrong_type_is_refused_by_field_type_and_example(
    item: Input, value: object, word: str
) -> None:
    error = refusal(item, value)
    assert error.code == "wrong-type"
    assert item.name in error.message
    assert word in error.message
    assert "expected" in error.message
    assert error.hint.startswith("Send it like")
    assert error.detail["field"] == item.name


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e39, 10**400, -(10**39)])
@pytest.mark.parametrize("item", [NUMBER, WHOLE])
def test_a_number_beyond_single_precision_is_refused(item: Input, value: float) -> None:
    assert refusal(item, value).code == "out-of-range"


def test_the_greatest_single_precision_number_is_taken() -> None:
    greatest = float(np.finfo(np.float32).max)
    assert one(NUMBER, greatest) == [greatest]


def test_a_date_that_leaves_the_calendar_in_utc_is_refused() -> None:
    assert refusal(SENT, "0001-01-01T00:00:00+14:00").code == "wrong-type"


def test_an_unknown_category_is_refused_with_the_nearest_known_one() -> None:
    error = refusal(DEPOT, "wst")
    assert error.code == "unknown-category"
    assert "'west'" in error.hint
    assert "wst" not in error.message


def test_an_unknown_category_is_missing_and_named_where_the_signature_says_so() -> None:
    lenient = Input(name="depot", type="category", categories=("east",), unknown="missing")
    rows = encoder(NUMBER, lenient)
    assert math.isnan(rows.encode_rows([[1.0, "south"]])[0, 1])
    assert rows.unknown_in([1.0, "south"]) == ("depot",)
    assert rows.unknown_in([1.0, "east"]) == ()
    assert rows.unknown_in([1.0, None]) == ()


def test_an_absent_field_is_not_a_missing_value() -> None:
    with pytest.raises(Invalid) as caught:
        encoder(NUMBER, DEPOT).encode_rows([{"weight": 1.0}])
    assert caught.value.code == "absent-field"
    assert "null" in caught.value.hint


def test_a_misspelt_field_is_told_its_name() -> None:
    with pytest.raises(Invalid) as caught:
        encoder(NUMBER, DEPOT).encode_rows([{"wieght": 1.0, "depot": "east"}])
    assert caught.value.detail["field"] == "weight"
    assert "'wieght'" in caught.value.hint


def test_a_field_too_many_is_refused_with_the_nearest_input() -> None:
    with pytest.raises(Invalid) as caught:
        encoder(NUMBER, DEPOT).encode_rows([{"weight": 1.0, "depot": "east", "weigth": 2.0}])
    assert caught.value.code == "unknown-field"
    assert "'weight'" in caught.value.hint


@pytest.mark.parametrize("row", [[1.0], [1.0, "east", 3], "ab", b"ab"])
def test_a_row_of_another_length_is_refused(row: list[object]) -> None:
    with pytest.raises(Invalid) as caught:
        encoder(NUMBER, DEPOT).encode_rows([row])
    assert caught.value.code == "wrong-row"


def test_the_row_with_the_mistake_is_named() -> None:
    rows = [{"weight": 1.0}, {"weight": 2.0}, {"weight": "x"}]
    with pytest.raises(Invalid) as caught:
        encoder(NUMBER).encode_rows(rows)
    assert caught.value.detail["row"] == 2
    assert caught.value.message.startswith("row 2:")


def test_rows_by_name_and_by_position_are_the_same() -> None:
    rows = encoder(NUMBER, DEPOT, SENT)
    named = {"sent": "2024-01-01", "depot": "west", "weight": 1.25}
    values = rows.arrange(named)
    assert tuple(values) == (1.25, "west", "2024-01-01")
    assert rows.encode_rows([values]).tobytes() == rows.encode_rows([named]).tobytes()


def test_features_are_named_and_categories_are_known_by_position() -> None:
    rows = encoder(SENT, NUMBER, DEPOT)
    assert rows.features[:4] == ("sent.days", "sent.month", "sent.weekday", "sent.minute")
    assert rows.features[4:] == ("weight", "depot")
    assert rows.categorical == (5,)


@pytest.mark.parametrize("inputs", [(), (NUMBER, NUMBER)])
def test_a_signature_without_inputs_or_with_twins_is_refused(inputs: tuple[Input, ...]) -> None:
    with pytest.raises(Invalid) as caught:
        encoder(*inputs)
    assert caught.value.code == "bad-signature"
