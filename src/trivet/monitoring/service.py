"""The monitoring service: closes windows, raises and resolves alerts, judges rollouts.

A look does everything that is due on the event clock, and nothing twice: each closed window, the
detector's new state and the alert it raises are one commit, guarded by a head that only moves
forward. A look that dies is made up by the next.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from trivet.core.clock import EPOCH, Clock
from trivet.core.errors import Conflict, Forbidden, Invalid, TrivetError
from trivet.core.facts import Draft, HeadMove, Scope, ViewPut, draft, read
from trivet.core.ids import check_name
from trivet.core.ports import Stores, View
from trivet.models.facts import ModelVersion
from trivet.monitoring.collecting import Collector, Seen
from trivet.monitoring.facts import (
    Alert,
    AlertResolved,
    Baseline,
    WatchSet,
    WindowClosed,
)
from trivet.monitoring.rollouts import Rollout, add_canary_window, add_shadow_window, begin
from trivet.monitoring.watching import Watched, Watcher
from trivet.releases.facts import Release, RolloutDecision
from trivet.releases.judge import Judgement, judge_canary, judge_shadow
from trivet.releases.service import ReleasesService

_STATE = View(
    name="monitoring_state",
    columns={"project": "text", "endpoint": "text", "what": "text", "state": "blob"},
    key=("project", "endpoint", "what"),
)


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What one look did."""

    windows: tuple[WindowClosed, ...] = ()
    alerts: tuple[Alert, ...] = ()
    resolved: tuple[AlertResolved, ...] = ()
    decisions: tuple[RolloutDecision, ...] = ()


