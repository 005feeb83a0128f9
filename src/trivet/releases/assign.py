"""Who is answered by which variant: sticky, without state, and exact in its shares.

A unit (a customer, a flight) falls into one of 10,000 buckets by a salted hash. The candidate owns
the buckets from 0 upwards, so a growing share only adds units to it and nobody flips back and
forth. A request without a unit is assigned at random, and the log says so.
"""

import random
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from trivet.core.errors import NotFound
from trivet.releases.facts import ReleasePlan, Variant

BUCKETS: Final = 10_000


class Assignment(msgspec.Struct, frozen=True):
    """The variant that answers, how it was chosen, and with which probability."""

    variant: Variant
    how: Literal["sticky", "random", "explicit"]
    share: float


class Assigner:
    """Chooses variants by one release plan."""

    def __init__(self, plan: ReleasePlan) -> None:
        self._salt = plan.salt.encode()
        champion = plan.variant("champion")
        if champion is None:
            raise NotFound(f"release {plan.generation} of {plan.endpoint!r} has no champion")
        candidate = plan.variant("candidate")
        live = candidate is not None and candidate.role == "live" and candidate.share > 0
        self._champion = champion
        self._candidate = candidate if live else None
        self._edge = round(candidate.share * BUCKETS) if candidate is not None and live else 0
        self.shadow = candidate if candidate is not None and candidate.role == "shadow" else None
        self._all = {variant.name: variant for variant in plan.variants if variant.role == "live"}

    def choose(self, unit: str | None) -> Assignment:
        """Assign a unit (sticky) or, without one, a single request (random)."""
        if self._candidate is None:
            how = "random" if unit is None else "sticky"
            return Assignment(self._champion, how, 1.0)
        if unit is None:
            position, how = random.randrange(BUCKETS), "random"  # noqa: S311  # no secret
        else:
            position, how = bucket(self._salt, unit), "sticky"
        to_candidate = position < self._edge
        variant = self._candidate if to_candidate else self._champion
        share = self._edge / BUCKETS
        return Assignment(variant, how, share if to_candidate else 1.0 - share)

    def name(self, variant: str) -> Assignment:
        """Assign by name, as a tester asks for it.

        Raises:
            NotFound: No live variant has this name.
        """
        found = self._all.get(variant)
        if found is None:
            raise NotFound(
                f"no live variant is named {variant!r}",
                code="no-variant",
                hint=f"Ask for one of: {', '.join(sorted(self._all))}.",
            )
        return Assignment(found, "explicit", found.share)


def bucket(salt: bytes, unit: str) -> int:
    """Return the bucket, 0 to 9,999, of a unit under a salt (BLAKE2b keyed by the salt)."""
    digest = blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8, key=salt[:64]).digest()
    return int.from_bytes(digest, "big") % BUCKETS
