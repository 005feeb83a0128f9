"""Bringing in what another store holds, a batch of runs at a time.

The order is what makes an import whole after `kill -9`: the points and files of a batch first, then
its runs in one commit, each with an imprint of what it was like there. The next import passes over
runs with the same imprint, and does the others again; points and files that are there already stay
once.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

import msgspec

from trivet.core.catalog import Document
from trivet.core.clock import Clock
from trivet.core.errors import Conflict, NotFound
from trivet.core.facts import Scope, draft
from trivet.core.moving import HeldExperiment, HeldName, HeldRun, HeldVersion, Holdings
from trivet.core.ports import Stores
from trivet.models.importing import NameLanding, Origin
from trivet.models.telling import is_prompt
from trivet.moving.facts import Counts, ImportEnded, Moved
from trivet.moving.files import FileLanding
from trivet.moving.origins import origin_of_version
from trivet.moving.traces import TraceBringing
from trivet.moving.wishes import Wishes
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.importing.cleaning import Remarks, digest_of, model_id
from trivet.tracking.importing.experiments import ExperimentLanding
from trivet.tracking.importing.models import ModelLanding
from trivet.tracking.importing.points import PointLanding
from trivet.tracking.importing.runs import Arrival, RunLanding
from trivet.tracking.importing.traces import TraceLanding
from trivet.tracking.reporting.documents import IMPRINT, group_of
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.facts import Experiment
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import ReportedRuns

_AT_ONCE: Final = 200
"""How many runs one commit brings."""
_ATTEMPTS: Final = 3

Tell = Callable[[Counts], None]
T = TypeVar("T")


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that are brought together: which they are here, and what is here of them already."""

    runs: list[HeldRun]
    here: dict[str, str]
    standing: dict[str, Document]


