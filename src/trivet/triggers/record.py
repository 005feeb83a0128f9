"""The record of what triggers decided: written with the task that it asks for, and read back."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from trivet.core.errors import NotFound
from trivet.core.facts import Draft, Inbox, Scope, ViewPut, draft, read
from trivet.core.ports import Blobs, Stores
from trivet.data.naming import is_identifier
from trivet.pipelines.requests import RunRequest, new_task
from trivet.tracking.facts import RunFinished, RunStarted
from trivet.triggers.facts import Firing, Trigger, TriggerSet
from trivet.triggers.notebook import Notebook
from trivet.triggers.rules import Decision, Notes, Past, Sight

_HISTORY = 1000
_ATTEMPTS = 3
_RECENT_TASKS = 5
_WEEK = timedelta(days=7)


class Record:
    """The firings of a project's triggers.

    Args:
        stores: The ledger, and the journal that knows which runs are under way.
        scope: Project and actor.
        notebook: What triggers remember between looks; begun afresh by a firing.
    """

    def __init__(self, stores: Stores, scope: Scope, notebook: Notebook) -> None:
        self._ledger = stores.ledger
        self._journal = stores.journal
        self._blobs = stores.blobs
        self._scope = scope
        self._notebook = notebook

    def hold(self, trigger: Trigger, decision: Decision, now: datetime) -> Firing | None:
        """Record that a trigger does not fire; None when that stands on record already.

        Raises:
            Conflict: Another process recorded a decision at this moment (code `seen`).
        """
        name = trigger.rule.name
        newest = next(iter(self.firings(name, 1)), None)
        if newest and (newest[1].outcome, newest[1].reason) == ("held", decision.reason):
            return None
        firing = _firing(trigger, decision, now)
        fact = draft(firing, parents=self._parents(trigger, decision.mark))
        # One refusal may follow a decision: of two processes that look at once, one says it.
        place = f"trigger-held/{self._scope.project}/{name}"
        inbox = Inbox(source=place, key=newest[0] if newest else "")
        self._ledger.commit(self._scope.batch(decision.reason, [fact], inbox=[inbox]))
        return firing

    def fire(
        self,
        trigger: Trigger,
        decision: Decision,
        sight: Sight,
        now: datetime,
        notes: Notes | None = None,
    ) -> Firing:
        """Record that a trigger fires, and ask for the run in the same commit.

        Args:
            trigger: Which one.
            decision: Why, and what it acts on.
            sight: What it saw.
            now: Event time.
            notes: What it remembers; None: what the notebook has.

        Raises:
            Conflict: Somebody asked for a run by this mark before (code `seen`).
        """
        seen = sight.seen
        if sight.listing is not None:
            seen = keep_listing(self._blobs, sight.listing)  # bytes first, then the fact
        firing = msgspec.structs.replace(_firing(trigger, decision, now), seen=seen)
        fact = draft(firing, parents=self._parents(trigger, decision.mark))
        self._ask(trigger.rule, decision, fact, notes)
        return firing

    def _ask(self, rule: TriggerSet, decision: Decision, fact: Draft, notes: Notes | None) -> None:
        project, mark = self._scope.project, decision.mark or ""
        asked = RunRequest(flow=rule.flow, parameters=rule.parameters, asked_by=fact.id)
        task = new_task(asked, key=f"{project}/{rule.name}/{mark}", max_attempts=_ATTEMPTS)
        # The inbox row makes a mark count once: of two processes that look at once, one asks.
        inbox = Inbox(source=f"trigger/{project}/{rule.name}", key=mark)
        after = Notes(listing=(notes or self._notebook.read(rule.name)).listing)
        row = ViewPut(view=self._notebook.view, row=self._notebook.row(rule.name, after))
        batch = self._scope.batch(decision.reason, [fact], tasks=[task], inbox=[inbox], rows=[row])
        self._ledger.commit(batch)

    def _parents(self, trigger: Trigger, mark: str | None) -> list[str]:
        is_fact = trigger.rule.cause in {"alert", "data", "asset"} and mark and is_identifier(mark)
        return [trigger.id, mark] if is_fact and mark and self._ledger.get(mark) else [trigger.id]

    def firings(self, name: str | None, limit: int) -> list[tuple[str, Firing]]:
        """Return (identifier, decision), newest first."""
        page = self._ledger.find(
            Firing.KIND,
            where={"trigger": name} if name else None,
            project=self._scope.project,
            limit=limit,
        )
        return [(entry.id, read(entry, Firing)) for entry in page.entries]

    def firing_of(self, name: str, mark: str) -> Firing:
        """Return the firing that acted on a mark.

        Raises:
            NotFound: It lies too far back.
        """
        for _, firing in self.firings(name, _HISTORY):
            if firing.task == f"{name}/{mark}":
                return firing
        raise NotFound(f"no recent firing of trigger {name!r} acted on {mark}", code="no-firing")

    def past(self, rule: TriggerSet, now: datetime) -> Past:
        """Gather what decides about a trigger's next firing."""
        name = rule.name
        fired = [item for item in self.firings(name, _HISTORY) if item[1].outcome == "fired"]
        stands = next(((id, f.seen) for id, f in fired if _is_of_now(f, rule)), None)
        after, seen = stands or (rule.watching, None)
        return Past(
            marks=frozenset((f.task or "").removeprefix(f"{name}/") for _, f in fired),
            fired=tuple(f.event_time for _, f in fired),
            is_running=any(self._is_open(f.task) for _, f in fired[:_RECENT_TASKS]),
            seen=seen,
            after=after,
            seconds=self._seconds(rule, fired, now),
        )

    def _is_open(self, key: str | None) -> bool:
        task = self._journal.task(f"{self._scope.project}/{key}")
        return task is not None and task.state in {"ready", "running"}

    def _seconds(self, rule: TriggerSet, fired: list[tuple[str, Firing]], now: datetime) -> float:
        if rule.seconds_per_week is None:
            return 0.0
        recent = [id for id, firing in fired if now - firing.event_time < _WEEK]
        return sum(map(self._seconds_of, recent))

    def _seconds_of(self, firing_id: str) -> float:
        """Sum what the runs of a firing took; several when one was begun again."""
        runs = self._ledger.find(RunStarted.KIND, parent=firing_id).entries
        ends = [
            end
            for run in runs
            for end in self._ledger.find(RunFinished.KIND, where={"run": run.id}, limit=1).entries
        ]
        return sum(read(end, RunFinished).seconds for end in ends)


def keep_listing(blobs: Blobs, listing: Mapping[str, str]) -> str:
    """Store a listing that is acted on; return its digest."""
    return blobs.put(msgspec.json.encode(listing, order="deterministic"))


def _firing(trigger: Trigger, decision: Decision, now: datetime) -> Firing:
    return Firing(
        trigger=trigger.rule.name,
        outcome="fired" if decision.fires else "held",
        reason=decision.reason,
        event_time=now,
        task=f"{trigger.rule.name}/{decision.mark}" if decision.fires else None,
        watching=trigger.rule.watching,
    )


def _is_of_now(firing: Firing, rule: TriggerSet) -> bool:
    """Whether what a firing saw is still what the trigger compares with."""
    return firing.seen is not None and firing.watching == rule.watching
