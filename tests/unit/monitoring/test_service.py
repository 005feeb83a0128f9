from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from trivet.core.clock import EventClock
from trivet.core.errors import Invalid, NotFound, Unavailable
from trivet.core.facts import Batch, Receipt, Scope, read
from trivet.core.ports import Ledger, Stores
from trivet.models.facts import Model
from trivet.models.packaging import Package
from trivet.monitoring.facts import Alert, Baseline, WatchSet, WindowClosed
from trivet.monitoring.service import Looked, MonitoringService
from trivet.releases.judge import RolloutPolicy
from trivet.releases.service import ReleasesService

START = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PER_DAY = 80
ENDPOINT = "left"
RegisterPackage = Callable[[Stores, Package], Model]


class Street:
    """A served endpoint on an event clock, one day at a time."""

    def __init__(self, stores: Stores, scope: Scope, traffic: Any, world: Any) -> None:
        self.clock = EventClock(START)
        self.stores = stores
        self.scope = scope
        self.releases = ReleasesService(stores, scope)
        self.monitoring = MonitoringService(stores, scope, self.clock)
        self.traffic = traffic
        self._world = world
        self._days = 0

    def restart(self, stores: Stores | None = None) -> None:
        self.monitoring = MonitoringService(stores or self.stores, self.scope, self.clock)

    def day(self, *, harm: bool = False, rows: int = PER_DAY) -> None:
        """Let a day of traffic pass; its window falls due a day after its end."""
        release = self.releases.current(ENDPOINT)
        assert release is not None
        today = START + self._days * DAY
        self.traffic.day(release, self._world.rows(today, rows, harm=harm))
        self._days += 1
        self.clock.move_to(today + 2 * DAY)

    def look(self) -> Looked:
        return self.monitoring.look()

    def live(self, days: int, *, harm: bool = False) -> list[Looked]:
        found: list[Looked] = []
        for _ in range(days):
            self.day(harm=harm)
            found.append(self.look())
        return found


@pytest.fixture
def make_street(
    make_stores: Any, scope: Scope, make_traffic: Any, world: Any, register: Any, packages: Any
) -> Callable[[], Street]:
    """Makes streets on which a good model answers everybody."""

    def make() -> Street:
        stores = make_stores()
        street = Street(stores, scope, make_traffic(stores), world)
        street.releases.release(ENDPOINT, register(stores, packages.good), why="first")
        policy = RolloutPolicy(shadow_windows=2, shadow_pairs=50, canary_windows=2)
        street.monitoring.watch(WatchSet(endpoint=ENDPOINT, rollout=policy))
        return street

    return make


@pytest.fixture
def served(make_street: Callable[[], Street]) -> Street:
    return make_street()


def alerts_of(looks: list[Looked]) -> list[Alert]:
    return [alert for looked in looks for alert in looked.alerts]


def windows_of(street: Street) -> list[WindowClosed]:
    return list(reversed(street.monitoring.windows(ENDPOINT, limit=1000)))


def test_nothing_is_due_before_labels_had_their_time(served: Street) -> None:
    served.day()
    served.monitoring.watch(WatchSet(endpoint=ENDPOINT, label_delay_s=3 * 86_400.0))
    assert served.look() == Looked()
    served.clock.move_to(START + 4 * DAY)
    assert len(served.look().windows) == 1


def test_a_day_is_closed_once_with_its_figures(served: Street) -> None:
    served.day()
    (window,) = served.look().windows
    assert (window.start, window.end) == (START, START + DAY)
    assert (window.predictions, window.labelled) == (PER_DAY, PER_DAY)
    assert set(window.figures) >= {"brier", "event-rate", "mean-prediction", "auc"}
    brier = window.figures["brier"]
    assert brier.low is not None
    assert brier.high is not None
    assert brier.low < brier.value < brier.high
    assert set(window.drift) == {"x", "plan"}
    assert all(0 <= distance < 0.4 for distance in window.drift.values())
    assert window.service["latency-p50-us"] < window.service["latency-p99-us"] < 150
    assert served.look() == Looked()


def test_a_window_names_release_and_baseline_as_parents(served: Street) -> None:
    served.day()
    served.look()
    head = served.stores.ledger.head("flights", f"window/{ENDPOINT}")
    assert head is not None
    entry = served.stores.ledger.get(head.target)
    assert entry is not None
    release = served.releases.current(ENDPOINT)
    assert release is not None
    assert entry.parents[0] == release.id
    baseline = read(served.stores.ledger.get(entry.parents[1]), Baseline)
    assert baseline.loss == "excess-brier"
    assert baseline.card["promised_per_year"] == 1.0
    assert baseline.card["measured_per_year"] <= 2.0


def test_quiet_days_raise_no_alert(served: Street) -> None:
    assert alerts_of(served.live(60)) == []
    assert len(windows_of(served)) == 60