class Bringing:
    """One import.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        clock: For the times that people see.
        holdings: What is brought.
        wishes: How much of it.
        tell: Told how far it is, after each batch.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        clock: Clock,
        holdings: Holdings,
        wishes: Wishes,
        tell: Tell,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._holdings = holdings
        self._wishes = wishes
        self._tell = tell
        self._remarks = remarks = Remarks()
        self._counts = Counts()
        source = holdings.name
        self._metrics = Metrics(stores)
        experiments = Experiments(stores, scope, clock)
        self._runs = ReportedRuns(stores, scope, experiments, self._metrics)
        self._models = LoggedModels(stores, scope, experiments, self._metrics, clock)
        self._landing = ExperimentLanding(stores, scope, experiments, source, remarks)
        self._run_landing = RunLanding(stores, scope, source, remarks)
        self._model_landing = ModelLanding(stores, scope, self._models, source, remarks)
        self._name_landing = NameLanding(stores, scope, clock, source, remarks, self._origin_of)
        self._points = PointLanding(stores, remarks)
        self._files = FileLanding(Artifacts(stores, scope), holdings, self._counts, remarks)
        self._traces = TraceBringing(
            holdings,
            TraceLanding(stores, scope, source, remarks),
            self._files,
            self._counts,
            wishes,
        )

    def bring(self) -> Moved:
        """Bring everything that is wished for.

        Raises:
            NotFound: There is no experiment of a name that was asked for.
            Unavailable: The store does not answer.
        """
        wanted = list(self._wanted())
        self._landing.reserved = {int(held.id) for held in wanted if held.id.isdecimal()}
        homes: dict[str, Experiment | None] = {}
        for held in wanted:
            home = self._landing.find(held) if self._wishes.is_dry else self._landing.land(held)
            homes[held.id] = home
            self._counts.experiments += 1
            for runs in _batches(self._holdings.runs(held.id), _AT_ONCE):
                self._bring_runs(runs, home)
            self._bring_models(held, home)
        for held in wanted:  # they name runs of any experiment
            self._bring_traces(held, homes[held.id])
        self._bring_names()
        for problem in self._holdings.problems:
            self._remarks.note(problem)
        if not self._wishes.is_dry:
            self._end()
        return Moved(
            source=self._holdings.name,
            target=self._scope.project,
            is_dry=self._wishes.is_dry,
            counts=self._counts,
            left=tuple(self._files.left),
            remarks=self._remarks.texts(),
        )

    # ------------------------------------------------------------------ experiments

    def _wanted(self) -> Iterator[HeldExperiment]:
        names = self._wishes.experiments
        missing = set(names)
        for held in self._holdings.experiments():
            if not names or held.name in names:
                missing.discard(held.name)
                yield held
        if missing:
            raise NotFound(
                f"{self._holdings.name} has no experiment named {', '.join(sorted(missing))}",
                code="no-experiment",
                hint="Leave --experiment out to bring all of them.",
            )

    # ------------------------------------------------------------------------- runs

    def _bring_runs(self, runs: list[HeldRun], home: Experiment | None) -> None:
        batch = self._batch(runs)
        changed = {batch.here[held.id] for held in batch.runs}
        if home is not None and not self._wishes.is_dry:
            changed = self._land_whole(batch, runs, home)
        new = len(changed - batch.standing.keys())
        self._counts.runs_new += new
        self._counts.runs_changed += len(changed) - new
        self._counts.runs_same += len(runs) - len(changed)
        self._tell(self._counts)

    def _land_whole(self, batch: Batch, runs: list[HeldRun], home: Experiment) -> set[str]:
        """Land a batch; what others wrote in this moment is looked at again."""
        for _ in range(_ATTEMPTS):
            try:
                return self._land(batch, home)
            except Conflict:
                batch = self._batch(runs)
        return self._land(batch, home)

    def _batch(self, runs: list[HeldRun]) -> Batch:
        """Return those of the runs that are not here as they are there."""
        here = self._run_landing.identities(runs)
        standing = self._run_landing.known(list(here.values()))

        def is_wanted(held: HeldRun) -> bool:
            document = standing.get(here[held.id])
            if document is None:
                return not self._run_landing.is_gone(held, here[held.id])
            return self._wishes.again or document.notes.get(IMPRINT) != digest_of(held)

        kept = [held for held in runs if is_wanted(held)]
        return Batch(runs=kept, here=here, standing=standing)

    def _land(self, batch: Batch, home: Experiment) -> set[str]:
        """Land a batch; return the runs that are new or have changed."""
        if not batch.runs:
            return set()
        points = self._holdings.points(batch.runs)
        appended = self._points.land(points, batch.here, batch.standing)
        self._counts.points += appended.total()
        if self._wishes.with_files:
            self._files.land([("run", batch.here[held.id], held.location) for held in batch.runs])
        arrivals = [self._arrival(batch, held, home) for held in batch.runs]
        reason = f"import {len(arrivals)} runs into experiment {home.name}"
        facts = [fact for arrival in arrivals for fact in arrival.facts]
        documents = [document for arrival in arrivals for document in arrival.documents]
        self._stores.ledger.commit(self._scope.batch(reason, facts, documents=documents))
        return {arrival.run for arrival in arrivals if arrival.is_changed} | appended.keys()

    def _arrival(self, batch: Batch, held: HeldRun, home: Experiment) -> Arrival:
        run = batch.here[held.id]
        latest = self._metrics.latest(run)
        return self._run_landing.arrival(held, run, home, batch.standing.get(run), latest)

    def _bring_traces(self, held: HeldExperiment, home: Experiment | None) -> None:
        group = group_of(self._scope.project, home.number) if home else ""
        for _ in self._traces.bring(held.id, home, group):
            self._tell(self._counts)

    # ----------------------------------------------------------------------- models

    def _bring_models(self, held: HeldExperiment, home: Experiment | None) -> None:
        for model in self._holdings.models(held.id):
            self._counts.logged_models += 1
            if self._wishes.is_dry or home is None:
                continue
            found = self._model_landing.find(model)
            if found is not None and found.notes.get(IMPRINT) == digest_of(model):
                continue
            if self._model_landing.is_gone(model):
                continue
            if self._wishes.with_files:
                self._files.land([("model", model_id(model.id), model.location)])
            self._model_landing.land(model, home)
            self._tell(self._counts)

    def _bring_names(self) -> None:
        for held in self._holdings.names():
            wanted = self._chosen(held)
            if wanted is None:
                continue
            self._counts.registered_models += 1
            if self._wishes.is_dry:
                self._counts.versions += len(wanted.versions)
            else:
                self._counts.versions += self._name_landing.land(wanted, again=self._wishes.again)
                self._bring_sources(wanted)
            self._tell(self._counts)

    def _chosen(self, held: HeldName) -> HeldName | None:
        """Return a name with the versions that come from what was asked for; None without any."""
        if not self._wishes.experiments:
            return held
        versions = tuple(version for version in held.versions if self._is_here(version))
        return msgspec.structs.replace(held, versions=versions) if versions else None

    def _is_here(self, version: HeldVersion) -> bool:
        origin = self._origin_of(version)
        return bool(origin.run or origin.logged_model)

    def _origin_of(self, version: HeldVersion) -> Origin:
        return origin_of_version(version, self._runs, self._models)

    def _bring_sources(self, held: HeldName) -> None:
        """Remark versions whose files clients will not find; prompts have none."""
        for version in () if is_prompt(held.tags) else held.versions:
            if not self._origin_of(version).location and version.source:
                self._files.leave(
                    f"{held.name}:{version.number}",
                    version.source,
                    "it lies in no run's and no logged model's artifacts",
                )

    def _end(self) -> None:
        counts, left = self._counts, len(self._files.left)
        fact = draft(ImportEnded(source=self._holdings.name[:500], counts=counts, left=left))
        self._stores.ledger.commit(self._scope.batch(f"import {self._holdings.name}"[:500], [fact]))


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
