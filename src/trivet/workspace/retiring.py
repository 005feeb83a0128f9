"""Retiring: what the rules of a project let go, and what holds some of it back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Final

import msgspec

from trivet.core.catalog import Compare, Condition, Document, Every, Has, OneOf, Order, Search
from trivet.core.clock import to_micros
from trivet.core.facts import Entry, Scope, read
from trivet.core.ports import Stores
from trivet.core.search import find_all, walk
from trivet.models.documents import REGISTERED, VERSIONS
from trivet.models.facts import LoggedVersion, VersionsDeleted
from trivet.models.names import head_of
from trivet.releases.service import ReleasesService
from trivet.tracking.artifacts import owner_of
from trivet.tracking.reporting.documents import RUNS
from trivet.tracking.reporting.experiments import Experiments, is_in_stage
from trivet.tracking.reporting.facts import Experiment, ExperimentChanged, RunReported
from trivet.tracking.reporting.model_points import LOGGED_MODELS
from trivet.tracking.retention.facts import Best, Erasable, Rule
from trivet.tracking.retention.rules import Retention, merged
from trivet.tracking.shelves import Artifact, Shelves
from trivet.tracking.traces.documents import TRACES

_PAGE: Final = 500
_DAY_MS: Final = 86_400_000


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """Something that goes, or would go if nothing held it."""

    what: Erasable
    id: str
    """The run, the logged model, or the trace."""
    project: str
    experiment: str
    """The experiment's name."""
    home: str
    """The `experiment` fact."""
    why: str
    files: int
    size_bytes: int
    held_by: tuple[str, ...] = ()
    """Registered versions, their aliases and the endpoints that serve them."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An item with what its removal needs."""

    item: Item
    documents: tuple[Document, ...]
    """Its own, and those of logged models whose files go with it: as they stood."""
    artifacts: tuple[Artifact, ...]


