import numpy as np
import pytest

from trivet.core.errors import Invalid
from trivet.statistics.arrays import binary_labels, cluster_codes, finite_values, same_rows


@pytest.mark.parametrize("wrong", [["a", "b"], [[1.0], [2.0]], [], [1.0, np.nan], [np.inf]])
def test_a_column_that_is_not_finite_numbers_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(Invalid, match="losses") as caught:
        finite_values("losses", wrong)
    assert caught.value.hint


def test_columns_of_different_length_are_named_in_the_error() -> None:
    with pytest.raises(Invalid, match=r"labels has 2.*scores has 3"):
        same_rows(labels=[0, 1], scores=[0.1, 0.2, 0.3])


def test_labels_other_than_zero_and_one_are_refused() -> None:
    with pytest.raises(Invalid, match="other than 0 and 1"):
        binary_labels("labels", [0, 1, 2])


def test_clusters_are_numbered_by_first_appearance() -> None:
    codes, count = cluster_codes(["tue", "mon", "tue", "wed"], 4)
    assert codes.tolist() == [0, 1, 0, 2]
    assert count == 3


def test_a_single_cluster_is_refused_because_it_has_no_variation() -> None:
    with pytest.raises(Invalid) as caught:
        cluster_codes(["mon", "mon"], 2)
    assert caught.value.code == "too-few-clusters"