def test_a_planted_loss_of_quality_raises_one_alert_that_names_the_planted_cause(
    served: Street,
) -> None:
    quiet = served.live(20)
    harmed = served.live(10, harm=True)
    assert alerts_of(quiet) == []
    (alert,) = alerts_of(harmed)
    assert "plan" in alert.causes[0].name
    assert "c" in alert.causes[0].summary
    assert alert.causes[0].summary in alert.summary
    # It began when it was planted, within a day or two.
    assert alert.since is not None
    assert abs(alert.since - (START + 20 * DAY)) <= 2 * DAY
    assert alert.value > alert.baseline + alert.tolerance
    assert alert.low <= alert.value <= alert.high
    assert served.monitoring.open_alert(ENDPOINT) is not None


def test_an_open_alert_mutes_its_own_repetition(served: Street) -> None:
    served.live(5)
    harmed = served.live(12, harm=True)
    assert len(alerts_of(harmed)) == 1
    assert len(windows_of(served)) == 17  # windows are measured all the same


def test_trouble_that_goes_on_is_told_again_when_its_time_has_come(served: Street) -> None:
    served.monitoring.watch(WatchSet(endpoint=ENDPOINT, repeat_s=5 * 86_400.0))
    served.live(5)
    first, second, *_ = alerts_of(served.live(16, harm=True))
    assert second.event_time - first.event_time >= 5 * DAY
    (_, newest), *older = served.monitoring.alerts(ENDPOINT)
    assert served.monitoring.open_alert(ENDPOINT) == (
        served.monitoring.alerts(ENDPOINT)[0][0],
        newest,
    )
    assert older  # the earlier ones were ended, each by the next


def test_a_restart_in_between_changes_nothing(make_street: Callable[[], Street]) -> None:
    told: list[list[dict[str, Any]]] = []
    for restarts in (False, True):
        street = make_street()
        for number in range(16):
            street.day(harm=number >= 11)
            street.look()
            if restarts and number in {5, 12}:
                street.restart()
        facts = [*windows_of(street), *(alert for _, alert in street.monitoring.alerts())]
        told.append([_without_identifiers(msgspec.to_builtins(fact)) for fact in facts])
    assert len(told[0]) == 17
    assert told[0] == told[1]


def _without_identifiers(fact: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fact.items() if k not in {"release", "model", "fingerprint"}}


