import numpy as np
import pytest

from trivet.releases.judge import Outcome, RolloutPolicy, judge_canary, judge_shadow
from trivet.statistics.sequential import CountTest, harm_test, update_counts
from trivet.statistics.tally import Tally, paired_tally

POLICY = RolloutPolicy(shadow_windows=3, shadow_pairs=100, canary_windows=3, margin=0.01)


def gains(mean: float, pairs: int, noise: float = 0.1) -> Tally:
    """The champion's loss minus the candidate's on so many pairs."""
    drawn = np.random.default_rng(1).normal(mean, noise, pairs)
    drawn = np.clip(drawn - drawn.mean() + mean, -0.4, 0.4)
    return paired_tally(np.full(pairs, 0.5), 0.5 - drawn, loss_range=1.0)


def harm(canary: int, baseline: int, share: float = 0.25) -> CountTest:
    return update_counts(harm_test(), canary=canary, baseline=baseline, share=share)


@pytest.mark.parametrize(
    ("mean", "pairs", "windows", "outcome"),
    [
        (-0.2, 400, 1, "rollback"),  # harm is no matter of patience
        (0.2, 400, 2, "hold"),  # better, but too short a time
        (0.2, 60, 9, "hold"),  # better, but on too few pairs
        (0.2, 400, 3, "advance"),
        (0.0, 4000, 3, "advance"),  # not worse by more than the margin
        (0.0, 120, 3, "advance"),  # not decided, and no evidence of harm
    ],
)
def test_a_shadow_is_judged_by_its_pairs(
    mean: float, pairs: int, windows: int, outcome: Outcome
) -> None:
    judged = judge_shadow(gains(mean, pairs), windows, POLICY)
    assert judged.outcome == outcome
    (finding,) = judged.findings
    assert finding.rows == pairs
    assert finding.low is not None
    assert finding.high is not None
    assert finding.low <= mean <= finding.high


def test_an_open_question_can_be_made_to_end_in_a_rollback() -> None:
    strict = RolloutPolicy(when_open="rollback")
    assert judge_shadow(gains(0.0, 120), 3, strict).outcome == "rollback"
    assert judge_shadow(gains(0.2, 400), 3, strict).outcome == "advance"


@pytest.mark.parametrize(
    ("canary", "baseline", "requests", "windows", "outcome"),
    [
        (60, 20, 400, 1, "rollback"),
        (10, 30, 400, 2, "hold"),
        (10, 30, 400, 3, "promote"),
        (0, 0, 0, 9, "hold"),  # nobody was answered by it: nothing is known
        (0, 0, 50, 3, "promote"),
    ],
)
def test_a_canary_is_judged_by_its_share_of_the_bad_events(
    canary: int, baseline: int, requests: int, windows: int, outcome: Outcome
) -> None:
    judged = judge_canary(harm(canary, baseline), requests, windows, POLICY)
    assert judged.outcome == outcome
    (finding,) = judged.findings
    assert finding.ok is (outcome != "rollback")
    assert finding.rows == requests


def test_harm_that_was_shown_once_is_not_forgotten() -> None:
    test = harm(60, 20)
    quiet = update_counts(test, canary=0, baseline=200, share=0.25)
    assert judge_canary(quiet, 900, 9, POLICY).outcome == "rollback"


def test_equal_models_are_seldom_rolled_back_however_often_one_looks() -> None:
    drawn = np.random.default_rng(5)
    refused = 0
    for _ in range(200):
        test = harm_test()
        for _ in range(20):
            bad = drawn.poisson(8)
            test = update_counts(
                test,
                canary=int(drawn.binomial(bad, 0.25)),
                baseline=int(bad - drawn.binomial(bad, 0.25)),
                share=0.25,
            )
        refused += judge_canary(test, 1000, 20, POLICY).outcome == "rollback"
    assert refused <= 20  # alpha is 5 %: ten of 200 are expected at most
