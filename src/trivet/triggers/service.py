"""The triggers service: sets rules, looks, and asks for runs in the transaction that says so."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Unpack

import msgspec

from trivet.core.clock import Clock
from trivet.core.errors import Conflict, Invalid, NotFound, TrivetError
from trivet.core.facts import HeadMove, Scope, draft, read
from trivet.core.ids import new_id, sha256_hex
from trivet.core.ports import Stores
from trivet.triggers.checking import check_rule, make_rule
from trivet.triggers.cron import next_times, parse, zone_of
from trivet.triggers.facts import (
    Cause,
    Explanation,
    Firing,
    Options,
    Trigger,
    TriggerSet,
    Woken,
)
from trivet.triggers.notebook import Notebook
from trivet.triggers.record import Record
from trivet.triggers.rules import Decision, Notes, Past, Sight, decide
from trivet.triggers.seeing import Lookout, World

_WEEK = timedelta(days=7)


class TriggersService:
    """Rules that watch facts and ask for runs.

    Args:
        stores: Where everything is kept.
        scope: Project and actor.
        clock: The event clock.
        world: Folders, buckets and repositories that triggers look at.
    """

    def __init__(
        self, stores: Stores, scope: Scope, clock: Clock, world: World | None = None
    ) -> None:
        self._ledger = stores.ledger
        self._scope = scope
        self._clock = clock
        self._lookout = Lookout(stores, scope, world or World())
        self._notebook = Notebook(stores.views, scope)
        self._record = Record(stores, scope, self._notebook)
        self._heard: dict[str, int] = {}

    def when(
        self,
        name: str,
        cause: Cause,
        *,
        do: str,
        watch: str = "",
        parameters: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Trigger:
        """Set a trigger, or change the one of this name.

        Setting what stands already changes nothing; a pause lasts until it is ended, and a
        trigger that goes on watching the same does not forget what it has seen.

        Args:
            name: The trigger's name.
            cause: `alert`, `data`, `asset`, `files`, `bucket`, `git`, `schedule`, `cron` or `hand`.
            do: The flow to run, `module:function`.
            watch: What it looks at: see `TriggerSet.watch`.
            parameters: Parameters of the flow.
            **options: Limits, and what belongs to the cause: see `Options`.

        Raises:
            Invalid: A field contradicts the cause.
            TrivetError: What it is to watch cannot be looked at.
        """
        rule = make_rule(
            {
                "name": name,
                "cause": cause,
                "watch": watch,
                "flow": do,
                "parameters": dict(parameters or {}),
                "since": self._clock.now(),
            },
            options,
        )
        return self._change(rule, f"set trigger {name}")

    def edit(
        self,
        name: str,
        *,
        do: str | None = None,
        watch: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Trigger:
        """Change what is given of a trigger, and leave the rest as it is.

        Raises:
            NotFound: There is no trigger of this name.
            Invalid: The change contradicts the cause.
        """
        before = self.get(name).rule
        given = {"flow": do, "watch": watch, "parameters": parameters}
        fields = msgspec.structs.asdict(before) | {k: v for k, v in given.items() if v is not None}
        rule = make_rule(fields | {"since": self._clock.now(), "seen": None}, options)
        return self._change(rule, f"edit trigger {name}")

    def pause(self, name: str, *, paused: bool = True) -> Trigger:
        """Pause a trigger, or let it go on.

        Raises:
            NotFound: There is no trigger of this name.
        """
        rule = msgspec.structs.replace(self.get(name).rule, paused=paused)
        return self._set(rule, f"{'pause' if paused else 'resume'} trigger {name}")

    def remove(self, name: str, reason: str) -> Trigger:
        """Remove a trigger; its past stays on record, and runs under way go on.

        Raises:
            NotFound: There is no trigger of this name.
        """
        found = self.get(name)
        head = HeadMove(name=f"trigger/{name}", to=None, expect=found.id)
        self._ledger.commit(self._scope.batch(reason, heads=[head]))
        return found

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
        return tuple(firing for _, firing in self._record.firings(name, limit))

    def fire(self, name: str, reason: str, *, key: str | None = None) -> Firing:
        """Fire by hand: no cool-down, no budget, but on record like every other.

        Args:
            name: The trigger.
            reason: Why.
            key: Names the request: the same person's second one of this key asks for nothing and
                gets the first one's answer.

        Raises:
            NotFound: There is no trigger of this name.
            Invalid: The key came before with another reason (code `key-reused`), or is malformed.
        """
        trigger = self.get(name)
        mark = new_id() if key is None else _mark_of_key(self._scope.actor, key)
        decision = Decision(fires=True, reason=f"by hand: {reason}", mark=mark)
        sight = Sight(mark=mark, summary=decision.reason)
        try:
            return self._record.fire(trigger, decision, sight, self._clock.now())
        except Conflict as error:
            if error.code != "seen":
                raise
        first = self._record.firing_of(name, mark)
        if first.reason != decision.reason:
            raise Invalid(
                "this idempotency key came before with another reason",
                code="key-reused",
                hint="Make a new key for each request that means something new.",
            )
        return first

    def wake(self, name: str) -> Woken:
        """Have a trigger looked at soon, without waiting for the next tick.

        An event only wakes: a thousand of them ask for no more than what is there to act on.

        Raises:
            NotFound: There is no trigger of this name.
        """
        self.get(name)
        return Woken(trigger=name, at=self._notebook.wake(name))

    def look(self) -> tuple[Firing, ...]:
        """Look at the world once and decide for every trigger.

        Firings and refusals are recorded; that there is nothing new is not. A look is idempotent:
        looking twice at the same world asks for one run. A trigger that cannot look says so on
        record, and keeps no other from looking.

        Returns:
            What was recorded at this look.
        """
        self._heard = self._notebook.wakes()
        return self._look_at(self.all())

    def look_at_woken(self) -> tuple[Firing, ...]:
        """Look for the triggers that were woken since the last look of this process."""
        heard, self._heard = self._heard, self._notebook.wakes()
        names = {name for name, time in self._heard.items() if heard.get(name) != time}
        if not names:
            return ()
        return self._look_at([t for t in self.all() if t.rule.name in names])

    def explain(self, name: str) -> Explanation:
        """Say what a trigger would do right now, and why. Nothing is recorded.

        Raises:
            NotFound: There is no trigger of this name.
        """
        trigger, now = self.get(name), self._clock.now()
        past = self._record.past(trigger.rule, now)
        decision, _, _ = self._decide(trigger, past, now)
        coming = self.next_times(name, 1) if trigger.rule.cause in {"cron", "schedule"} else ()
        return Explanation(
            trigger=name,
            would_fire=decision.fires,
            reason=decision.reason,
            mark=decision.mark,
            fired_last=max(past.fired, default=None),
            fired_this_week=sum(1 for at in past.fired if now - at < _WEEK),
            next=coming[0] if coming else None,
        )

    def next_times(self, name: str, count: int = 5) -> tuple[datetime, ...]:
        """Return the next times of a schedule, in its zone.

        Raises:
            NotFound: There is no trigger of this name.
            Invalid: It has no schedule.
        """
        rule, now = self.get(name).rule, self._clock.now()
        if rule.cause == "cron":
            zone = zone_of(rule.zone)
            coming = islice(next_times(parse(rule.watch), zone, now), count)
            return tuple(at.astimezone(zone) for at in coming)
        if rule.cause == "schedule":
            period = timedelta(seconds=float(rule.watch))
            passed = max(0, (now - rule.since) // period)
            return tuple(rule.since + (passed + n) * period for n in range(1, count + 1))
        raise Invalid(
            f"trigger {name!r} has the cause {rule.cause!r}, which has no times",
            code="no-times",
            hint="`trivet triggers explain` says what it waits for.",
        )

    def _look_at(self, triggers: Collection[Trigger]) -> tuple[Firing, ...]:
        now = self._clock.now()
        recorded: list[Firing] = []
        for trigger in triggers:
            past = self._record.past(trigger.rule, now)
            decision, sight, notes = self._decide(trigger, past, now)
            try:
                if decision.fires and sight is not None:
                    recorded.append(self._record.fire(trigger, decision, sight, now, notes))
                    continue
                if notes is not None:
                    self._notebook.keep(trigger.rule.name, notes)
                # That there is nothing new is no refusal; that nothing could be seen is one.
                if decision.mark is not None or sight is None:
                    held = self._record.hold(trigger, decision, now)
                    recorded += [held] if held else []
            except Conflict as error:
                if error.code != "seen":
                    raise
                # Another process looked at the same moment, and said or asked it first.
        return tuple(recorded)

    def _decide(
        self, trigger: Trigger, past: Past, now: datetime
    ) -> tuple[Decision, Sight | None, Notes | None]:
        """Decide; the sight is None when nothing could be seen, the notes when none changed."""
        rule, before = trigger.rule, self._notebook.read(trigger.rule.name)
        try:
            sight, notes = self._lookout.see(rule, past, now, before)
        except TrivetError as error:
            return Decision(fires=False, reason=f"could not look: {error.message}"), None, None
        decision = decide(rule, sight, past, now, notes)
        return decision, sight, notes if notes != before else None

    def _named(self, name: str) -> Trigger | None:
        head = self._ledger.head(self._scope.project, f"trigger/{name}")
        if head is None:
            return None
        return Trigger(id=head.target, rule=read(self._ledger.get(head.target), TriggerSet))

    def _change(self, rule: TriggerSet, why: str) -> Trigger:
        check_rule(rule)
        before = self._named(rule.name)
        if before is not None:
            rule = msgspec.structs.replace(rule, paused=before.rule.paused)
        if before is not None and _watches_the_same(before.rule, rule):
            # A change of limits or flow must not lose what was seen.
            old = before.rule
            rule = msgspec.structs.replace(
                rule, since=old.since, seen=old.seen, watching=old.watching
            )
            if rule == before.rule:
                return before
        else:
            standing = self._lookout.standing(rule)
            rule = msgspec.structs.replace(rule, seen=standing, watching=new_id())
        return self._set(rule, why)

    def _set(self, rule: TriggerSet, why: str) -> Trigger:
        fact = draft(rule)
        head = HeadMove(name=f"trigger/{rule.name}", to=fact.id)
        self._ledger.commit(self._scope.batch(why, [fact], heads=[head]))
        return Trigger(id=fact.id, rule=rule)


def _watches_the_same(before: TriggerSet, after: TriggerSet) -> bool:
    return (before.cause, before.watch, before.branch) == (after.cause, after.watch, after.branch)


def _mark_of_key(actor: str, key: str) -> str:
    """Make a mark of an idempotency key; two people may choose the same one.

    Raises:
        Invalid: The key is empty, longer than 255 characters, or holds what cannot be printed.
    """
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise Invalid(
            "the idempotency key is malformed; expected 1 to 255 printable characters",
            code="bad-key",
            hint="A random identifier will do, for example a UUID.",
        )
    return f"key-{sha256_hex(actor.encode(), key.encode())[:32]}"
