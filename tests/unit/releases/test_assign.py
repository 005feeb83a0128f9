from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import NotFound
from trivet.releases.assign import BUCKETS, Assigner, bucket
from trivet.releases.facts import ReleasePlan, Stage, Variant

shares = st.integers(1, BUCKETS - 1).map(lambda buckets: buckets / BUCKETS)
units = st.text(max_size=20)
salts = st.text(st.sampled_from("0123456789abcdef"), min_size=1, max_size=16)


def variant(name: str, share: float, role: str = "live") -> Variant:
    number = 1 if name == "champion" else 2
    return Variant(
        name=name,  # pyright: ignore[reportArgumentType]  # as tables of tests say it
        role=role,  # pyright: ignore[reportArgumentType]  # the same
        model=f"{number:032x}",
        version=number,
        package=f"b3:{number:064x}",
        share=share,
    )


def plan(*variants: Variant, stage: Stage = "canary", salt: str = "salt") -> ReleasePlan:
    return ReleasePlan(
        endpoint="delay", generation=1, stage=stage, variants=variants, salt=salt, why="a test"
    )


def canary(share: float, salt: str = "salt") -> Assigner:
    return Assigner(plan(variant("champion", 1 - share), variant("candidate", share), salt=salt))


@given(share=shares, salt=salts)
def test_the_candidate_owns_exactly_its_share_of_the_buckets(share: float, salt: str) -> None:
    assigner = canary(share, salt)
    owned = sum(position < assigner._edge for position in range(BUCKETS))
    assert owned == round(share * BUCKETS)


def test_units_fall_into_buckets_evenly() -> None:
    counts = Counter(bucket(b"salt", f"unit-{n}") // 1000 for n in range(20_000))
    # Ten tenths of 2,000 each; six standard deviations are 255.
    assert all(abs(count - 2000) < 255 for count in counts.values())
    assert len(counts) == 10


@given(share=shares, unit=units, salt=salts)
def test_a_unit_always_meets_the_same_variant(share: float, unit: str, salt: str) -> None:
    first = canary(share, salt).choose(unit)
    assert first.how == "sticky"
    assert canary(share, salt).choose(unit) == first


@given(first=shares, second=shares, unit=units, salt=salts)
def test_a_growing_share_only_adds_units(first: float, second: float, unit: str, salt: str) -> None:
    small, large = sorted((first, second))
    if canary(small, salt).choose(unit).variant.name == "candidate":
        assert canary(large, salt).choose(unit).variant.name == "candidate"


def test_another_salt_deals_the_units_anew() -> None:
    names = [f"unit-{n}" for n in range(2000)]
    one, other = canary(0.5, "one"), canary(0.5, "other")
    same = sum(one.choose(n).variant.name == other.choose(n).variant.name for n in names)
    assert 800 < same < 1200


@given(share=shares, unit=units)
def test_the_recorded_probability_is_that_of_the_variant_that_answers(
    share: float, unit: str
) -> None:
    chosen = canary(share).choose(unit)
    assert chosen.share == pytest.approx(chosen.variant.share, abs=0.5 / BUCKETS)


def test_a_request_without_a_unit_is_assigned_at_random_in_proportion() -> None:
    assigner = canary(0.25)
    chosen = [assigner.choose(None) for _ in range(4000)]
    assert {item.how for item in chosen} == {"random"}
    candidate = sum(item.variant.name == "candidate" for item in chosen)
    assert abs(candidate - 1000) < 165  # six standard deviations


@pytest.mark.parametrize("unit", [None, "a"])
def test_a_full_release_always_answers_by_the_champion(unit: str | None) -> None:
    chosen = Assigner(plan(variant("champion", 1.0), stage="full")).choose(unit)
    assert (chosen.variant.name, chosen.share) == ("champion", 1.0)


def test_a_shadow_never_answers_anybody() -> None:
    assigner = Assigner(
        plan(variant("champion", 1.0), variant("candidate", 0.0, "shadow"), stage="shadow")
    )
    assert assigner.shadow is not None
    assert {assigner.choose(f"u{n}").variant.name for n in range(500)} == {"champion"}
    with pytest.raises(NotFound, match="no live variant is named 'candidate'"):
        assigner.name("candidate")


def test_a_variant_can_be_asked_for_by_name() -> None:
    chosen = canary(0.1).name("candidate")
    assert (chosen.variant.name, chosen.how, chosen.share) == ("candidate", "explicit", 0.1)


def test_a_plan_without_a_champion_is_no_plan() -> None:
    with pytest.raises(NotFound, match="has no champion"):
        Assigner(plan(variant("candidate", 1.0)))
