"""The triggers service: sets rules, looks, and asks for runs in the transaction that says so."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from trivet.core.clock import Clock
from trivet.core.errors import Conflict, NotFound
from trivet.core.facts import HeadMove, Inbox, Scope, draft, read
from trivet.core.ids import check_name, new_id
from trivet.core.ports import Stores
from trivet.data.facts import DataCommit
from trivet.monitoring.facts import Alert, AlertResolved
from trivet.pipelines.requests import RunRequest, new_task
from trivet.triggers.facts import Cause, Firing, Trigger, TriggerSet
from trivet.triggers.rules import Decision, Past, Sight, check_rule, decide, due_mark

_HISTORY = 1000
_ATTEMPTS = 3


class TriggersService:
    """Rules that watch facts and ask for runs."""

    def __init__(self, stores: Stores, scope: Scope, clock: Clock) -> None:
        self._ledger = stores.ledger
        self._journal = stores.journal
        self._scope = scope
        self._clock = clock

    def when(
        self,
        name: str,
        cause: Cause,
        *,
        do: str,
        watch: str = "",
        parameters: Mapping[str, Any] | None = None,
        cooldown_s: float = 0.0,
        per_week: int | None = None,
    ) -> Trigger:
        """Set a trigger, or change the one of this name.

        Setting what stands already changes nothing; a pause lasts until it is ended, and a
        trigger that goes on watching the same does not forget what it has seen.

        Args:
            name: The trigger's name.
            cause: `alert`, `data`, `schedule` or `hand`.
            do: The flow to run, `module:function`.
            watch: The endpoint, the data set, or the period in seconds.
            parameters: Parameters of the flow.
            cooldown_s: Least event time between two firings, in seconds.
            per_week: At most so many firings in seven days.

        Raises:
            Invalid: A field contradicts the cause.
        """
        rule = TriggerSet(
            name=check_name(name, "trigger name"),
            cause=cause,
            watch=watch,
            flow=do,
            parameters=dict(parameters or {}),
            cooldown_s=cooldown_s,
            per_week=per_week,
            since=self._clock.now(),
            seen=self._newest_data(watch) if cause == "data" else None,
        )
        check_rule(rule)
        before = self._named(name)
        if before is not None:
            rule = _carry_on(before.rule, rule)
            if rule == before.rule:
                return before
        return self._set(rule, f"set trigger {name}")

    def pause(self, name: str, *, paused: bool = True) -> Trigger:
        """Pause a trigger, or let it go on.

        Raises:
            NotFound: There is no trigger of this name.
        """
        rule = msgspec.structs.replace(self.get(name).rule, paused=paused)
        return self._set(rule, f"{'pause' if paused else 'resume'} trigger {name}")

    def get(self, name: str) -> Trigger:
        """Return a trigger.

        Raises:
            NotFound: There is none of this name.
        """
        found = self._named(name)
        if found is None:
            raise NotFound(
                f"no trigger is named {name!r}",
                code="no-trigger",
                hint="List them: `trivet triggers`.",
            )
        return found

    def all(self) -> tuple[Trigger, ...]:
        """Return every trigger, by name."""
        heads = self._ledger.heads(self._scope.project, "trigger/")
        return tuple(
            Trigger(id=head.target, rule=read(self._ledger.get(head.target), TriggerSet))
            for head in heads
        )

    def firings(self, name: str | None = None, limit: int = 100) -> tuple[Firing, ...]:
        """Return what triggers decided, newest first."""
        page = self._ledger.find(
            Firing.KIND,
            where={"trigger": name} if name else None,
            project=self._scope.project,
            limit=limit,
        )
        return tuple(read(entry, Firing) for entry in page.entries)

    def fire(self, name: str, reason: str) -> Firing:
        """Fire by hand: no cool-down, no budget, but on record like every other.

        Raises:
            NotFound: There is no trigger of this name.
        """
        decision = Decision(fires=True, reason=f"by hand: {reason}", mark=new_id())
        return self._record(self.get(name), decision, self._clock.now())

    def look(self) -> tuple[Firing, ...]:
        """Look at the world once and decide for every trigger.

        Firings and refusals are recorded; that there is nothing new is not. A look is idempotent:
        looking twice at the same world asks for one run.

        Returns:
            What was recorded at this look.
        """
        now = self._clock.now()
        recorded: list[Firing] = []
        for trigger in self.all():
            past = self._past(trigger.rule.name)
            decision = decide(trigger.rule, self._see(trigger, past, now), past, now)
            if decision.mark is None or self._said_already(trigger, decision):
                continue
            try:
                recorded.append(self._record(trigger, decision, now))
            except Conflict as error:
                if error.code != "seen":
                    raise
                # Another process looked at the same moment and asked for the run.
        return tuple(recorded)

    def _see(self, trigger: Trigger, past: Past, now: datetime) -> Sight:
        rule = trigger.rule
        if rule.cause == "schedule":
            return due_mark(float(rule.watch), past.fired, rule.since, now)
        if rule.cause == "alert":
            return self._see_alert(rule.watch)
        if rule.cause == "data":
            newest = self._newest_data(rule.watch)
            if newest is None or newest == rule.seen:
                return Sight(mark=None, summary=f"data set {rule.watch} has no newer version")
            commit = read(self._ledger.get(newest), DataCommit)
            return Sight(mark=newest, summary=f"new data: {commit.source}")
        return Sight(mark=None, summary="fires by hand alone")

    def _named(self, name: str) -> Trigger | None:
        head = self._ledger.head(self._scope.project, f"trigger/{name}")
        if head is None:
            return None
        return Trigger(id=head.target, rule=read(self._ledger.get(head.target), TriggerSet))

    def _newest_data(self, dataset: str) -> str | None:
        head = self._ledger.head(self._scope.project, f"data/{dataset}")
        return head.target if head else None

    def _see_alert(self, endpoint: str) -> Sight:
        found = self._ledger.find(
            Alert.KIND, where={"endpoint": endpoint}, project=self._scope.project, limit=1
        ).entries
        if not found:
            return Sight(mark=None, summary=f"no alert about {endpoint}")
        alert = read(found[0], Alert)
        ended = self._ledger.find(AlertResolved.KIND, where={"alert": found[0].id}, limit=1)
        if ended.entries:
            return Sight(mark=None, summary=f"the last alert about {endpoint} is resolved")
        return Sight(mark=found[0].id, summary=f"alert: {alert.summary}")

    def _past(self, name: str) -> Past:
        entries = self._ledger.find(
            Firing.KIND, where={"trigger": name}, project=self._scope.project, limit=_HISTORY
        ).entries
        fired = [f for f in (read(entry, Firing) for entry in entries) if f.outcome == "fired"]
        tasks = [f"{self._scope.project}/{f.task}" for f in fired[:5]]
        running = any(
            task is not None and task.state in {"ready", "running"}
            for task in map(self._journal.task, tasks)
        )
        return Past(
            marks=frozenset(
                task.removeprefix(f"{name}/") for task in (f.task or "" for f in fired)
            ),
            fired=tuple(f.event_time for f in fired),
            is_running=running,
        )

    def _said_already(self, trigger: Trigger, decision: Decision) -> bool:
        """A refusal that stands is recorded once, not at every look."""
        if decision.fires:
            return False
        newest = self.firings(trigger.rule.name, limit=1)
        return bool(newest) and newest[0].outcome == "held" and newest[0].reason == decision.reason

    def _record(self, trigger: Trigger, decision: Decision, now: datetime) -> Firing:
        rule = trigger.rule
        key = f"{rule.name}/{decision.mark}"
        outcome: Literal["fired", "held"] = "fired" if decision.fires else "held"
        firing = Firing(
            trigger=rule.name,
            outcome=outcome,
            reason=decision.reason,
            event_time=now,
            task=key if decision.fires else None,
        )
        parents = [trigger.id]
        if rule.cause in {"alert", "data"} and decision.mark and self._ledger.get(decision.mark):
            parents.append(decision.mark)
        fact = draft(firing, parents=parents)
        if not decision.fires:
            self._ledger.commit(self._scope.batch(decision.reason, [fact]))
            return firing
        asked = RunRequest(flow=rule.flow, parameters=rule.parameters, asked_by=fact.id)
        task = new_task(asked, key=f"{self._scope.project}/{key}", max_attempts=_ATTEMPTS)
        # The inbox row makes a mark count once: of two processes that look at once, one asks.
        seen = Inbox(source=f"trigger/{self._scope.project}/{rule.name}", key=decision.mark or "")
        self._ledger.commit(self._scope.batch(decision.reason, [fact], tasks=[task], inbox=[seen]))
        return firing

    def _set(self, rule: TriggerSet, why: str) -> Trigger:
        fact = draft(rule)
        head = HeadMove(name=f"trigger/{rule.name}", to=fact.id)
        self._ledger.commit(self._scope.batch(why, [fact], heads=[head]))
        return Trigger(id=fact.id, rule=rule)


def _carry_on(before: TriggerSet, rule: TriggerSet) -> TriggerSet:
    """Keep what a change of limits or flow must not lose: a pause, and what was seen."""
    if (before.cause, before.watch) == (rule.cause, rule.watch):
        return msgspec.structs.replace(
            rule, paused=before.paused, since=before.since, seen=before.seen
        )
    return msgspec.structs.replace(rule, paused=before.paused)
