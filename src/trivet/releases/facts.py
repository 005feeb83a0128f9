"""What the releases room records: plans that serving executes, and why they were made."""

from typing import Literal

import msgspec

from trivet.core.facts import Fact
from trivet.core.gates import Finding

Stage = Literal["full", "shadow", "canary"]
Role = Literal["live", "shadow"]
LogMode = Literal["audit", "monitor"]
VariantName = Literal["champion", "candidate"]


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One model's part in a release."""

    name: VariantName
    role: Role
    model: str
    """Identifier of the model version."""
    version: int
    package: str
    share: float
    """Share of live traffic, 0 to 1; 0 for a shadow."""


class Overruled(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's refusal that somebody overruled, and that this release rests on."""

    model: str
    """Identifier of the model version."""
    override: str
    """The fact that says so."""
    gate: str
    checks: tuple[str, ...]
    """What stood in the way."""
    by: str
    reason: str


class ReleasePlan(Fact, frozen=True, kw_only=True):
    """A decision to serve. Parents: its models, then the release before it."""

    KIND = "release"
    INDEXED = ("endpoint",)

    endpoint: str
    generation: int
    """Counts the endpoint's releases from 1."""
    stage: Stage
    variants: tuple[Variant, ...]
    salt: str
    """Random text that decides which units fall to which variant; new with each candidate."""
    log_mode: LogMode = "audit"
    why: str
    """The decision in words."""
    overruled: tuple[Overruled, ...] = ()
    """One for each of its models that is served although its gate refused."""

    def variant(self, name: str) -> Variant | None:
        """Return the variant of this name, or None."""
        return next((item for item in self.variants if item.name == name), None)


class RolloutDecision(Fact, frozen=True, kw_only=True):
    """A judgement about a rollout under way. Parent: the release it is about."""

    KIND = "release.decision"
    INDEXED = ("endpoint", "release")

    endpoint: str
    release: str
    outcome: Literal["advance", "promote", "rollback", "hold"]
    findings: tuple[Finding, ...]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release plan with its identifier."""

    id: str
    plan: ReleasePlan
