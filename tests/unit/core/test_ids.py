import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.core.ids import check_id, check_name, new_id, sha256_hex, time_of


def test_identifiers_rise_and_never_repeat_in_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: [new_id() for _ in range(2000)], range(8)))
    everything = [identifier for part in made for identifier in part]
    assert len(set(everything)) == len(everything)
    assert all(part == sorted(part) for part in made)


def test_an_identifier_knows_when_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    made = time_of(new_id())
    assert before - 1 <= made <= time.time_ns() // 1_000_000 + 2


def test_an_identifier_is_a_uuid_of_version_7() -> None:
    identifier = new_id()
    assert identifier[12] == "7"
    assert identifier[16] in "89ab"


@pytest.mark.parametrize("value", ["", "x" * 32, "A" * 32, 7, None, "0" * 31, "0" * 33])
def test_what_is_no_identifier_is_refused_with_its_type(value: object) -> None:
    with pytest.raises(Invalid, match=type(value).__name__):
        check_id(value)


@pytest.mark.parametrize("value", ["", ".a", "a.", "A", "a/b", "..", "a b", "ä", "x" * 65, 3])
def test_names_that_could_be_anything_else_are_refused(value: object) -> None:
    with pytest.raises(Invalid):
        check_name(value)


@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_lists_of_parts_hash_alike_only_when_they_are_alike(
    one: list[bytes], other: list[bytes]
) -> None:
    assert (sha256_hex(*one) == sha256_hex(*other)) == (one == other)