class MonitoringService:
    """Watches the endpoints of a project."""

    def __init__(self, stores: Stores, scope: Scope, clock: Clock) -> None:
        self._stores = stores
        self._scope = scope
        self._clock = clock
        self._releases = ReleasesService(stores, scope)
        self._collectors: dict[float, Collector] = {}
        self._watchers: dict[str, Watcher] = {}
        stores.views.declare(_STATE)

    # -- settings ------------------------------------------------------------------------------

    def watch(self, watch: WatchSet) -> WatchSet:
        """Set how an endpoint is watched.

        Raises:
            Invalid: A number is out of its range.
        """
        waits = min(watch.label_delay_s, watch.repeat_s)
        if watch.window_s < 60 or waits < 0 or not 0 < watch.false_alarms_per_year <= 1000:
            raise Invalid(
                "a watch has a number out of range; expected window_s >= 60, label_delay_s and "
                "repeat_s >= 0 and 0 < false_alarms_per_year <= 1000",
                code="bad-watch",
                hint="Look the settings of monitor.toml up in docs/reference/settings.md.",
            )
        check_name(watch.endpoint, "endpoint")
        item = draft(watch)
        head = HeadMove(name=f"monitor/{watch.endpoint}", to=item.id)
        self._commit(f"watch {watch.endpoint}", [item], [head])
        return watch

    def watched(self, endpoint: str) -> WatchSet:
        """Return how an endpoint is watched; the defaults when nothing was set."""
        head = self._stores.ledger.head(self._scope.project, f"monitor/{endpoint}")
        if head is None:
            return WatchSet(endpoint=endpoint)
        return read(self._stores.ledger.get(head.target), WatchSet)

    # -- what is on record -----------------------------------------------------------------------

    def windows(self, endpoint: str, limit: int = 100) -> tuple[WindowClosed, ...]:
        """Return an endpoint's closed windows, newest first."""
        page = self._stores.ledger.find(
            WindowClosed.KIND,
            where={"endpoint": endpoint},
            project=self._scope.project,
            limit=limit,
        )
        return tuple(read(entry, WindowClosed) for entry in page.entries)

    def alerts(
        self, endpoint: str | None = None, limit: int = 100
    ) -> tuple[tuple[str, Alert], ...]:
        """Return (identifier, alert), newest first."""
        page = self._stores.ledger.find(
            Alert.KIND,
            where={"endpoint": endpoint} if endpoint else None,
            project=self._scope.project,
            limit=limit,
        )
        return tuple((entry.id, read(entry, Alert)) for entry in page.entries)

    def open_alert(self, endpoint: str) -> tuple[str, Alert] | None:
        """Return the alert about an endpoint that is not resolved, or None."""
        newest = self.alerts(endpoint, limit=1)
        if not newest:
            return None
        ended = self._stores.ledger.find(AlertResolved.KIND, where={"alert": newest[0][0]}, limit=1)
        return None if ended.entries else newest[0]

    def resolve(self, alert_id: str, how: str) -> AlertResolved:
        """End an alert, in words.

        Raises:
            NotFound: There is no such alert.
        """
        alert = read(self._stores.ledger.get(alert_id), Alert)
        fact = AlertResolved(
            alert=alert_id, endpoint=alert.endpoint, event_time=self._clock.now(), how=how
        )
        self._commit(f"resolve an alert: {how}", [draft(fact, parents=[alert_id])])
        return fact

    # -- looking -------------------------------------------------------------------------------

    def look(self) -> Looked:
        """Close every window that is due, for every endpoint, and act on what was seen."""
        done = Looked()
        try:
            for endpoint in self._releases.endpoints():
                watch = self.watched(endpoint)
                collector = self._collector(watch.window_s)
                collector.pull()
                self._take_up(watch, collector)
                for start in self._due(watch, collector):
                    done = _join(done, self._close(watch, collector, start))
        except TrivetError:
            # What is in memory may be ahead of what is on record: the next look begins as a new
            # process would.
            self._collectors.clear()
            self._watchers.clear()
            raise
        return done

    def _take_up(self, watch: WatchSet, collector: Collector) -> None:
        """Let go of rows that were judged, after handing a new watcher those it had seen."""
        last = self._last_window(watch.endpoint)
        if last is None:
            return
        if watch.endpoint not in self._watchers:
            watcher = self._watcher(watch, self._in_force(watch.endpoint))
            watcher.remember([collector.rows(watch.endpoint, start) for start in watcher.starts])
        collector.close(watch.endpoint, last.end)

    def _due(self, watch: WatchSet, collector: Collector) -> tuple[datetime, ...]:
        settled = self._clock.now() - timedelta(seconds=watch.window_s + watch.label_delay_s)
        return tuple(start for start in collector.windows(watch.endpoint) if start <= settled)

    def _in_force(self, endpoint: str) -> Release:
        release = self._releases.current(endpoint)
        assert release is not None  # noqa: S101  # `endpoints` lists released ones
        return release

    def _close(self, watch: WatchSet, collector: Collector, start: datetime) -> Looked:
        endpoint = watch.endpoint
        end = start + timedelta(seconds=watch.window_s)
        rows = collector.rows(endpoint, start)
        release = self._in_force(endpoint)
        resolved = self._resolve_replaced(release)
        watcher = self._watcher(watch, release)
        watcher.is_muted = start < self._muted_until(watch)
        seen = watcher.close(rows, start, end, release, collector.late[endpoint])
        rollout = self._evidence(watch, collector, release, watcher, rows)
        alert = self._record(release, watcher, seen, rollout)
        collector.close(endpoint, end)
        decision = None if rollout is None else self._judge(watch, release, rollout)
        return Looked(
            windows=(seen.window,),
            alerts=() if alert is None else (alert,),
            resolved=resolved,
            decisions=() if decision is None else (decision,),
        )

    def _record(
        self, release: Release, watcher: Watcher, seen: Watched, rollout: Rollout | None
    ) -> Alert | None:
        """Commit a window, what detector and rollout know by it, and an alert, all together."""
        endpoint = release.plan.endpoint
        last = self._stores.ledger.head(self._scope.project, f"window/{endpoint}")
        window = draft(seen.window, parents=[release.id, watcher.baseline_id])
        facts: list[Draft] = [window]
        alert = seen.alert
        if alert is not None:
            before = self.open_alert(endpoint)
            if before is not None:
                # The loss went on after the last alert was acted on: that one is over, this one
                # is new evidence, from a detector that began afresh.
                ended = AlertResolved(
                    alert=before[0],
                    endpoint=endpoint,
                    event_time=seen.window.end,
                    how="the loss went on; a new alert takes its place",
                )
                facts.append(draft(ended, parents=[before[0]]))
            facts.append(draft(alert, parents=[window.id, release.id, watcher.baseline_id]))
        head = HeadMove(
            name=f"window/{endpoint}", to=window.id, expect=last.target if last else None
        )
        rows = [self._row(endpoint, f"detector/{watcher.model_id}", watcher.state())]
        if rollout is not None:
            rows.append(self._row(endpoint, "rollout", msgspec.json.encode(rollout)))
        self._commit(f"close a window of {endpoint}", facts, [head], rows)
        return alert

    def _muted_until(self, watch: WatchSet) -> datetime:
        """Until when the open alert says what a new one would say."""
        found = self.open_alert(watch.endpoint)
        if found is None:
            return EPOCH
        return found[1].event_time + timedelta(seconds=watch.repeat_s)

    def _resolve_replaced(self, release: Release) -> tuple[AlertResolved, ...]:
        found = self.open_alert(release.plan.endpoint)
        champion = release.plan.variants[0]
        if found is None or found[1].model == champion.model:
            return ()
        return (self.resolve(found[0], f"version {champion.version} is champion now"),)

    def _watcher(self, watch: WatchSet, release: Release) -> Watcher:
        """Return the champion's watcher; a new champion, or a new watch, gets a new baseline."""
        champion = release.plan.variants[0]
        watcher = self._watchers.get(watch.endpoint)
        if watcher is not None and watcher.model_id == champion.model and watcher.watch == watch:
            return watcher
        version = read(self._stores.ledger.get(champion.model), ModelVersion)
        watcher = Watcher(self._stores.blobs, watch, champion.model, version)
        watcher.baseline_id = self._baseline_id(watcher.baseline)
        state = self._state(watch.endpoint, f"detector/{champion.model}")
        if state is not None:
            watcher.restore(state)
        self._watchers[watch.endpoint] = watcher
        return watcher

    def _baseline_id(self, baseline: Baseline) -> str:
        known = self._stores.ledger.find(
            Baseline.KIND, where={"model": baseline.model}, project=self._scope.project
        ).entries
        fact = draft(baseline, parents=[baseline.model])
        same = next((entry for entry in known if entry.payload == fact.payload), None)
        if same is not None:
            return same.id
        self._commit(f"set the baseline of {baseline.endpoint}", [fact])
        return fact.id

    # -- rollouts ------------------------------------------------------------------------------

    def _evidence(
        self,
        watch: WatchSet,
        collector: Collector,
        release: Release,
        watcher: Watcher,
        rows: tuple[Seen, ...],
    ) -> Rollout | None:
        """Add a window's rows to what is known about the rollout under way, if there is one."""
        plan = release.plan
        own = tuple(row for row in rows if row.prediction.release == release.id)
        if plan.stage == "full" or not watch.automatic_rollouts or not own:
            return None
        rollout = self._rollout(watch.endpoint, release)
        if plan.stage == "shadow":
            pairs = collector.pairs(own)
            return add_shadow_window(rollout, pairs, watcher.signature, watcher.scale)
        live = [row for row in own if row.prediction.role == "live"]
        share = plan.variants[1].share
        return add_canary_window(rollout, live, share, watcher.signature, watcher.scale)

    def _judge(self, watch: WatchSet, release: Release, known: Rollout) -> RolloutDecision | None:
        policy = watch.rollout
        if release.plan.stage == "shadow":
            judgement = judge_shadow(known.gains, known.windows, policy)
        else:
            judgement = judge_canary(known.harm, known.canary_requests, known.windows, policy)
        return self._apply(watch, release, judgement)

    def _apply(
        self, watch: WatchSet, release: Release, judgement: Judgement
    ) -> RolloutDecision | None:
        try:
            self._releases.apply(release, judgement, canary_share=watch.rollout.canary_share)
        except Conflict as error:
            if error.code != "head-moved":
                raise
            # A person moved the release while it was judged: theirs is the word.
            return None
        except Forbidden as error:
            if error.code != "approval-needed":
                raise
            # People were asked; until they agree, all stays as it is.
            return None
        return RolloutDecision(
            endpoint=watch.endpoint,
            release=release.id,
            outcome=judgement.outcome,
            findings=judgement.findings,
        )

    def _rollout(self, endpoint: str, release: Release) -> Rollout:
        state = self._state(endpoint, "rollout")
        if state is not None:
            known = msgspec.json.decode(state, type=Rollout)
            if known.release == release.id:
                return known
        return begin(release.id)

    # -- small things --------------------------------------------------------------------------

    def _collector(self, window_s: float) -> Collector:
        found = self._collectors.get(window_s)
        if found is None:
            found = Collector(self._stores.log, timedelta(seconds=window_s))
            self._collectors[window_s] = found
        return found

    def _last_window(self, endpoint: str) -> WindowClosed | None:
        head = self._stores.ledger.head(self._scope.project, f"window/{endpoint}")
        return None if head is None else read(self._stores.ledger.get(head.target), WindowClosed)

    def _state(self, endpoint: str, what: str) -> bytes | None:
        where = {"project": self._scope.project, "endpoint": endpoint, "what": what}
        rows = self._stores.views.find(_STATE.name, where=where, limit=1)
        return bytes(rows[0]["state"]) if rows else None

    def _row(self, endpoint: str, what: str, state: bytes) -> ViewPut:
        row: dict[str, Any] = {
            "project": self._scope.project,
            "endpoint": endpoint,
            "what": what,
            "state": state,
        }
        return ViewPut(view=_STATE.name, row=row)

    def _commit(
        self,
        why: str,
        facts: list[Draft],
        heads: list[HeadMove] | None = None,
        rows: list[ViewPut] | None = None,
    ) -> None:
        self._stores.ledger.commit(
            self._scope.batch(why, facts, heads=heads or (), rows=rows or ())
        )


def _join(one: Looked, other: Looked) -> Looked:
    return Looked(
        windows=one.windows + other.windows,
        alerts=one.alerts + other.alerts,
        resolved=one.resolved + other.resolved,
        decisions=one.decisions + other.decisions,
    )
