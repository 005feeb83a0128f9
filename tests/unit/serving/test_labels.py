import math

import pytest

from trivet.core.errors import Invalid
from trivet.models.facts import Input, Signature, Task
from trivet.serving.service import label_value


def signature(task: Task, *classes: str) -> Signature:
    item = Input(name="x", type="number")
    return Signature(inputs=(item,), task=task, target="y", classes=classes)


@pytest.mark.parametrize(
    ("contract", "value", "number"),
    [
        (signature("binary", "0", "1"), 1, 1.0),
        (signature("binary", "0", "1"), "1", 1.0),
        (signature("binary", "false", "true"), True, 1.0),
        (signature("binary", "stays", "leaves"), "leaves", 1.0),
        (signature("binary", "stays", "leaves"), 0, 0.0),
        (signature("binary", "stays", "leaves"), True, 1.0),
        # A class called 5 is the class called 5, and not the sixth one.
        (signature("multiclass", "3", "4", "5", "6", "7", "8"), 5, 2.0),
        (signature("multiclass", "3", "4", "5", "6", "7", "8"), 5.0, 2.0),
        (signature("multiclass", "3", "4", "5", "6", "7", "8"), "5", 2.0),
        (signature("multiclass", "low", "mid", "high"), 2, 2.0),
        (signature("regression"), 12.5, 12.5),
        (signature("regression"), "12.5", 12.5),
    ],
)
def test_a_true_value_is_read_as_its_sender_means_it(
    contract: Signature, value: float | str, number: float
) -> None:
    assert label_value(contract, value) == number


@pytest.mark.parametrize(
    ("contract", "value"),
    [
        (signature("binary", "stays", "leaves"), "goes"),
        (signature("binary", "stays", "leaves"), 2),
        (signature("binary", "0", "1"), 0.5),
        (signature("multiclass", "low", "mid", "high"), -1),
        (signature("multiclass", "low", "mid", "high"), "2"),
        (signature("regression"), math.nan),
        (signature("regression"), math.inf),
        (signature("regression"), "much"),
    ],
)
def test_a_value_that_cannot_be_true_is_refused(contract: Signature, value: float | str) -> None:
    with pytest.raises(Invalid, match="the value of a label") as caught:
        label_value(contract, value)
    assert caught.value.hint