class Breaking:
    """A ledger whose next commit fails, once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.breaks = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def commit(self, batch: Batch) -> Receipt:
        if self.breaks:
            self.breaks = False
            raise Unavailable("the disk is full", code="full")
        return self._ledger.commit(batch)


def test_a_look_that_fails_is_made_up_by_the_next(served: Street) -> None:
    breaking = Breaking(served.stores.ledger)
    served.restart(msgspec.structs.replace(served.stores, ledger=breaking))
    served.live(8)
    for _ in range(6):
        served.day(harm=True)
    breaking.breaks = True
    with pytest.raises(Unavailable):
        served.look()
    looked = served.look()
    assert len(windows_of(served)) == 14
    # The window that failed was not counted twice: the alert is the one that was due anyway.
    (alert,) = looked.alerts
    assert alert.since is not None
    assert abs(alert.since - (START + 8 * DAY)) <= 2 * DAY


def test_the_detector_s_state_is_kept_with_its_window(served: Street) -> None:
    served.live(3)
    rows = served.stores.views.find("monitoring_state", where={"endpoint": ENDPOINT})
    (detector,) = [row for row in rows if str(row["what"]).startswith("detector/")]
    starts = msgspec.json.decode(detector["state"])["starts"]
    assert len(starts) == len(windows_of(served)) == 3


def test_what_comes_after_its_window_was_closed_is_counted_and_not_used(
    served: Street, world: Any
) -> None:
    served.live(2)
    release = served.releases.current(ENDPOINT)
    assert release is not None
    served.traffic.day(release, world.rows(START, 7))
    served.live(1)
    newest = windows_of(served)[-1]
    assert newest.predictions == PER_DAY
    assert newest.service["late"] == 7.0
    assert len(windows_of(served)) == 3


def test_predictions_without_labels_close_their_window_too(served: Street, world: Any) -> None:
    release = served.releases.current(ENDPOINT)
    assert release is not None
    served.traffic.answer(release, world.rows(START, 30))
    served.clock.move_to(START + 3 * DAY)
    (window,) = served.look().windows
    assert (window.predictions, window.labelled, window.figures) == (30, 0, {})


def test_a_replaced_champion_ends_the_alert_about_it(
    served: Street, register: RegisterPackage, packages: Any
) -> None:
    served.live(6)
    assert len(alerts_of(served.live(6, harm=True))) == 1
    served.releases.release(ENDPOINT, register(served.stores, packages.better), why="retrained")
    (looked,) = served.live(1)
    assert [ended.how for ended in looked.resolved] == ["version 2 is champion now"]
    assert served.monitoring.open_alert(ENDPOINT) is None


def test_a_person_can_end_an_alert_in_words(served: Street) -> None:
    served.live(6)
    served.live(6, harm=True)
    found = served.monitoring.open_alert(ENDPOINT)
    assert found is not None
    served.monitoring.resolve(found[0], "the feed was repaired")
    assert served.monitoring.open_alert(ENDPOINT) is None
    with pytest.raises(NotFound):
        served.monitoring.resolve("0" * 32, "never was")


def test_a_changed_watch_has_a_baseline_of_its_own(served: Street) -> None:
    served.live(2)
    served.monitoring.watch(WatchSet(endpoint=ENDPOINT, tolerance=0.05))
    served.live(1)
    page = served.stores.ledger.find(Baseline.KIND).entries
    tolerances = [read(entry, Baseline).tolerance for entry in reversed(page)]
    assert len(tolerances) == 2
    assert tolerances[1] >= tolerances[0] + 0.04
    served.restart()
    served.live(1)
    assert len(served.stores.ledger.find(Baseline.KIND).entries) == 2


def test_a_shadow_that_is_no_worse_becomes_canary_and_then_champion(
    served: Street, register: RegisterPackage, packages: Any
) -> None:
    served.live(2)
    candidate = register(served.stores, packages.better)
    served.releases.shadow(ENDPOINT, candidate, why="retrained")
    stages: list[str] = []
    for _ in range(8):
        served.live(1)
        release = served.releases.current(ENDPOINT)
        assert release is not None
        stages.append(release.plan.stage)
    assert stages[0] == "shadow"
    assert "canary" in stages
    assert stages[-1] == "full"
    assert [s for n, s in enumerate(stages) if n == 0 or stages[n - 1] != s] == [
        "shadow",
        "canary",
        "full",
    ]
    final = served.releases.current(ENDPOINT)
    assert final is not None
    assert final.plan.variants[0].model == candidate.id
    outcomes = [d.outcome for d in reversed(served.releases.decisions(ENDPOINT))]
    assert outcomes.count("advance") == outcomes.count("promote") == 1


def test_a_shadow_that_is_worse_is_taken_back(
    served: Street, register: RegisterPackage, packages: Any
) -> None:
    served.live(2)
    champion = served.releases.current(ENDPOINT)
    assert champion is not None
    served.releases.shadow(ENDPOINT, register(served.stores, packages.wrong), why="a mistake")
    served.live(4)
    final = served.releases.current(ENDPOINT)
    assert final is not None
    assert final.plan.stage == "full"
    assert final.plan.variants[0].model == champion.plan.variants[0].model
    newest = served.releases.decisions(ENDPOINT)[0]
    assert newest.outcome == "rollback"
    assert newest.findings[0].ok is False


def test_a_canary_that_does_harm_is_taken_back(
    served: Street, register: RegisterPackage, packages: Any
) -> None:
    served.live(2)
    served.releases.shadow(ENDPOINT, register(served.stores, packages.wrong), why="a mistake")
    served.releases.canary(ENDPOINT, 0.25, why="a person could not wait")
    served.live(6)
    final = served.releases.current(ENDPOINT)
    assert final is not None
    assert final.plan.stage == "full"
    assert final.plan.variants[0].version == 1
    assert served.releases.decisions(ENDPOINT)[0].outcome == "rollback"


def test_a_restart_during_a_rollout_loses_none_of_its_evidence(
    served: Street, register: RegisterPackage, packages: Any
) -> None:
    served.monitoring.watch(
        WatchSet(
            endpoint=ENDPOINT,
            rollout=RolloutPolicy(shadow_windows=3, shadow_pairs=3 * PER_DAY),
        )
    )
    served.releases.shadow(ENDPOINT, register(served.stores, packages.better), why="retrained")
    for _ in range(3):
        served.live(1)
        served.restart()
    release = served.releases.current(ENDPOINT)
    assert release is not None
    assert release.plan.stage == "canary"


def test_rollouts_by_hand_are_left_alone(
    served: Street, register: RegisterPackage, packages: Any
) -> None:
    served.monitoring.watch(WatchSet(endpoint=ENDPOINT, automatic_rollouts=False))
    served.releases.shadow(ENDPOINT, register(served.stores, packages.wrong), why="to look at it")
    served.live(5)
    release = served.releases.current(ENDPOINT)
    assert release is not None
    assert release.plan.stage == "shadow"
    assert served.releases.decisions(ENDPOINT) == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"window_s": 10.0},
        {"label_delay_s": -1.0},
        {"false_alarms_per_year": 0.0},
        {"repeat_s": -1.0},
        {"endpoint": "../left"},
    ],
)
def test_a_watch_that_cannot_work_is_refused(served: Street, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        served.monitoring.watch(WatchSet(**({"endpoint": ENDPOINT} | fields)))
    assert caught.value.hint


def test_an_endpoint_that_nobody_set_a_watch_for_has_the_defaults(served: Street) -> None:
    assert served.monitoring.watched("other") == WatchSet(endpoint="other")