class Retiring:
    """Finds what is past its time in one project.

    Args:
        stores: The stores.
        experiments: The project's experiments.
        retention: The project's rules.
        project: The project.
        now: The present.
        override: What counts in place of the rules, as far as it says something.
    """

    def __init__(
        self,
        stores: Stores,
        experiments: Experiments,
        retention: Retention,
        project: str,
        *,
        now: datetime,
        override: Rule,
    ) -> None:
        self._stores = stores
        self._experiments = experiments
        self._retention = retention
        self._project = project
        self.now = now
        self._override = override
        self._shelves = Shelves(stores.views, project)
        self._releases = ReleasesService(stores, Scope(project=project, actor="gc"))

    def targets(self) -> Iterator[Target]:
        """Yield everything that is past its time, what is held back among it."""
        for home in self._all_experiments():
            rule = merged(self._override, self._retention.of(home.number))
            if rule.trash_days is not None:
                yield from self._trash(home, RUNS, rule.trash_days)
                yield from self._trash(home, LOGGED_MODELS, rule.trash_days)
            if rule.artifacts_days is not None:
                yield from self._artifacts(home, rule.artifacts_days, rule.keep_best)
            if rule.traces_days is not None:
                yield from self._traces(home, rule.traces_days)

    # ----------------------------------------------------------------- by kind

    def _trash(self, home: Experiment, collection: str, days: float) -> Iterator[Target]:
        deleted = self._documents(collection, home, is_in_stage("deleted"))
        for page in _pages(deleted):
            held = self._holders(collection, [one.id for one in page])
            for document in page:
                since = self._deleted_ms(home, collection, document)
                if since is None or since > self._before_ms(days):
                    continue
                what: Erasable = "run" if collection == RUNS else "logged model"
                why = f"deleted more than {days:g} days ago"
                files = tuple(self._shelves.below(_owner(document), ""))
                yield self._target(what, home, [document], files, why, held.get(document.id, ()))

    def _artifacts(self, home: Experiment, days: float, best: Best | None) -> Iterator[Target]:
        kept = self._best(home, best) if best else set[str]()
        old = Every((is_in_stage("active"), Compare("end_time", "<", self._before_ms(days))))
        why = f"ended more than {days:g} days ago, and nothing was registered from it"
        for page in _pages(self._documents(RUNS, home, old)):
            ids = [one.id for one in page]
            held, models = self._holders(RUNS, ids), self._models_of(home, ids)
            for document in page:
                own = [document, *models.get(document.id, ())]
                files = [file for one in own for file in self._shelves.below(_owner(one), "")]
                if document.id in kept or not files:
                    continue
                holders = held.get(document.id, ())
                yield self._target("artifacts", home, own, files, why, holders)

    def _traces(self, home: Experiment, days: float) -> Iterator[Target]:
        old = Compare("timestamp", "<", self._before_ms(days))
        for document in self._documents(TRACES, home, old):
            trace = str(document.attributes["request_id"])
            files = tuple(self._shelves.below(owner_of("trace", trace), ""))
            why = f"began more than {days:g} days ago"
            yield self._target("traces", home, [document], files, why, ())

    # ------------------------------------------------------------------- inside

    def _target(
        self,
        what: Erasable,
        home: Experiment,
        documents: Sequence[Document],
        files: Sequence[Artifact],
        why: str,
        held_by: tuple[str, ...],
    ) -> Target:
        document = documents[0]
        item = Item(
            what=what,
            id=str(document.attributes["request_id"]) if what == "traces" else document.id,
            project=self._project,
            experiment=home.name,
            home=home.id,
            why=why,
            files=len(files),
            size_bytes=sum(file.size_bytes for file in files),
            held_by=held_by,
        )
        return Target(item=item, documents=tuple(documents), artifacts=tuple(files))

    def _models_of(self, home: Experiment, runs: Sequence[str]) -> dict[str, list[Document]]:
        """Return the logged models of runs that nothing was registered from, by run."""
        of_runs = Every((is_in_stage("active"), OneOf("source_run_id", tuple(runs))))
        models = list(self._documents(LOGGED_MODELS, home, of_runs))
        held = self._holders(LOGGED_MODELS, [model.id for model in models])
        found: dict[str, list[Document]] = {}
        for model in models:
            if model.id not in held:
                found.setdefault(str(model.attributes["source_run_id"]), []).append(model)
        return found

    def _holders(self, collection: str, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return what was registered from runs or logged models, by their identifiers."""
        field = "run_id" if collection == RUNS else "model_id"
        where = OneOf(field, tuple(ids))
        wanted = Search(collection=VERSIONS, groups=(self._project,), where=where, limit=_PAGE)
        found: dict[str, list[str]] = {}
        for version in walk(self._stores.catalog, wanted):
            names = found.setdefault(str(version.attributes[field]), [])
            names += self._names_of(version)
        for identifier in ids:
            # Should the catalog have lost a version, its fact still holds what it is from.
            for label in self._registered.get(identifier, ()):
                if label not in found.get(identifier, ()):
                    found.setdefault(identifier, []).append(label)
        return {identifier: tuple(names) for identifier, names in found.items()}

    @cached_property
    def _registered(self) -> dict[str, list[str]]:
        """By run and logged model, the versions that facts say were registered from it."""
        found: dict[str, list[str]] = {}
        deleted = {
            model
            for entry in self._all(VersionsDeleted.KIND)
            for model in read(entry, VersionsDeleted).models
        }
        for entry in self._all(LoggedVersion.KIND):
            if entry.id not in deleted:
                made = read(entry, LoggedVersion)
                label = f"{self._name_of(made.registered, made.name)}:{made.version}"
                for origin in filter(None, (made.run, made.logged_model)):
                    found.setdefault(origin, []).append(label)
        return found

    def _all(self, kind: str) -> Iterator[Entry]:
        after: int | None = None
        while True:
            page = self._stores.ledger.find(kind, project=self._project, after=after, limit=_PAGE)
            yield from (entry for entry in page.entries if entry.payload is not None)
            after = page.after
            if after is None:
                return

    def _name_of(self, registered: str, name: str) -> str:
        """Return what a name is called now."""
        found = self._stores.catalog.get(REGISTERED, [registered])
        return str(found[0].attributes["name"]) if found else name

    def _names_of(self, version: Document) -> Iterator[str]:
        name = str(version.attributes["name"])
        yield f"{name}:{int(version.attributes['version_number'])}"
        fact: str = version.notes["fact"]
        for head in self._stores.ledger.heads(self._project, f"{head_of(name)}@"):
            if head.target == fact:
                yield f"{name}@{head.name.rpartition('@')[2]}"
        endpoint = self._releases.served_by(fact)
        if endpoint is not None:
            yield f"endpoint {endpoint}"

    def _best(self, home: Experiment, best: Best) -> set[str]:
        name = f"metrics.{best.metric}"
        wanted = Search(
            collection=RUNS,
            groups=(self._experiments.group_of(home.number),),
            where=Every((is_in_stage("active"), Has(name))),
            order=(Order(name, falls=not best.is_lowest),),
            limit=best.runs,
        )
        return {one.id for one in self._stores.catalog.search(wanted).documents}

    def _deleted_ms(self, home: Experiment, collection: str, document: Document) -> int | None:
        """Return since when something is in the trash."""
        if collection == LOGGED_MODELS:  # nothing else changes one that is deleted
            return int(document.attributes["last_updated_timestamp"])
        own = self._newest_move(RunReported, {"run": document.id})
        outer = self._newest_move(ExperimentChanged, {"experiment": home.id})
        return max((time_ms for time_ms in (own, outer) if time_ms is not None), default=None)

    def _newest_move(
        self, kind: type[RunReported] | type[ExperimentChanged], where: Mapping[str, str]
    ) -> int | None:
        """Return when something was deleted last; None when it was restored since."""
        ledger = self._stores.ledger
        for entry in find_all(
            ledger, kind.KIND, where=where, project=self._project, newest_first=True
        ):
            stage = None if entry.payload is None else read(entry, kind).stage
            if stage is not None:
                return to_micros(entry.time) // 1000 if stage == "deleted" else None
        return None

    def _documents(self, collection: str, home: Experiment, where: Condition) -> Iterator[Document]:
        group = self._experiments.group_of(home.number)
        return walk(
            self._stores.catalog,
            Search(collection=collection, groups=(group,), where=where, limit=_PAGE),
        )

    def _all_experiments(self) -> Iterator[Experiment]:
        after = None
        while True:
            page, after = self._experiments.search(after=after, limit=_PAGE)
            yield from page
            if after is None:
                return

    def _before_ms(self, days: float) -> float:
        return to_micros(self.now) / 1000 - days * _DAY_MS


def _owner(document: Document) -> str:
    return owner_of("model" if "model_id" in document.attributes else "run", document.id)


def _pages(documents: Iterable[Document]) -> Iterator[list[Document]]:
    page: list[Document] = []
    for document in documents:
        page.append(document)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page
