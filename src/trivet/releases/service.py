"""The releases service: the only place where a release head moves."""

import secrets

import msgspec

from trivet.core.errors import Conflict, Invalid, NotFound, Refused
from trivet.core.facts import Draft, Entry, HeadMove, Scope, draft, read
from trivet.core.ids import check_name
from trivet.core.ports import Stores
from trivet.models.approvals import Approvals, Passage
from trivet.models.contents import packaged_content
from trivet.models.facts import GateOverride, GateVerdict, Model, ModelVersion
from trivet.models.moving import NOTHING, Along, along_alias, warn_of_deprecation
from trivet.models.names import CHAMPION, head_of
from trivet.releases.facts import (
    LogMode,
    Overruled,
    Release,
    ReleasePlan,
    Role,
    RolloutDecision,
    Stage,
    Variant,
    VariantName,
)
from trivet.releases.judge import Judgement


class _Next(msgspec.Struct, frozen=True):
    """What the next release of an endpoint shall be."""

    stage: Stage
    variants: tuple[Variant, ...]
    why: str
    salt: str = ""
    """Drawn anew when empty."""
    log_mode: LogMode | None = None
    """That of the release before when None."""
    also: tuple[Draft, ...] = ()
    """Facts to record with it."""
    force: str = ""
    """Why a protected champion may be a deprecated version."""


