"""The sender's side: what the ledger says of runs that programs report, as entries to send."""

from collections.abc import Iterator
from functools import cache
from typing import Final

import msgspec

from trivet.core.clock import SystemClock
from trivet.core.errors import NotFound
from trivet.core.facts import Entry as LedgerEntry
from trivet.core.facts import Scope, read
from trivet.core.ports import Stores
from trivet.core.trees import digests_below
from trivet.tracking.artifacts import owner_of
from trivet.tracking.facts import ArtifactsDeleted, ArtifactStored
from trivet.tracking.reporting.experiments import DEFAULT, Experiments
from trivet.tracking.reporting.facts import (
    ExperimentMade,
    RunObserved,
    RunOpened,
    RunReported,
)
from trivet.tracking.syncing.wire import (
    Entry,
    FileKept,
    FilesGone,
    RunBegun,
    RunMoved,
    RunSeen,
    RunTold,
)

_RUN: Final = owner_of("run", "")
_PAGE: Final = 500


class Gathered(msgspec.Struct, frozen=True):
    """An entry, where the ledger has it, and about how many bytes it has."""

    seq: int
    entry: Entry
    size_bytes: int


class Gatherer:
    """Reads what is to be sent from the stores of a project.

    Args:
        stores: Where it was recorded.
        scope: The project.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._stores = stores
        self._project = scope.project
        self._experiments = Experiments(stores, scope, SystemClock())
        self._name_of = cache(self._experiment)

    def after(self, seq: int) -> Iterator[tuple[int, list[Gathered]]]:
        """Yield what was recorded behind a place of the ledger, page by page.

        Each page comes with the place behind it; it may have nothing that is to be sent.
        """
        while facts := self._stores.ledger.since(seq, _PAGE):
            seq = facts[-1].seq
            yield seq, [each for fact in facts if (each := self._gathered(fact)) is not None]

    def at(self, seq: int) -> Gathered | None:
        """Return what is to be sent of one place; None when it was forgotten meanwhile."""
        facts = self._stores.ledger.since(seq - 1, 1)
        return self._gathered(facts[0]) if facts and facts[0].seq == seq else None

    def digests(self, entry: Entry) -> tuple[str, ...]:
        """Return the files that an entry needs, each once.

        Raises:
            NotFound: One of them is not here any more.
            Corrupt: It is not what was recorded.
        """
        if isinstance(entry, FileKept):
            return (entry.digest,)
        if not isinstance(entry, RunSeen):
            return ()
        tree = entry.code.tree
        found = [*digests_below(self._stores.blobs, tree), tree, entry.environment.lock]
        if entry.code.diff is not None:
            found.append(entry.code.diff)
        return tuple(dict.fromkeys(found))

    def _gathered(self, fact: LedgerEntry) -> Gathered | None:
        if fact.project != self._project or fact.payload is None:
            return None
        entry = self._entry(fact)
        return None if entry is None else Gathered(fact.seq, entry, len(fact.payload))

    def _entry(self, fact: LedgerEntry) -> Entry | None:
        match fact.kind:
            case RunOpened.KIND:
                return self._begun(fact)
            case RunReported.KIND:
                return _told(fact)
            case RunObserved.KIND:
                seen = read(fact, RunObserved)
                return RunSeen(
                    id=fact.id,
                    run=seen.run,
                    code=seen.code,
                    environment=seen.environment,
                    machine=seen.machine,
                )
            case ArtifactStored.KIND:
                return _kept(fact)
            case ArtifactsDeleted.KIND:
                gone = read(fact, ArtifactsDeleted)
                run = _run_of(gone.owner)
                return FilesGone(id=fact.id, run=run, path=gone.path) if run else None
            case _:
                return None

    def _begun(self, fact: LedgerEntry) -> RunBegun:
        opened = read(fact, RunOpened)
        return RunBegun(
            id=fact.id,
            run=fact.id,
            experiment=self._name_of(opened.experiment),
            name=opened.name,
            user=opened.user,
            began_ms=max(0, opened.began_ms),
            tags=opened.tags,
        )

    def _experiment(self, identifier: str) -> str:
        try:
            made = read(self._stores.ledger.get(identifier), ExperimentMade)
            return self._experiments.get(made.number).name
        except NotFound:
            return DEFAULT


def _told(fact: LedgerEntry) -> RunTold | RunMoved | None:
    report = read(fact, RunReported)
    if report.stage is not None:
        return RunMoved(id=fact.id, run=report.run, stage=report.stage)
    told = RunTold(
        id=fact.id,
        run=report.run,
        parameters=report.parameters,
        tags=report.tags,
        dropped=report.dropped,
        inputs=report.inputs,
        name=report.name,
        status=report.status,
        ended_ms=report.ended_ms,
    )
    return None if told == RunTold(id=fact.id, run=report.run) else told


def _kept(fact: LedgerEntry) -> FileKept | None:
    stored = read(fact, ArtifactStored)
    run = _run_of(stored.owner)
    if not run:
        return None
    return FileKept(
        id=fact.id,
        run=run,
        path=stored.path,
        digest=stored.digest,
        size_bytes=stored.size_bytes,
        media_type=stored.media_type,
    )


def _run_of(owner: str) -> str:
    return owner.removeprefix(_RUN) if owner.startswith(_RUN) else ""
