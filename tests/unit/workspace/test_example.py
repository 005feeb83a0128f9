from typing import Any

import pytest

from trivet.models.facts import Input, Signature
from trivet.models.rows import RowEncoder
from trivet.workspace.example import example_of, example_row
from trivet.workspace.workspace import Workspace


def signature(*inputs: Input) -> Signature:
    return Signature(inputs=inputs, task="binary", target="y", classes=("0", "1"))


@pytest.mark.parametrize(
    ("item", "value"),
    [
        (Input(name="a", type="integer", example=41), 41),
        (Input(name="a", type="number"), None),  # missing is allowed
        (Input(name="a", type="number", missing="reject", low=1.5), 1.5),
        (Input(name="a", type="integer", missing="reject", low=3.0), 3),
        (Input(name="a", type="boolean", missing="reject"), False),
        (Input(name="a", type="category", missing="reject", categories=("x", "y")), "x"),
        (Input(name="a", type="datetime", missing="reject"), "2024-01-01T00:00:00"),
    ],
)
def test_an_example_is_a_row_that_the_model_takes(item: Input, value: Any) -> None:
    contract = signature(item)
    row = example_row(contract)
    assert row == {"a": value}
    assert RowEncoder(contract).encode_rows([row]).shape[0] == 1


def test_before_the_first_release_there_is_no_example(workspace: Workspace) -> None:
    assert example_of(workspace) is None
