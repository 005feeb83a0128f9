"""The registry: versions of names, and aliases that point at them."""

from collections.abc import Callable, Iterable, Sequence

from trivet.core.catalog import Amendment, Compare, Every, Order, Search
from trivet.core.clock import SystemClock, to_micros
from trivet.core.errors import Conflict, Invalid, NotFound, Unavailable
from trivet.core.facts import Draft, Entry, HeadMove, HeadMoved, Scope, TaskNew, draft, read
from trivet.core.ids import check_name
from trivet.core.ports import Stores
from trivet.core.search import find_all, walk
from trivet.models.amending import touched_name
from trivet.models.approvals import Approvals
from trivet.models.comments import Comments
from trivet.models.contents import packaged_content
from trivet.models.deprecations import Deprecations
from trivet.models.documents import VERSIONS, new_name, new_package, to_version
from trivet.models.facts import (
    AliasMove,
    LoggedVersion,
    Model,
    ModelVersion,
    NameRegistered,
    Version,
)
from trivet.models.moving import along_alias, warn_of_deprecation
from trivet.models.names import CHAMPION, check_alias, head_of, name_of, registered_head
from trivet.models.packaging import Package, open_package
from trivet.models.provenance import demand_package, demand_run, demand_verdict
from trivet.models.reading import deleted_models, entry_of, known_entries, number_behind
from trivet.models.references import Finder
from trivet.models.searching import is_no_prompt
from trivet.models.telling import News
from trivet.models.verdicts import Verdicts, figures_of
from trivet.tracking.facts import Run
from trivet.tracking.service import TrackingService

ATTEMPTS = 100


