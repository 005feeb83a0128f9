"""Judging a rollout under way: pure decisions that stay right however often they are asked.

Shadow: the two models answered the same requests, so the losses are compared pair by pair.
Canary: wrong answers are counted on both sides of a split whose shares are known. Both tests are
anytime-valid (see `trivet.statistics.sequential`), so looking every day costs nothing.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trivet.core.gates import Finding
from trivet.statistics.sequential import CountTest, confidence_sequence, judge_pairs
from trivet.statistics.tally import Tally

Outcome = Literal["advance", "promote", "rollback", "hold"]


class RolloutPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a candidate goes live.

    `margin` is the rise of mean loss (shadow) that would not matter; `alpha` the chance of turning
    away, in shadow and in canary each, a candidate that is no worse. `when_open` says what happens
    when the windows are used up and the test has not decided.
    """

    shadow_windows: Annotated[int, Meta(ge=1)] = 3
    shadow_pairs: Annotated[int, Meta(ge=1)] = 100
    canary_share: Annotated[float, Meta(gt=0, lt=1)] = 0.25
    canary_windows: Annotated[int, Meta(ge=1)] = 3
    margin: Annotated[float, Meta(ge=0, lt=1)] = 0.01
    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    when_open: Literal["advance", "rollback"] = "advance"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome and the findings that led to it."""

    outcome: Outcome
    findings: tuple[Finding, ...]


def judge_shadow(gains: Tally, windows: int, policy: RolloutPolicy) -> Judgement:
    """Judge a shadow by its paired gains (champion's loss minus candidate's, per request).

    Args:
        gains: Labelled pairs so far.
        windows: Closed windows of the shadow.
        policy: When to decide, and by which margin.
    """
    answer = judge_pairs(gains, margin=policy.margin, alpha=policy.alpha)
    bounds = confidence_sequence(gains, level=1 - policy.alpha)
    finding = Finding(
        check="shadow-pairs",
        ok={"better": True, "not_worse": True, "worse": False, "open": None}[answer],
        summary=f"on {gains.n:.0f} labelled pairs the candidate's loss is lower by "
        f"{bounds.estimate:+.4f} ({bounds.low:+.4f} to {bounds.high:+.4f}): {_WORDS[answer]}",
        value=bounds.estimate,
        low=bounds.low,
        high=bounds.high,
        threshold=-policy.margin,
        rows=int(gains.n),
    )
    if answer == "worse":
        return Judgement(outcome="rollback", findings=(finding,))
    if windows < policy.shadow_windows or gains.n < policy.shadow_pairs:
        return Judgement(outcome="hold", findings=(finding,))
    if answer == "open" and policy.when_open == "rollback":
        return Judgement(outcome="rollback", findings=(finding,))
    return Judgement(outcome="advance", findings=(finding,))


_WORDS = {
    "better": "better",
    "not_worse": "not worse by more than the margin",
    "worse": "worse",
    "open": "not decided, and no evidence of harm",
}


def judge_canary(harm: CountTest, requests: int, windows: int, policy: RolloutPolicy) -> Judgement:
    """Judge a canary by its bad events against the champion's under the declared split.

    Args:
        harm: The count test over all labelled requests of the split.
        requests: Requests the canary answered.
        windows: Closed windows of the canary.
        policy: When to decide.
    """
    rejected = harm.is_rejected(policy.alpha)
    finding = Finding(
        check="canary-harm",
        ok=not rejected,
        summary=f"bad events: {harm.canary} on the canary, {harm.baseline} beside it; "
        f"always-valid p = {harm.p_value:.3g}"
        + (": worse than the champion" if rejected else ": no evidence of harm"),
        value=harm.p_value,
        threshold=policy.alpha,
        rows=requests,
    )
    if rejected:
        return Judgement(outcome="rollback", findings=(finding,))
    if windows < policy.canary_windows or requests == 0:
        return Judgement(outcome="hold", findings=(finding,))
    return Judgement(outcome="promote", findings=(finding,))
