from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from trivet.core.errors import Invalid
from trivet.models.encoding import Encoder
from trivet.models.signatures import fit_signature, infer_task, looks_like_identifier

ROWS = 120


def customers() -> pl.DataFrame:
    random = np.random.default_rng(0)
    begin = datetime(2024, 1, 1)  # noqa: DTZ001  # as a file has them
    return pl.DataFrame(
        {
            "customer_id": range(ROWS),
            "age": random.integers(18, 90, ROWS),
            "income": random.normal(40_000, 9_000, ROWS),
            "shop": random.integers(1, 5, ROWS),
            "city": [("Bern", "Rome", "Oslo")[at % 3] for at in range(ROWS)],
            "member": [None if at % 5 == 0 else at % 2 == 0 for at in range(ROWS)],
            "since": [begin + timedelta(days=at % 30) for at in range(ROWS)],
            "remark": [f"called on day {at}" for at in range(ROWS)],
            "country": ["CH"] * ROWS,
            "blank": [None] * ROWS,
            "tags": [[at % 3] for at in range(ROWS)],
            "gone": [at % 3 == 0 for at in range(ROWS)],
            "churned": [at % 3 == 0 for at in range(ROWS)],
        },
        schema_overrides={"blank": pl.String},
    )


def test_columns_become_inputs_of_the_right_types() -> None:
    found = fit_signature(customers(), "churned", categories=["shop"])
    assert {item.name: item.type for item in found.inputs} == {
        "age": "integer",
        "income": "number",
        "shop": "category",
        "city": "category",
        "member": "boolean",
        "since": "datetime",
    }
    assert (found.task, found.target, found.classes) == ("binary", "churned", ("false", "true"))


def test_each_column_left_out_has_its_reason() -> None:
    reasons = fit_signature(customers(), "churned", drop=["age"]).left_out
    assert "request" in reasons["age"]
    assert "names the rows" in reasons["customer_id"]
    assert "names the rows" in reasons["remark"]
    assert "same value" in reasons["country"]
    assert "no values" in reasons["blank"]
    assert "type List" in reasons["tags"]
    assert "target" in reasons["gone"]


def test_text_with_too_many_values_is_left_out() -> None:
    found = fit_signature(customers(), "churned", max_categories=2)
    assert "3 different values" in found.left_out["city"]


def test_what_was_seen_is_recorded() -> None:
    table = customers()
    items = {item.name: item for item in fit_signature(table, "churned").inputs}
    assert items["city"].categories == ("Bern", "Oslo", "Rome")
    assert (items["member"].missing, items["age"].missing) == ("allow", "reject")
    assert (items["age"].low, items["age"].high) == (table["age"].min(), table["age"].max())


def test_examples_are_a_row_that_the_model_takes() -> None:
    found = fit_signature(customers(), "churned", categories=["shop"])
    row = {item.name: item.example for item in found.inputs}
    assert np.isfinite(Encoder(found).encode_rows([row])).all()


def test_the_training_table_itself_fits_its_signature() -> None:
    table = customers()
    encoder = Encoder(fit_signature(table, "churned"))
    assert encoder.encode_frame(table).shape == (ROWS, len(encoder.features))


@pytest.mark.parametrize(
    ("positive", "classes"), [(False, ("true", "false")), (True, ("false", "true"))]
)
def test_the_positive_value_comes_second(positive: bool, classes: tuple[str, str]) -> None:
    assert fit_signature(customers(), "churned", positive=positive).classes == classes


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([True, False], "binary"),
        (["yes", "no"], "binary"),
        ([0, 1], "binary"),
        (["a", "b", "c"], "multiclass"),
        ([1, 2, 3], "regression"),
        ([0.5, 1.5, 2.5], "regression"),
    ],
)
def test_the_task_is_read_off_the_target(values: list[Any], task: str) -> None:
    assert infer_task(pl.Series(values)) == task


def test_classes_that_are_numbers_stand_in_their_order() -> None:
    table = customers().with_columns(grade=pl.Series([(2, 10, 1)[at % 3] for at in range(ROWS)]))
    assert fit_signature(table, "grade", "multiclass").classes == ("1", "2", "10")


@pytest.mark.parametrize(
    ("target", "task", "code", "words"),
    [
        ("chruned", None, "no-target", "'churned'"),
        ("CHURNED", None, "no-target", "'churned'"),
        ("country", None, "constant-target", "another column"),
        ("city", "binary", "wrong-target", "two different values"),
        ("city", "regression", "wrong-target", "numbers"),
        ("remark", None, "wrong-target", "different values"),
    ],
)
def test_a_target_that_cannot_be_learned_is_explained(
    target: str, task: Any, code: str, words: str
) -> None:
    with pytest.raises(Invalid) as caught:
        fit_signature(customers(), target, task)
    assert caught.value.code == code
    assert words in caught.value.message + caught.value.hint


def test_ten_rows_are_too_few() -> None:
    with pytest.raises(Invalid) as caught:
        fit_signature(customers().head(10), "churned")
    assert caught.value.code == "too-few-rows"
    assert "10 rows" in caught.value.message


def test_rows_without_an_answer_do_not_count() -> None:
    table = customers().with_columns(
        churned=pl.when(pl.int_range(ROWS) < 60).then(pl.col("churned"))
    )
    assert fit_signature(table, "churned").classes == ("false", "true")
    with pytest.raises(Invalid, match="expected at least"):
        fit_signature(table.tail(70), "churned")


def test_a_table_with_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        fit_signature(customers().select("country", "customer_id", "churned"), "churned")
    assert caught.value.code == "no-inputs"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (list(range(100)), True),
        (list(range(1000, 0, -10)), True),
        ([(at * 37) % 101 for at in range(100)], True),
        ([at % 50 for at in range(100)], False),
        ([(at * 618_034) % 1_000_003 for at in range(100)], False),
        ([f"{at:x}" for at in range(100)], True),
        ([at / 3 for at in range(100)], False),
    ],
)
def test_identifiers_are_told_from_amounts(values: list[Any], verdict: bool) -> None:
    assert looks_like_identifier(pl.Series("amount", values)) is verdict


def test_a_column_called_id_is_one() -> None:
    values = [(at * 618_034) % 1_000_003 for at in range(100)]
    assert looks_like_identifier(pl.Series("order_id", values))