class Registry:
    """The named half of the models room, of one project.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._scope = scope
        self._tracking = TrackingService(stores, scope)
        self.approvals = Approvals(stores, scope)
        self.deprecations = Deprecations(stores, scope)
        self.comments = Comments(stores, scope)
        self.verdicts = Verdicts(stores, scope)
        self.finder = Finder(stores, scope.project)

    def register(
        self,
        name: str,
        package: Package,
        *,
        run: Run | str,
        verdict_id: str,
        reason: str = "register",
        tasks: Callable[[Model], Iterable[TaskNew]] | None = None,
    ) -> Model:
        """Give a judged package the next version of a name.

        Registering the same package by the same verdict again returns the version it has. What
        `tasks` makes of the version is written with it.

        Raises:
            Refused: The run has not succeeded, names no data, or its code or lock is not stored;
                the verdict is a no that nobody overruled, or is about something else.
            NotFound: There is no such run, verdict or package.
            Corrupt: A file of the package is not as it was recorded.
        """
        check_name(name, "model")
        run = self._run(run)
        data = self._data(run)
        demand_run(run, data, self._stores.blobs.has)
        demand_package(package, run)
        open_package(self._stores.blobs, package.digest)  # bytes first: they are there, and whole
        verdict = self.verdicts.get(verdict_id)
        override = None if verdict.passed else self.verdicts.override_of(verdict_id)
        demand_verdict(verdict, name, package, run, is_overruled=override is not None)
        parents = (run.finished_id or run.id, *data, verdict_id, *([override] if override else []))
        for _ in range(ATTEMPTS):
            existing = self._registered(name, package, verdict_id)
            if existing is not None:
                return existing
            before, number = number_behind(self._stores, self._scope.project, name)
            version = ModelVersion(
                name=name,
                version=number + 1,
                package=package.digest,
                size_bytes=package.size_bytes,
                flavour=package.manifest.flavour,
                signature=package.signature,
                metrics=figures_of(verdict),
                run=run.id,
                verdict=verdict_id,
                data=data,
                override=override,
                at_ms=to_micros(SystemClock().now()) // 1000,
            )
            item = draft(version, parents=dict.fromkeys(parents))
            model = Model(id=item.id, version=version)
            if self._enter(f"{reason} {name}:{version.version}", item, model, before, tasks):
                return model
        raise too_busy(name)

    def get(self, reference: str) -> Model:
        """Return a model version.

        Args:
            reference: `name` (its newest version), `name:3`, `name@alias`, or an identifier.

        Raises:
            NotFound: Nothing has this reference.
            Invalid: It is no reference.
        """
        name, at, alias = reference.partition("@")
        name, colon, number = name.partition(":")
        if at:
            head = self._stores.ledger.head(self._scope.project, head_of(name, alias))
            if head is None:
                raise _no_model(reference)
            return self._model(head.target)
        if not colon:
            newest = self._newest(name)
            if newest is None and len(reference) != 32:
                raise _no_model(reference)
            return newest or self._model(reference)
        if not number.isdecimal():
            raise Invalid(
                f"the model reference {reference!r} has no number behind its colon",
                code="bad-reference",
                hint="Write name, name:3 or name@alias.",
            )
        found = (model for model in self.versions(name) if model.version.version == int(number))
        model = next(found, None)
        if model is not None:
            return model
        if any(version.number == int(number) for version in self.logged(name)):
            raise _not_packaged(reference)
        raise _no_model(reference)

    def versions(self, name: str) -> tuple[Model, ...]:
        """Return the packaged versions of a name, newest first; none for one nobody has taken."""
        gone = deleted_models(self._stores, self._scope.project, name)
        entries = self._known(ModelVersion.KIND, {"name": name})
        return tuple(
            Model(id=entry.id, version=read(entry, ModelVersion))
            for entry in reversed(entries)
            if entry.id not in gone
        )

    def logged(self, name: str) -> tuple[Version, ...]:
        """Return the versions of a name that are logged and not packaged, newest first."""
        where = (Compare("name", "=", name), Compare("packaged", "=", 0.0), is_no_prompt())
        wanted = Search(
            collection=VERSIONS,
            groups=(self._scope.project,),
            where=Every(where),
            order=(Order("version_number", falls=True),),
            limit=1000,
        )
        return tuple(map(to_version, walk(self._stores.catalog, wanted)))

    def names(self) -> tuple[str, ...]:
        """Return the names of all registered models, sorted."""
        heads = self._stores.ledger.heads(self._scope.project, head_of(""))
        return tuple(sorted(name_of(head.name) for head in heads if "@" not in head.name))

    def champion(self, name: str) -> Model | None:
        """Return the version that the alias `champion` points at, or None.

        Raises:
            Invalid: It points at a version that is not packaged (code `not-packaged`), and a gate
                cannot compare with that.
        """
        head = self._stores.ledger.head(self._scope.project, head_of(name, CHAMPION))
        return None if head is None else self._model(head.target)

    def aliases(self, name: str) -> dict[str, Model]:
        """Return a name's aliases and the packaged versions they point at."""
        heads = self._stores.ledger.heads(self._scope.project, f"{head_of(name)}@")
        packaged = {model.id: model for model in self.versions(name)}
        return {
            head.name.partition("@")[2]: packaged[head.target]
            for head in heads
            if head.target in packaged
        }

    def set_alias(
        self, name: str, alias: str, model: Model, reason: str, *, force: str = ""
    ) -> None:
        """Point an alias at a version, and record who did so and why.

        Args:
            name: The registered name.
            alias: The alias.
            model: One of the name's versions.
            reason: Why it moves.
            force: Why a protected alias shall point at a deprecated version all the same.

        Raises:
            Invalid: The version belongs to another name, or the reason is empty.
            NotFound: The version was deleted.
            Forbidden: The alias is protected, and this is not approved (code `approval-needed`),
                or the version is deprecated (`deprecated`).
        """
        check_alias(alias)
        if model.version.name != name:
            raise Invalid(
                f"{model.label} is no version of {name!r}",
                code="other-model",
                hint=f"Choose one of {name!r}'s own versions.",
            )
        if not reason.strip():
            raise Invalid("the reason is empty", code="no-reason", hint="Say why it moves.")
        if model.id in deleted_models(self._stores, self._scope.project, name):
            raise _no_model(model.label)
        ledger, project = self._stores.ledger, self._scope.project
        passage = self.approvals.demand(
            name,
            alias,
            lambda: packaged_content(ledger, project, model.id, model.version),
            force=force,
        )
        along = along_alias(self._stores, self._scope, model.id, model.version, alias)
        move = HeadMove(name=head_of(name, alias), to=model.id, expect=passage.expect)
        batch = self._scope.batch(
            reason,
            [*passage.facts, *along.facts],
            heads=[move, *passage.moves],
            tasks=along.tasks,
            documents=along.documents,
        )
        ledger.commit(batch)
        warn_of_deprecation(ledger, project, model.id, model.label)

    def history(self, name: str, alias: str) -> tuple[AliasMove, ...]:
        """Return where an alias pointed, the newest move first, also when it is gone."""
        found = find_all(
            self._stores.ledger,
            HeadMoved.KIND,
            where={"name": head_of(name, alias)},
            project=self._scope.project,
            newest_first=True,
        )
        return tuple(
            AliasMove(
                alias=alias,
                label="" if moved.after is None else self._label(moved.after),
                before="" if moved.before is None else self._label(moved.before),
                by=entry.actor,
                time=entry.time,
                reason=entry.reason,
            )
            for entry, moved in ((entry, read(entry, HeadMoved)) for entry in found)
        )

    def alias_names(self, name: str) -> tuple[str, ...]:
        """Return the aliases of a name, sorted, whatever they point at."""
        heads = self._stores.ledger.heads(self._scope.project, f"{head_of(name)}@")
        return tuple(sorted(head.name.rpartition("@")[2] for head in heads))

    def _enter(
        self,
        reason: str,
        item: Draft,
        model: Model,
        before: str | None,
        tasks: Callable[[Model], Iterable[TaskNew]] | None,
    ) -> bool:
        """Commit a version with its documents; False when somebody else took its number."""
        name = model.version.name
        known = self._stores.ledger.head(self._scope.project, registered_head(name))
        facts, moves = [item], [HeadMove(name=head_of(name), to=item.id, expect=before)]
        now = model.version.at_ms or 0
        user, project = self._scope.actor, self._scope.project
        documents: list[Amendment] = []
        registered = known.target if known else None
        if registered is None:
            made = NameRegistered(name=name, at_ms=now)
            fact = draft(made)
            registered = fact.id
            facts.insert(0, fact)
            moves.append(HeadMove(name=registered_head(name), to=registered, expect=None))
            documents.append(new_name(project, registered, made, user=user, now_ms=now))
        entered = new_package(project, item.id, model.version, registered, user=user, now_ms=now)
        documents += [entered, touched_name(registered, now)]
        news = News(self._stores, self._scope)
        todo = [*(news.of_name(NameRegistered(name=name)) if known is None else ())]
        todo += news.of_version(model.version)
        todo += tasks(model) if tasks else ()
        return self._commit(reason, facts, moves, todo, documents)

    def _run(self, run: Run | str) -> Run:
        # A run given as an object may be older than what the ledger knows by now.
        return self._tracking.get(run.id if isinstance(run, Run) else run)

    def _data(self, run: Run) -> tuple[str, ...]:
        """Return the data commits a run was given, then those it read meanwhile."""
        ending = self._stores.ledger.get(run.finished_id) if run.finished_id else None
        read_later = [id_ for id_ in ending.parents if id_ != run.id] if ending else []
        return tuple(dict.fromkeys((*run.started.data, *read_later)))

    def _model(self, id: str) -> Model:
        entry = entry_of(self._stores, self._scope.project, id, "model")
        if entry.kind == LoggedVersion.KIND:
            version = read(entry, LoggedVersion)
            raise _not_packaged(f"{version.name}:{version.version}")
        return Model(id=id, version=read(entry, ModelVersion))

    def _label(self, id: str) -> str:
        entry = entry_of(self._stores, self._scope.project, id, "model")
        kind = LoggedVersion if entry.kind == LoggedVersion.KIND else ModelVersion
        version = read(entry, kind)
        return f"{version.name}:{version.version}"

    def _newest(self, name: str) -> Model | None:
        """Return the newest version of a name, None when it has none.

        Raises:
            Invalid: It is not packaged.
        """
        packaged, logged = next(iter(self.versions(name)), None), self.logged(name)
        number = packaged.version.version if packaged else 0
        if logged and logged[0].number > number:
            raise _not_packaged(logged[0].label)
        return packaged

    def _registered(self, name: str, package: Package, verdict_id: str) -> Model | None:
        gone = deleted_models(self._stores, self._scope.project, name)
        for entry in self._known(ModelVersion.KIND, {"package": package.digest}):
            version = read(entry, ModelVersion)
            if (version.name, version.verdict) == (name, verdict_id) and entry.id not in gone:
                return Model(id=entry.id, version=version)
        return None

    def _known(self, kind: str, where: dict[str, str]) -> list[Entry]:
        return known_entries(self._stores, self._scope.project, kind, where)

    def _commit(
        self,
        reason: str,
        items: Sequence[Draft],
        moves: Sequence[HeadMove],
        tasks: Iterable[TaskNew] = (),
        documents: Sequence[Amendment] = (),
    ) -> bool:
        """Commit facts and the heads that point at them; False when another was quicker."""
        batch = self._scope.batch(reason, items, heads=moves, tasks=tasks, documents=documents)
        try:
            self._stores.ledger.commit(batch)
        except Conflict as error:
            if error.code != "head-moved":
                raise
            return False
        except NotFound as error:
            if error.code != "no-document":
                raise
            return False  # the name was given up meanwhile
        return True


def _not_packaged(label: str) -> Invalid:
    return Invalid(
        f"{label} is logged and not packaged: no gate has judged it",
        code="not-packaged",
        hint="Gates, releases and endpoints take packaged versions: `trivet models list` says "
        "which are.",
    )


def _no_model(reference: str) -> NotFound:
    return NotFound(
        f"no model {reference!r}",
        code="no-model",
        hint="List the models with `trivet models list`.",
    )


def too_busy(name: str) -> Unavailable:
    """Say that a head kept moving."""
    return Unavailable(
        f"others kept moving {name!r} while it was being written",
        code="busy",
        hint="Try again in a moment.",
    )
