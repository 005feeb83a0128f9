"""What the serving process holds: each endpoint's release, loaded, and replaced in one reference.

A new release is loaded and proven beside the old one; only then does the reference move. If
anything fails the old release goes on answering, and the reason is kept for people to see.
"""

import threading
from collections.abc import Callable

import msgspec

from trivet.core.errors import NotFound, TrivetError
from trivet.core.facts import Scope, read
from trivet.core.ports import Stores
from trivet.models.facts import Model, ModelVersion
from trivet.releases.assign import Assigner
from trivet.releases.facts import Release, Variant
from trivet.releases.service import ReleasesService
from trivet.serving.facts import Endpoint
from trivet.serving.predictor import LoadedModel, Variants


class Live(msgspec.Struct, frozen=True):
    """A release that answers: the plan, who assigns, and the loaded models."""

    release: Release
    assigner: Assigner
    variants: Variants

    def variant_of(self, version: str) -> str:
        """Return the live variant that a version number, or a variant's name, asks for.

        Raises:
            NotFound: No live variant has this version.
        """
        live = [variant for variant in self.release.plan.variants if variant.role == "live"]
        for variant in live:
            if version in {variant.name, str(variant.version)}:
                return variant.name
        raise NotFound(
            f"version {version!r} is not served here",
            code="no-version",
            hint=f"Served are: {', '.join(str(variant.version) for variant in live)}.",
        )

    def describe(self) -> Endpoint:
        """Describe the endpoint for people."""
        plan = self.release.plan
        loaded = [self.variants.named(variant.name).label for variant in plan.variants]
        return Endpoint(
            name=plan.endpoint,
            release=self.release.id,
            generation=plan.generation,
            stage=plan.stage,
            models=tuple(loaded),
        )


class Endpoints:
    """All endpoints of a project, as the serving process executes them."""

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._releases = ReleasesService(stores, scope)
        self._lock = threading.Lock()
        self._live: dict[str, Live] = {}
        self._models: dict[str, LoadedModel] = {}
        self.failures: dict[str, TrivetError] = {}
        """Endpoint to the reason why its newest release is not in force here."""

    def get(self, name: str) -> Live:
        """Return an endpoint that answers.

        Raises:
            NotFound: There is none of this name; the hint lists those there are.
        """
        live = self._live.get(name)
        if live is None:
            raise NotFound(
                f"no endpoint is named {name!r}",
                code="no-endpoint",
                hint=f"Endpoints here: {', '.join(sorted(self._live)) or 'none yet'}.",
            )
        return live

    def all(self) -> tuple[Live, ...]:
        """Return every endpoint that answers, by name."""
        return tuple(self._live[name] for name in sorted(self._live))

    def refresh(self, on_swap: Callable[[Live], None] | None = None) -> None:
        """Load every release that is new since the last time. Called from one thread at a time."""
        with self._lock:
            for name in self._releases.endpoints():
                current = self._releases.current(name)
                before = self._live.get(name)
                if current is None or (before and before.release.id == current.id):
                    continue
                try:
                    live = self._load(current)
                except TrivetError as error:
                    self.failures[name] = error
                    continue
                self.failures.pop(name, None)
                # One assignment: a request sees the old release or the new one, never a mixture.
                self._live = {**self._live, name: live}
                if on_swap:
                    on_swap(live)
            self._forget_unused()

    def _load(self, release: Release) -> Live:
        loaded = {variant.name: self._model(variant) for variant in release.plan.variants}
        return Live(release, Assigner(release.plan), Variants(**loaded))

    def _model(self, variant: Variant) -> LoadedModel:
        found = self._models.get(variant.package)
        if found is None or found.model.id != variant.model:
            version = read(self._stores.ledger.get(variant.model), ModelVersion)
            found = LoadedModel(self._stores.blobs, Model(id=variant.model, version=version))
            self._models[variant.package] = found
        return found

    def _forget_unused(self) -> None:
        used = {v.package for live in self._live.values() for v in live.release.plan.variants}
        self._models = {digest: m for digest, m in self._models.items() if digest in used}
