"""Who works on which trial of a search, and where its end is kept.

Several processes may share a search: each trial is claimed by a lease of the journal, whose holder
prolongs it; when a process dies, another takes its trial over with the very same parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, Protocol, cast

import msgspec

from trivet.core.errors import Conflict, TrivetError
from trivet.core.facts import Draft, HeadMove, Scope, draft, read
from trivet.core.ids import new_id
from trivet.core.ports import Stores
from trivet.core.search import find_all
from trivet.pipelines.context import Definition, current
from trivet.pipelines.explaining.reads import shown_in, watch_reads
from trivet.pipelines.looping.checking import name_of
from trivet.pipelines.looping.holding import Held, Waits
from trivet.pipelines.looping.space import Chosen
from trivet.pipelines.looping.telling import TrialRuns
from trivet.pipelines.looping.trials import Carrying, SearchBegun, TrialBegun, TrialEnded, Watcher

LEASE_S: Final = 30.0
_MOST_FILES: Final = 100


class Work(Protocol):
    """Hands out trials, and keeps what they came to."""

    def expect(self, total: int) -> None:
        """Hear that there will be so many trials in all."""
        ...

    def ended(self) -> Sequence[TrialEnded]:
        """Return the trials that ended, whoever carried them out."""
        ...

    def take(
        self, most: int | None, choose: Callable[[int], Chosen], watcher: Watcher
    ) -> TrialEnded | None:
        """Carry out one more trial; None when none is free just now.

        Args:
            most: The highest number there may be.
            choose: Returns the parameters of a trial.
            watcher: Follows it.
        """
        ...


class WorkAlone:
    """Trials one after another in this process. Inside a run each is a step.

    Args:
        carrying: How trials are carried out.
    """

    def __init__(self, carrying: Carrying) -> None:
        self._carrying = carrying
        self._ended: list[TrialEnded] = []

    def ended(self) -> Sequence[TrialEnded]:
        """Return the trials that ended here."""
        return self._ended

    def take(
        self, most: int | None, choose: Callable[[int], Chosen], watcher: Watcher
    ) -> TrialEnded | None:
        """Carry out the next trial, or remember it."""
        number = len(self._ended) + 1
        if most is not None and number > most:
            return None
        parameters = choose(number)
        token = _live.set(
            lambda: self._carrying.carry_out(number, parameters, watcher(number, parameters))
        )
        try:
            ended = self._remembered(number, parameters)
        finally:
            _live.reset(token)
        self._ended.append(ended)
        return ended

    def expect(self, total: int) -> None:
        """Tell whoever watches a run that so many trials will follow."""
        caller = current().caller
        if caller is not None:
            caller.expect(self._step(), total)

    def _step(self) -> Definition:
        objective = self._carrying.objective
        return Definition(
            kind="step",
            name=name_of(objective),
            function=_trial,
            depends=(objective, self._carrying.cost),
        )

    def _remembered(self, number: int, parameters: Chosen) -> TrialEnded:
        caller = current().caller
        if caller is None:
            return _live.get()()
        kept = caller.call(self._step(), (self._carrying.search, number, parameters), {})
        return msgspec.convert(dict(cast("Mapping[str, Any]", kept)), TrialEnded)


_live: ContextVar[Callable[[], TrialEnded]] = ContextVar("trivet.trial")
"""What carries out the trial that is asked for. It is no part of the step, which is known by its
search, number and parameters alone."""


def _trial(search: str, number: int, parameters: Chosen) -> object:  # noqa: ARG001  # its key
    return msgspec.to_builtins(_live.get()())


class WorkTogether:
    """Trials that several processes share, as facts in the ledger.

    Args:
        stores: Where facts and leases are kept.
        scope: Project and actor.
        begun: The search.
        carrying: How trials are carried out.
        lease_s: How long a trial waits for its process before another takes it over.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        begun: SearchBegun,
        carrying: Carrying,
        *,
        lease_s: float | None = None,
    ) -> None:
        self._stores = stores
        self._scope = scope
        self._key = begun.key
        self._carrying = carrying
        self._lease_s = lease_s or LEASE_S
        self._name = begun.name
        self._runs = TrialRuns(stores, scope, begun)
        self._waits = Waits()
        self._owner = f"search-{new_id()}"
        self._ended: dict[int, TrialEnded] = {}
        self._after: int | None = None
        self._search = self._begin(f"search/{self._key}", draft(begun), f"search {begun.name}")

    def expect(self, total: int) -> None:
        """Do nothing: nobody knows how many of them this process will carry out."""

    def ended(self) -> Sequence[TrialEnded]:
        """Return the trials that ended anywhere; reads only what is new."""
        new = find_all(
            self._stores.ledger,
            TrialEnded.KIND,
            where={"search": self._key},
            project=self._scope.project,
            after=self._after,
        )
        for entry in new:
            self._after = entry.seq
            if entry.payload is not None:
                trial = read(entry, TrialEnded)
                self._ended[trial.number] = trial
        return list(self._ended.values())

    def take(
        self, most: int | None, choose: Callable[[int], Chosen], watcher: Watcher
    ) -> TrialEnded | None:
        """Carry out the lowest trial that nobody works on; None also when another was quicker."""
        number = self._claim(most)
        if number is None:
            return None
        try:
            return self._carry_out(number, choose, watcher)
        finally:
            # Whoever is interrupted leaves the trial to the next, who need not wait for the lease.
            with suppress(TrivetError):  # an error of the trial's own counts; the lease ends anyway
                self._lease(number, 0.0)

    def _carry_out(
        self, number: int, choose: Callable[[int], Chosen], watcher: Watcher
    ) -> TrialEnded | None:
        name = f"trial/{self._key}/{number}"
        begun = TrialBegun(search=self._key, number=number, parameters=choose(number))
        item = draft(begun, parents=[self._search])
        id_ = self._begin(name, item, f"trial {number} begins")
        # Whoever was first chose the parameters; one who takes over goes on with them.
        parameters = read(self._stores.ledger.get(id_), TrialBegun).parameters
        held = Held(lambda: self._lease(number, self._lease_s), self._lease_s / 3)
        with self._runs.of(number, parameters) as run:
            watch = run.watched(watcher(number, parameters))
            with held, watch_reads(Path.cwd()) as reads:
                ended = self._carrying.carry_out(number, parameters, watch)
            run.end(ended)
        files = shown_in(Path.cwd(), reads.noticed(()).undeclared[:_MOST_FILES])
        ended = msgspec.structs.replace(ended, read=files)
        if not self._record(ended, name, id_):
            return None
        return ended

    def _claim(self, most: int | None) -> int | None:
        """Return the lowest number that is neither done nor another's."""
        self.ended()
        number, others = 0, list[int]()
        while most is None or number < most:
            number += 1
            if number in self._ended:
                continue
            if not self._lease(number, self._lease_s):
                others.append(number)
                continue
            self.ended()  # it may have been recorded between the two looks
            if number not in self._ended:
                self._waits = Waits()
                return number
            self._lease(number, 0.0)
        self._waits.tell(self._name, others, self._lease_s)
        return None

    def _lease(self, number: int, lease_s: float) -> bool:
        name = f"trial/{self._key}/{number}"
        journal = self._stores.journal
        return journal.lease(name, owner=self._owner, lease_s=lease_s) is not None

    def _begin(self, head: str, item: Draft, reason: str) -> str:
        """Record that something began, once; return the fact that says so."""
        move = HeadMove(name=head, to=item.id, expect=None)
        try:
            self._stores.ledger.commit(self._scope.batch(reason, [item], heads=[move]))
        except Conflict as error:
            if error.code != "head-moved":
                raise
        found = self._stores.ledger.head(self._scope.project, head)
        assert found is not None  # noqa: S101  # it was made now or before, and none is removed
        return found.target

    def _record(self, ended: TrialEnded, head: str, begun: str) -> bool:
        """Record a trial's end, once: False when another process took it over and was quicker."""
        item = draft(ended, parents=[self._search, begun])
        move = HeadMove(name=head, to=item.id, expect=begun)
        reason = f"trial {ended.number} {ended.state}"
        try:
            self._stores.ledger.commit(self._scope.batch(reason, [item], heads=[move]))
        except Conflict as error:
            if error.code != "head-moved":
                raise
            return False
        return True
