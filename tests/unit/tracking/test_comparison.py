from hypothesis import given
from hypothesis import strategies as st

from trivet.tracking.comparison import changes

mappings = st.dictionaries(st.sampled_from("abcde"), st.one_of(st.none(), st.integers(0, 2)))


@given(before=mappings, after=mappings)
def test_a_name_appears_exactly_when_its_value_differs(
    before: dict[str, int | None], after: dict[str, int | None]
) -> None:
    found = changes(before, after)
    for name in before.keys() | after.keys():
        same = name in before and name in after and before[name] == after[name]
        assert (name in found) != same
    assert list(found) == sorted(found)


@given(before=mappings)
def test_nothing_differs_from_itself(before: dict[str, int | None]) -> None:
    assert changes(before, before) == {}
