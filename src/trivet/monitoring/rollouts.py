"""Evidence about a rollout under way, from rows whose truth is known. Numeric: imports NumPy."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from trivet.models.facts import Signature
from trivet.monitoring.collecting import Seen
from trivet.monitoring.losses import compared_losses, labelled
from trivet.statistics.sequential import CountTest, harm_test, update_counts
from trivet.statistics.tally import Tally, empty_tally, merge_tallies, paired_tally

BAD = 0.25
"""A loss above this is a bad event: for probabilities, an answer on the wrong side of one half."""


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """What is known so far about a candidate under way."""

    release: str
    windows: int = 0
    gains: Tally
    harm: CountTest
    canary_requests: int = 0


def begin(release: str) -> Rollout:
    """Begin to gather evidence about a release."""
    return Rollout(release=release, gains=empty_tally(low=-1.0, high=1.0), harm=harm_test())


def add_shadow_window(
    rollout: Rollout, pairs: Iterable[tuple[Seen, Seen]], signature: Signature, scale: float
) -> Rollout:
    """Add a closed window's labelled pairs (champion's answer, shadow's answer)."""
    both = list(pairs)
    gains = rollout.gains
    if both:
        truth, champion = labelled([live for live, _ in both])
        _, candidate = labelled([doubled for _, doubled in both])
        fresh = paired_tally(
            compared_losses(signature, truth, champion, scale),
            compared_losses(signature, truth, candidate, scale),
            loss_range=1.0,
            cells=len(gains.mass) - 1,
        )
        gains = merge_tallies(gains, fresh)
    return msgspec.structs.replace(rollout, windows=rollout.windows + 1, gains=gains)


def add_canary_window(
    rollout: Rollout, rows: Sequence[Seen], share: float, signature: Signature, scale: float
) -> Rollout:
    """Add a closed window's labelled live rows of both variants."""
    truth, outputs = labelled(rows)
    harm, requests = rollout.harm, rollout.canary_requests
    if truth.size:
        bad = compared_losses(signature, truth, outputs, scale) > BAD
        known = [row.prediction for row in rows if row.label is not None]
        on_canary = np.array([p.variant == "candidate" for p in known])
        harm = update_counts(
            harm,
            canary=int((bad & on_canary).sum()),
            baseline=int((bad & ~on_canary).sum()),
            share=share,
        )
        requests += int(on_canary.sum())
    return msgspec.structs.replace(
        rollout, windows=rollout.windows + 1, harm=harm, canary_requests=requests
    )
