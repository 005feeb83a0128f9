from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.models.facts import Input, Signature
from trivet.monitoring.collecting import Seen
from trivet.monitoring.rollouts import Rollout, add_canary_window, add_shadow_window, begin
from trivet.serving.facts import Prediction
from trivet.serving.records import output_bytes

SIGNATURE = Signature(
    inputs=(Input(name="x", type="number"),), task="binary", target="y", classes=("0", "1")
)


def row(probability: float, truth: float | None, variant: str = "champion") -> Seen:
    fields: dict[str, Any] = dict.fromkeys(("id", "endpoint", "release", "package"), "a")
    return Seen(
        Prediction(
            time_us=0,
            variant=variant,
            role="live",
            assignment="random",
            share=0.5,
            unit=None,
            event_us=None,
            inputs=(),
            output=output_bytes((probability,)),
            micros=1,
            **fields,
        ),
        truth,
    )


def shadow_window(rollout: Rollout, pairs: list[tuple[float, float, float]]) -> Rollout:
    both = [(row(one, truth), row(two, truth)) for one, two, truth in pairs]
    return add_shadow_window(rollout, both, SIGNATURE, 1.0)


def canary_window(rollout: Rollout, rows: list[Seen], share: float = 0.5) -> Rollout:
    return add_canary_window(rollout, rows, share, SIGNATURE, 1.0)


def test_pairs_are_counted_as_what_the_candidate_gains() -> None:
    # The champion says 0.5, the candidate is right: a Brier loss of 0.25 is saved each time.
    found = shadow_window(begin("r1"), [(0.5, 1.0, 1.0), (0.5, 0.0, 0.0)])
    assert (found.windows, found.gains.n) == (1, 2.0)
    assert found.gains.mean == pytest.approx(0.25, abs=1e-6)


def test_a_window_without_pairs_passes_all_the_same() -> None:
    found = shadow_window(begin("r1"), [])
    assert (found.windows, found.gains.n) == (1, 0.0)


pairs = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.0, 1.0])), max_size=12
)


@given(pairs, pairs)
def test_windows_add_up_in_any_order(
    one: list[tuple[float, float, float]], two: list[tuple[float, float, float]]
) -> None:
    forward = shadow_window(shadow_window(begin("r1"), one), two)
    backward = shadow_window(shadow_window(begin("r1"), two), one)
    assert forward == backward


def test_bad_answers_are_counted_on_both_sides_of_the_split() -> None:
    rows = [
        row(0.9, 0.0, "candidate"),  # wrong
        row(0.9, 1.0, "candidate"),
        row(0.2, 0.0),
        row(0.2, 1.0),  # wrong
        row(0.3, 1.0),  # wrong
        row(0.9, None, "candidate"),  # nobody knows
    ]
    found = canary_window(begin("r1"), rows)
    assert (found.harm.canary, found.harm.baseline) == (1, 2)
    assert found.canary_requests == 2
    assert found.windows == 1


def test_harm_shows_and_equality_does_not() -> None:
    random = np.random.default_rng(2)

    def rows(error: float) -> list[Seen]:
        found: list[Seen] = []
        for variant, rate in (("candidate", error), ("champion", 0.1)):
            wrong = random.random(300) < rate
            found += [row(0.9, 0.0 if bad else 1.0, variant) for bad in wrong]
        return found

    assert canary_window(begin("r1"), rows(0.4)).harm.is_rejected(0.05)
    assert not canary_window(begin("r1"), rows(0.1)).harm.is_rejected(0.05)


def test_evidence_survives_being_written_down() -> None:
    found = canary_window(shadow_window(begin("r1"), [(0.5, 0.7, 1.0)]), [row(0.9, 0.0)])
    assert msgspec.json.decode(msgspec.json.encode(found), type=Rollout) == found