class ReleasesService:
    """Decisions to serve, one endpoint at a time.

    Every move is compare-and-set on the head `release/<endpoint>`: of two people who decide at
    once, one gets a Conflict and sees what the other did.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._ledger = stores.ledger
        self._scope = scope

    def current(self, endpoint: str) -> Release | None:
        """Return the release in force, or None when the endpoint was never released."""
        head = self._ledger.head(self._scope.project, _head(endpoint))
        return None if head is None else self.get(head.target)

    def get(self, id: str) -> Release:  # the field's own name
        """Return a release by its identifier.

        Raises:
            NotFound: It does not exist.
        """
        return _release(self._ledger.get(id))

    def endpoints(self) -> tuple[str, ...]:
        """Return the names of all endpoints that were released, sorted."""
        heads = self._ledger.heads(self._scope.project, "release/")
        return tuple(head.name.removeprefix("release/") for head in heads)

    def served_by(self, model: str) -> str | None:
        """Return an endpoint whose release in force has a model version, or None."""
        for endpoint in self.endpoints():
            release = self.current(endpoint)
            if release and any(variant.model == model for variant in release.plan.variants):
                return endpoint
        return None

    def history(self, endpoint: str, limit: int = 100) -> tuple[Release, ...]:
        """Return an endpoint's releases, newest first."""
        page = self._ledger.find(
            ReleasePlan.KIND,
            where={"endpoint": endpoint},
            project=self._scope.project,
            limit=limit,
        )
        return tuple(_release(entry) for entry in page.entries)

    def decisions(self, endpoint: str, limit: int = 100) -> tuple[RolloutDecision, ...]:
        """Return the judgements about an endpoint's rollouts, newest first."""
        page = self._ledger.find(
            RolloutDecision.KIND,
            where={"endpoint": endpoint},
            project=self._scope.project,
            limit=limit,
        )
        return tuple(read(entry, RolloutDecision) for entry in page.entries)

    def release(
        self,
        endpoint: str,
        model: Model,
        *,
        why: str,
        log_mode: LogMode | None = None,
        force: str = "",
    ) -> Release:
        """Serve a model to everybody, at once.

        Args:
            endpoint: The endpoint.
            model: What it shall serve.
            why: The decision in words.
            log_mode: How predictions are kept; as before when None.
            force: Why a deprecated version becomes a champion that is protected, all the same.

        Raises:
            Refused: The model's gate did not pass.
            Forbidden: The alias `champion` is protected, and this is not approved (code
                `approval-needed`), or the version is deprecated (`deprecated`).
            Conflict: Somebody released to this endpoint meanwhile.
        """
        self._demand_verdict(model)
        before = self.current(endpoint)
        champion = _variant("champion", model, "live", 1.0)
        next_ = _Next("full", (champion,), why, log_mode=log_mode, force=force)
        return self._move(endpoint, before, next_)

    def shadow(self, endpoint: str, candidate: Model, *, why: str) -> Release:
        """Let a candidate answer copies of all requests; nobody receives its answers.

        Raises:
            NotFound: The endpoint has no champion to shadow.
            Conflict: Another candidate is under way.
            Refused: The candidate's gate did not pass.
        """
        self._demand_verdict(candidate)
        before = self._demand(endpoint, "full")
        champion = before.plan.variants[0]
        if champion.model == candidate.id:
            raise Conflict(
                f"{candidate.label} is the champion of {endpoint!r} already", code="is-champion"
            )
        variants = (champion, _variant("candidate", candidate, "shadow", 0.0))
        return self._move(endpoint, before, _Next("shadow", variants, why))

    def canary(self, endpoint: str, share: float, *, why: str) -> Release:
        """Give the candidate under way a share of the live traffic.

        Args:
            endpoint: The endpoint.
            share: 0 < share < 1.
            why: The decision in words.

        Raises:
            Invalid: The share is out of range.
            Conflict: No candidate is under way.
        """
        if not 0 < share < 1:
            raise Invalid(
                f"share is a {type(share).__name__} out of range; expected between 0 and 1",
                code="bad-share",
                hint="Pass 0.1 for a tenth of the traffic.",
            )
        return self._canary(self._demand(endpoint, "shadow", "canary"), share, why)

    def promote(self, endpoint: str, *, why: str, force: str = "") -> Release:
        """Make the candidate under way the champion; `force` as for `release`.

        Raises:
            Conflict: No candidate is under way.
        """
        return self._promote(self._demand(endpoint, "shadow", "canary"), why, force=force)

    def rollback(self, endpoint: str, *, why: str, force: str = "") -> Release:
        """Drop the candidate under way; without one, go back to the champion before this one.

        Raises:
            NotFound: There is no earlier champion to go back to.
        """
        before = self._demand(endpoint, "full", "shadow", "canary")
        return self._rollback(before, why, force=force)

    def apply(self, release: Release, judgement: Judgement, *, canary_share: float) -> Release:
        """Record a judgement about a rollout and do what it says, in one commit.

        Args:
            release: The release that was judged; it must still be in force.
            judgement: What was decided, and why.
            canary_share: The share of a canary, when the outcome is `advance`.

        Raises:
            Conflict: Another release is in force by now (`head-moved`). Nothing is recorded then.
        """
        endpoint = release.plan.endpoint
        current = self.current(endpoint)
        if current is None or current.id != release.id:
            raise Conflict(f"another release of {endpoint!r} is in force", code="head-moved")
        decision = RolloutDecision(
            endpoint=endpoint,
            release=release.id,
            outcome=judgement.outcome,
            findings=judgement.findings,
        )
        fact = draft(decision, parents=[release.id])
        why = "; ".join(finding.summary for finding in judgement.findings)
        match judgement.outcome:
            case "advance":
                return self._canary(release, canary_share, why, fact)
            case "promote":
                return self._promote(release, why, fact)
            case "rollback":
                return self._rollback(release, why, fact)
            case "hold":
                self._ledger.commit(self._scope.batch(f"hold the rollout of {endpoint}", [fact]))
                return release

    def _canary(self, before: Release, share: float, why: str, *also: Draft) -> Release:
        champion, candidate = before.plan.variants
        variants = (
            _with_share(champion, "champion", "live", 1 - share),
            _with_share(candidate, "candidate", "live", share),
        )
        # The same salt: whoever met the candidate shall meet it again.
        next_ = _Next("canary", variants, why, salt=before.plan.salt, also=also)
        return self._move(before.plan.endpoint, before, next_)

    def _promote(self, before: Release, why: str, *also: Draft, force: str = "") -> Release:
        champion = _with_share(before.plan.variants[1], "champion", "live", 1.0)
        next_ = _Next("full", (champion,), why, also=also, force=force)
        return self._move(before.plan.endpoint, before, next_)

    def _rollback(self, before: Release, why: str, *also: Draft, force: str = "") -> Release:
        endpoint, champion = before.plan.endpoint, before.plan.variants[0]
        if before.plan.stage == "full":
            champion = self._champion_before(endpoint)
        variants = (_with_share(champion, "champion", "live", 1.0),)
        return self._move(endpoint, before, _Next("full", variants, why, also=also, force=force))

    def _demand(self, endpoint: str, *stages: Stage) -> Release:
        current = self.current(endpoint)
        if current is None:
            raise NotFound(
                f"endpoint {endpoint!r} was never released",
                code="no-release",
                hint=f"Release a model first: `trivet release {endpoint}`.",
            )
        if current.plan.stage not in stages:
            raise Conflict(
                f"endpoint {endpoint!r} is in stage {current.plan.stage!r}; "
                f"expected {' or '.join(stages)}",
                code="other-stage",
                hint="Promote or roll back what is under way first."
                if current.plan.stage != "full"
                else "Start a shadow first.",
            )
        return current

    def _demand_verdict(self, model: Model) -> None:
        verdict = read(self._ledger.get(model.version.verdict), GateVerdict)
        is_allowed = verdict.passed or self._overruled(model.id) is not None
        if not is_allowed or verdict.subject != model.version.package:
            raise Refused(
                f"{model.label} has no passing verdict of its own",
                code="no-verdict",
                hint="Judge the package by its gate, then release.",
            )

    def _overruled(self, model: str) -> Overruled | None:
        """Return the override that a model rests on, None when its gate passed."""
        version = read(self._ledger.get(model), ModelVersion)
        if version.override is None:
            return None
        found = read(self._ledger.get(version.override), GateOverride)
        if (found.verdict, found.subject) != (version.verdict, version.package):
            return None  # it overrules another refusal than this model's
        return Overruled(
            model=model,
            override=version.override,
            gate=found.gate,
            checks=found.overruled,
            by=found.by,
            reason=found.reason,
        )

    def _champion_before(self, endpoint: str) -> Variant:
        """Return the champion before the present one; what was gone back from does not count."""
        champions: list[Variant] = []
        for release in reversed(self.history(endpoint, limit=1000)):
            champion = release.plan.variants[0]
            if len(champions) > 1 and champions[-2].model == champion.model:
                champions.pop()
            elif not champions or champions[-1].model != champion.model:
                champions.append(champion)
        if len(champions) < 2:
            raise NotFound(
                f"endpoint {endpoint!r} has no earlier champion",
                code="no-earlier-release",
                hint="Release another version: `trivet release NAME:VERSION`.",
            )
        return champions[-2]

    def _move(self, endpoint: str, before: Release | None, next_: _Next) -> Release:
        check_name(endpoint, "endpoint")
        overruled = (self._overruled(variant.model) for variant in next_.variants)
        plan = ReleasePlan(
            endpoint=endpoint,
            generation=before.plan.generation + 1 if before else 1,
            stage=next_.stage,
            variants=next_.variants,
            salt=next_.salt or secrets.token_hex(8),
            log_mode=next_.log_mode or (before.plan.log_mode if before else "audit"),
            why=next_.why,
            overruled=tuple(item for item in overruled if item is not None),
        )
        models = [variant.model for variant in plan.variants]
        fact = draft(plan, parents=models + ([before.id] if before else []))
        heads = [HeadMove(name=_head(endpoint), to=fact.id, expect=before.id if before else None)]
        facts, along = [*next_.also, fact], NOTHING
        if plan.stage == "full":
            # Whoever answers everybody is what the next candidate is compared with.
            passage, along = self._crown(models[0], next_.force)
            facts += (*passage.facts, *along.facts)
            heads += passage.moves
        batch = self._scope.batch(
            plan.why, facts, heads=heads, tasks=along.tasks, documents=along.documents
        )
        self._ledger.commit(batch)
        self._warn(before, plan)
        return Release(id=fact.id, plan=plan)

    def _warn(self, before: Release | None, plan: ReleasePlan) -> None:
        """Warn of what is deprecated among the models that come to be served."""
        served = {variant.model for variant in before.plan.variants} if before else set[str]()
        for variant in plan.variants:
            if variant.model not in served or plan.stage == "full":
                version = read(self._ledger.get(variant.model), ModelVersion)
                label = f"{version.name}:{version.version}"
                warn_of_deprecation(self._ledger, self._scope.project, variant.model, label)

    def _crown(self, model: str, force: str) -> tuple[Passage, Along]:
        """Return what makes a version the champion of its name; nothing when it is that already.

        Raises:
            Forbidden: The alias is protected, and this is not approved (code `approval-needed`),
                or the version is deprecated (`deprecated`).
        """
        version = read(self._ledger.get(model), ModelVersion)
        head = head_of(version.name, CHAMPION)
        standing = self._ledger.head(self._scope.project, head)
        if standing is not None and standing.target == model:
            return Passage(), NOTHING
        approvals = Approvals(self._stores, self._scope)
        ledger, project = self._ledger, self._scope.project
        passage = approvals.demand(
            version.name,
            CHAMPION,
            lambda: packaged_content(ledger, project, model, version),
            force=force,
        )
        move = HeadMove(name=head, to=model, expect=passage.expect)
        along = along_alias(self._stores, self._scope, model, version, CHAMPION)
        return Passage(facts=passage.facts, moves=(*passage.moves, move)), along


def _head(endpoint: str) -> str:
    return f"release/{endpoint}"


def _release(entry: Entry | None) -> Release:
    plan = read(entry, ReleasePlan)
    assert entry is not None  # noqa: S101  # `read` raised otherwise
    return Release(id=entry.id, plan=plan)


def _variant(name: VariantName, model: Model, role: Role, share: float) -> Variant:
    return Variant(
        name=name,
        role=role,
        model=model.id,
        version=model.version.version,
        package=model.version.package,
        share=share,
    )


def _with_share(variant: Variant, name: VariantName, role: Role, share: float) -> Variant:
    return Variant(
        name=name,
        role=role,
        model=variant.model,
        version=variant.version,
        package=variant.package,
        share=share,
    )
