"""What strangers wrote is kept in a form that can be kept, and never mixed up."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from trivet.tracking.importing.cleaning import (
    Remarks,
    clean_columns,
    clean_keys,
    clean_texts,
    is_bucket,
    model_id,
    run_id,
)
from trivet.tracking.reporting.experiments import check_key

KEYS = st.text(min_size=1, max_size=20) | st.text("ab/_.()", min_size=1, max_size=5)


@given(st.sets(KEYS, max_size=20))
def test_keys_can_be_kept_and_stay_different(keys: set[str]) -> None:
    found = clean_keys(keys, "metric", Remarks())
    assert len(set(found.values())) == len(keys)
    for key in found.values():
        check_key(key, "metric")


@given(st.sets(KEYS, max_size=20))
def test_what_keys_become_does_not_depend_on_their_order(keys: set[str]) -> None:
    assert clean_keys(sorted(keys), "tag", Remarks()) == clean_keys(
        sorted(keys, reverse=True), "tag", Remarks()
    )


@given(st.dictionaries(st.from_regex(r"[a-z][a-z_.]{0,10}[a-z]", fullmatch=True), st.text()))
def test_what_can_be_kept_stays_as_it_is(values: dict[str, str]) -> None:
    remarks = Remarks()
    found = clean_texts(values, "tag", remarks)
    plain = {k: v.encode("utf-8", "replace").decode() for k, v in values.items()}
    assert found == plain
    assert remarks.texts() == ()


def test_times_before_1970_are_lifted_to_it() -> None:
    steps, times, is_odd = clean_columns(array("q", [-(2**63), 1]), array("q", [-5, 7]))
    assert (list(steps), list(times), is_odd) == ([-(2**63) + 1, 1], [0, 7], True)


def test_identifiers_of_our_form_stay_and_others_become_one() -> None:
    own = "0123456789abcdef0123456789abcdef"
    assert run_id(own) == own
    assert model_id(f"m-{own}") == f"m-{own}"
    assert run_id(own.upper()) == run_id(own.upper()) != own
    assert model_id("m-short").startswith("m-")
    assert len(model_id("m-short")) == 34


def test_only_storages_that_clients_reach_by_themselves_are_handed_on() -> None:
    assert is_bucket("s3://bucket/path")
    assert is_bucket("wasbs://container@account.example/path")
    for other in ("/etc", "file:///etc", "mlflow-artifacts:/1", "http://10.0.0.1/x", "", "C:\\x"):
        assert not is_bucket(other)
