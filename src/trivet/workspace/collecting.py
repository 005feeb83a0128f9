"""Collecting garbage: what rules let go is removed for good, and bytes that nothing names.

Nothing is removed that a commit of this moment is about to need. What goes is decided in the very
commit that removes it: it says how things stood, and is refused when they stand otherwise by now.
Bytes go last: those that nothing names, and that nobody has put for a while, even if they had been
there already. So a process that is killed leaves what the next one removes, and nothing half.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from trivet.core.catalog import Amendment, Document, Search
from trivet.core.clock import to_micros
from trivet.core.errors import Conflict, NotFound
from trivet.core.facts import Fact, Scope, draft, read
from trivet.core.ports import Stores
from trivet.core.search import find_all, walk
from trivet.models.amending import REGISTERED_MS
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.facts import ArtifactStored, Note
from trivet.tracking.reporting.documents import RUNS
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.facts import RunObserved, RunReported
from trivet.tracking.reporting.logged_facts import LoggedModelChanged
from trivet.tracking.reporting.model_points import LOGGED_MODELS, series_of
from trivet.tracking.retention.facts import BlobsRemoved, Erasable, Erased
from trivet.tracking.shelves import Shelves
from trivet.tracking.traces.service import Traces
from trivet.workspace.references import DeadFile, References
from trivet.workspace.retiring import Item, Retiring, Target

ERASURES: Final = "erasures"
"""Documents of what was erased and may still have points in segments that others write."""
_AT_ONCE: Final = 500
_PROJECTED: Final = {"run": RUNS, "logged model": LOGGED_MODELS}

Tell = Callable[[str], None]


class StillNamed(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of what goes that stay, because something else names them, too."""

    blobs: int
    size_bytes: int
    by: dict[str, int]
    """How many references there are, by the kind of fact that has them."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would go now, and what would not, and why."""

    items: tuple[Item, ...]
    held: tuple[Item, ...]
    """What is past its time and stays, because something was registered from it."""
    shared: StillNamed
    blobs: int
    """Blobs that nothing would name."""
    blob_bytes: int
    young: int
    """Further ones that somebody put too recently."""

    def counts(self) -> dict[Erasable, tuple[int, int]]:
        """Return how many items of each kind would go, and the bytes of their files."""
        found: dict[Erasable, tuple[int, int]] = {}
        for item in self.items:
            count, size_bytes = found.get(item.what, (0, 0))
            found[item.what] = (count + 1, size_bytes + item.size_bytes)
        return found


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What is gone."""

    items: tuple[Item, ...]
    held: tuple[Item, ...]
    skipped: tuple[Item, ...]
    """What changed in the moment in which it was to go; the next time will tell."""
    blobs: int
    blob_bytes: int


class Collector:
    """Plans and collects for one project; bytes are those of all projects.

    Args:
        stores: The stores.
        scope: Project and actor.
        experiments: The project's experiments.
        retiring: Finds what is past its time.
        grace_s: For how long bytes that were put stay, whatever names them: whoever puts bytes
            has so long to commit the fact.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        experiments: Experiments,
        retiring: Retiring,
        *,
        grace_s: float,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._retiring = retiring
        self._grace_s = grace_s
        self._shelves = Shelves(stores.views, scope.project)
        self._artifacts = Artifacts(stores, scope)
        self._traces = Traces(stores, scope, experiments, self._artifacts)
        self._experiments = experiments

    def plan(self) -> Plan:
        """Say what would go; nothing is changed.

        Raises:
            Corrupt: A folder that facts name cannot be read.
        """
        items: list[Item] = []
        held: list[Item] = []
        facts: set[str] = set()
        sizes: dict[str, int] = {}
        for target in self._retiring.targets():
            if target.item.held_by:
                held.append(target.item)
                continue
            items.append(target.item)
            facts |= {file.fact for file in target.artifacts}
            sizes |= {file.digest: file.size_bytes for file in target.artifacts}
        found = References(self._stores, facts, sizes.keys()).follow()
        going = list(self._unnamed(found, self._grace_s))
        every = sum(1 for _ in self._unnamed(found, None))
        named = {digest for digest in sizes if found.has(digest)}
        return Plan(
            items=tuple(items),
            held=tuple(held),
            shared=StillNamed(
                blobs=len(named),
                size_bytes=sum(sizes[digest] for digest in named),
                by=_added_up(found.counts[digest] for digest in named if digest in found.counts),
            ),
            blobs=len(going),
            blob_bytes=sum(size_bytes for _, size_bytes in going),
            young=every - len(going),
        )

    def collect(self, tell: Tell | None = None) -> Collected:
        """Remove what is past its time, and the bytes that nothing names then.

        Args:
            tell: Told what is being done, for a person.

        Raises:
            Corrupt: A folder that facts name cannot be read: no bytes are removed then.
        """
        say: Tell = tell or _silent
        gone: list[Item] = []
        held: list[Item] = []
        skipped: list[Item] = []
        for together in _together(self._retiring.targets()):
            first = together[0].item
            items = [target.item for target in together]
            if first.held_by:
                held += items
                continue
            if first.what == "traces":
                self._erase_traces(items)
            elif not self._erase(together[0]):
                skipped += items
                continue
            gone += items
            say(f"{first.what} {first.id} removed")
        self._leave_out_points()
        self._take_late_files()
        blobs, size_bytes = self._sweep(say)
        return Collected(
            items=tuple(gone),
            held=tuple(held),
            skipped=tuple(skipped),
            blobs=blobs,
            blob_bytes=size_bytes,
        )

    # ---------------------------------------------------------------- what rules let go

    def _erase(self, target: Target) -> bool:
        """Remove one thing in one commit; False when it stands otherwise by now."""
        item = target.item
        erased = Erased(
            what=item.what,
            subject=item.id,
            experiment=item.home,
            why=item.why,
            files=item.files,
            size_bytes=item.size_bytes,
        )
        fact = draft(erased, parents=[item.home])
        batch = self._scope.batch(
            f"gc: {item.what} {item.id}: {item.why}",
            [fact],
            rows=[self._shelves.emptied(file, fact.id) for file in target.artifacts],
            documents=[*self._guards(target), *self._removals(target)],
        )
        forget = dict.fromkeys((*self._told(target), *(file.fact for file in target.artifacts)))
        try:
            self._stores.ledger.commit(msgspec.structs.replace(batch, forget=tuple(forget)))
        except (Conflict, NotFound):
            return False  # restored, registered, removed or written to in this moment
        for owner in {file.owner for file in target.artifacts}:
            self._shelves.tidy(owner, fact.id)
        return True

    def _erase_traces(self, items: Sequence[Item]) -> None:
        """Remove traces of one experiment; their deletion is a fact, and says why."""
        number = self._experiments.by_name(items[0].experiment).number
        traces = [item.id for item in items]
        self._traces.delete(number, traces=traces, why=f"gc: {items[0].why}")

    def _guards(self, target: Target) -> Iterator[Amendment]:
        """Yield amendments that are refused when a document stands otherwise than it was read."""
        for document in target.documents:
            collection = LOGGED_MODELS if "model_id" in document.attributes else RUNS
            found = document.attributes.get(REGISTERED_MS)
            yield Amendment(
                collection=collection,
                id=document.id,
                once={
                    "stage": document.attributes["stage"],
                    REGISTERED_MS: 0.0 if found is None else found,
                },
                expect="known",
            )
            if found is None:
                yield Amendment(collection=collection, id=document.id, drop=(REGISTERED_MS,))

    def _removals(self, target: Target) -> Iterator[Amendment]:
        collection = _PROJECTED.get(target.item.what)
        if collection is None:
            return
        document = target.documents[0]
        owners = [document.id] if collection == RUNS else list(series_of(document))
        yield Amendment(collection=collection, id=document.id, remove=True)
        if owners:
            yield Amendment(
                collection=ERASURES,
                id=document.id,
                group=self._scope.project,
                note={"owners": owners},
            )

    def _told(self, target: Target) -> Iterator[str]:
        """Yield the facts that hold what was recorded of something, its files apart."""
        identifier = target.item.id
        kinds: list[tuple[type[Fact], str, str]] = []
        if target.item.what == "run":
            yield identifier
            kinds = [
                (RunReported, "run", identifier),
                (RunObserved, "run", identifier),
                (Note, "subject", identifier),
                (ArtifactStored, "owner", f"run:{identifier}"),
            ]
        elif target.item.what == "logged model":
            yield identifier.removeprefix("m-")
            kinds = [
                (LoggedModelChanged, "model", identifier),
                (ArtifactStored, "owner", f"model:{identifier}"),
            ]
        else:  # those of files that were replaced before, too
            kinds = [(ArtifactStored, "owner", file.owner) for file in target.artifacts]
        for kind, field, value in dict.fromkeys(kinds):
            where, project = {field: value}, self._scope.project
            for entry in find_all(self._stores.ledger, kind.KIND, where=where, project=project):
                if entry.payload is not None:
                    yield entry.id

    def _leave_out_points(self) -> None:
        """Leave the points of what was erased out of the series, earlier remainders among them."""
        wanted = Search(collection=ERASURES, groups=(self._scope.project,), limit=_AT_ONCE)
        waiting = list(walk(self._stores.catalog, wanted))
        owners = [owner for document in waiting for owner in _owners(document)]
        if not owners:
            return
        self._stores.series.compact(without=owners)
        done = [
            Amendment(collection=ERASURES, id=document.id, remove=True)
            for document in waiting
            if not any(self._stores.series.summaries(owner) for owner in _owners(document))
        ]
        self._stores.catalog.write(done)

    def _take_late_files(self) -> None:
        """Take away files that were put where their owner had been erased in that moment."""
        for owner in self._shelves.owners():
            kind, _, identifier = owner.partition(":")
            collection = {"run": RUNS, "model": LOGGED_MODELS}.get(kind)
            if collection is None or self._stores.catalog.get(collection, [identifier]):
                continue
            where = {"subject": identifier}
            found = find_all(
                self._stores.ledger, Erased.KIND, where=where, project=self._scope.project
            )
            if any(read(entry, Erased).what in _PROJECTED for entry in found):
                self._artifacts.delete(owner, "")

    # -------------------------------------------------------------------- bytes

    def _sweep(self, say: Tell) -> tuple[int, int]:
        """Remove the bytes that nothing names; return how many blobs, and how many bytes."""
        found = References(self._stores).follow()
        self._forget(found.dead)
        removed, removed_bytes = 0, 0
        unnamed = self._unnamed(found, self._grace_s)
        while batch := list(islice(unnamed, _AT_ONCE)):
            digests = tuple(digest.removeprefix("b3:") for digest, _ in batch)
            total = sum(size_bytes for _, size_bytes in batch)
            fact = draft(BlobsRemoved(digests=digests, size_bytes=total))
            self._stores.ledger.commit(self._scope.batch("gc: nothing names these", [fact]))
            found.follow()
            for digest, size_bytes in batch:
                if not found.has(digest) and self._stores.blobs.delete(
                    digest, unless_put_for_s=self._grace_s
                ):
                    removed += 1
                    removed_bytes += size_bytes
            say(f"{removed} blobs removed")
        return removed, removed_bytes

    def _unnamed(
        self, found: References, unless_put_for_s: float | None
    ) -> Iterator[tuple[str, int]]:
        young = {file.digest for file in found.dead if self._is_young(file)}
        for digest, size_bytes in self._stores.blobs.list(unless_put_for_s=unless_put_for_s):
            if not found.has(digest) and digest not in young:
                yield digest, size_bytes

    def _forget(self, dead: Sequence[DeadFile]) -> None:
        """Forget the facts of files that were replaced or deleted: their bytes are to go."""
        by_project: dict[str, list[str]] = {}
        for file in dead:
            if not self._is_young(file):
                by_project.setdefault(file.project, []).append(file.fact)
        for project, facts in by_project.items():
            scope = Scope(project=project, actor=self._scope.actor)
            for some in _parts(facts):
                batch = scope.batch("gc: files that were replaced or deleted")
                self._stores.ledger.commit(msgspec.structs.replace(batch, forget=some))

    def _is_young(self, file: DeadFile) -> bool:
        now = self._retiring.now
        return file.time_ms > to_micros(now) / 1000 - self._grace_s * 1000


def _together(targets: Iterable[Target]) -> Iterator[list[Target]]:
    """Yield targets one by one, but traces of one experiment many at a time."""
    waiting: list[Target] = []
    for target in targets:
        fits = waiting and waiting[0].item.home == target.item.home
        if waiting and not (fits and target.item.what == "traces" and len(waiting) < _AT_ONCE):
            yield waiting
            waiting = []
        waiting.append(target)
        if target.item.what != "traces":
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _added_up(counts: Iterable[Counter[str]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _owners(document: Document) -> Iterable[str]:
    return document.notes["owners"]


def _parts(items: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(items), _AT_ONCE):
        yield tuple(items[start : start + _AT_ONCE])


def _silent(part: str) -> None:
    del part
