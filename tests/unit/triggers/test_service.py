import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from trivet.core.clock import EventClock
from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Batch, HeadMove, Receipt, Scope, TaskMove, draft
from trivet.core.ports import Ledger, Stores
from trivet.data.facts import DataCommit
from trivet.monitoring.facts import Alert, AlertResolved
from trivet.pipelines.requests import QUEUE, read_request
from trivet.triggers.facts import Firing
from trivet.triggers.service import TriggersService

START = datetime(2013, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> EventClock:
    return EventClock(START)


@pytest.fixture
def triggers(stores: Stores, scope: Scope, clock: EventClock) -> TriggersService:
    return TriggersService(stores, scope, clock)


@pytest.fixture
def raise_alert(stores: Stores, scope: Scope) -> Callable[[], str]:
    def raise_one() -> str:
        alert = Alert(
            endpoint="delay",
            fingerprint="delay/quality",
            kind="quality",
            release="0" * 32,
            model="0" * 32,
            event_time=START,
            since=START,
            metric="excess-brier",
            value=0.1,
            low=0.05,
            high=0.15,
            baseline=0.0,
            tolerance=0.01,
            summary="delay:1 got worse",
            causes=(),
            action="retrain",
        )
        item = draft(alert)
        stores.ledger.commit(scope.batch("alert", [item]))
        return item.id

    return raise_one


@pytest.fixture
def publish(stores: Stores, scope: Scope) -> Callable[[], str]:
    def publish_one() -> str:
        item = draft(DataCommit(dataset="flights", source="a feed"))
        head = HeadMove(name="data/flights", to=item.id)
        stores.ledger.commit(scope.batch("publish", [item], heads=[head]))
        return item.id

    return publish_one


def asked_for(stores: Stores) -> int:
    return len(stores.journal.tasks(QUEUE))


def finish_all(stores: Stores, scope: Scope) -> None:
    for task in stores.journal.claim(QUEUE, owner="runner", lease_s=60, limit=10):
        move = TaskMove(key=task.key, owner="runner", epoch=task.epoch, state="done")
        stores.ledger.commit(scope.batch("done", tasks=[move]))


def test_an_alert_asks_for_one_run_however_often_one_looks(
    triggers: TriggersService, raise_alert: Callable[[], str], stores: Stores
) -> None:
    triggers.when("retrain", "alert", do="pipeline:train", watch="delay", parameters={"rounds": 9})
    assert triggers.look() == ()
    alert = raise_alert()
    (firing,) = triggers.look()
    assert (firing.outcome, firing.reason) == ("fired", "alert: delay:1 got worse")
    assert triggers.look() == ()
    (task,) = stores.journal.tasks(QUEUE)
    request = read_request(task.body)
    assert (request.flow, request.parameters) == ("pipeline:train", {"rounds": 9})
    fact = stores.ledger.get(request.asked_by or "")
    assert fact is not None
    assert fact.parents == (triggers.get("retrain").id, alert)


def test_of_two_services_that_look_at_once_one_asks(
    stores: Stores, scope: Scope, clock: EventClock, raise_alert: Callable[[], str]
) -> None:
    services = [TriggersService(stores, scope, clock) for _ in range(4)]
    services[0].when("retrain", "alert", do="pipeline:train", watch="delay")
    raise_alert()
    start = threading.Barrier(len(services))
    recorded: list[Firing] = []

    def look(service: TriggersService) -> None:
        start.wait()
        recorded.extend(service.look())

    people = [threading.Thread(target=look, args=(service,)) for service in services]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert [firing.outcome for firing in recorded] == ["fired"]
    assert asked_for(stores) == 1
    assert len(services[0].firings()) == 1


class Overtaken:
    """A ledger in which somebody else always commits just before."""

    def __init__(self, ledger: Ledger, before: Callable[[], object]) -> None:
        self._ledger = ledger
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def commit(self, batch: Batch) -> Receipt:
        self._before()
        return self._ledger.commit(batch)


def test_a_mark_that_another_process_took_is_no_error(
    stores: Stores, scope: Scope, clock: EventClock, raise_alert: Callable[[], str]
) -> None:
    quick = TriggersService(stores, scope, clock)
    quick.when("retrain", "alert", do="pipeline:train", watch="delay")
    raise_alert()
    behind = msgspec.structs.replace(stores, ledger=Overtaken(stores.ledger, quick.look))
    assert TriggersService(behind, scope, clock).look() == ()
    assert asked_for(stores) == 1
    assert len(quick.firings()) == 1


def test_a_resolved_alert_asks_for_nothing(
    triggers: TriggersService, raise_alert: Callable[[], str], stores: Stores, scope: Scope
) -> None:
    triggers.when("retrain", "alert", do="pipeline:train", watch="delay")
    alert = raise_alert()
    ended = AlertResolved(alert=alert, endpoint="delay", event_time=START, how="well again")
    stores.ledger.commit(scope.batch("resolve", [draft(ended, parents=[alert])]))
    assert triggers.look() == ()


def test_while_its_run_is_under_way_a_trigger_waits_and_then_makes_up_for_it(
    triggers: TriggersService,
    raise_alert: Callable[[], str],
    stores: Stores,
    scope: Scope,
) -> None:
    triggers.when("retrain", "alert", do="pipeline:train", watch="delay")
    raise_alert()
    triggers.look()
    raise_alert()
    (held,) = triggers.look()
    assert (held.outcome, held.reason) == ("held", "a run it asked for is under way")
    assert triggers.look() == ()  # a refusal that stands is said once
    finish_all(stores, scope)
    (fired,) = triggers.look()
    assert fired.outcome == "fired"


def test_a_cool_down_holds_and_then_lets_go(
    triggers: TriggersService,
    raise_alert: Callable[[], str],
    stores: Stores,
    scope: Scope,
    clock: EventClock,
) -> None:
    triggers.when("retrain", "alert", do="pipeline:train", watch="delay", cooldown_s=7200)
    raise_alert()
    triggers.look()
    finish_all(stores, scope)
    raise_alert()
    clock.move_to(START + HOUR)
    (held,) = triggers.look()
    assert held.outcome == "held"
    assert "cooling down until 2013-03-01 02:00" in held.reason
    clock.move_to(START + 2 * HOUR)
    assert [firing.outcome for firing in triggers.look()] == ["fired"]


def test_a_week_has_a_budget(
    triggers: TriggersService,
    raise_alert: Callable[[], str],
    stores: Stores,
    scope: Scope,
    clock: EventClock,
) -> None:
    triggers.when("retrain", "alert", do="pipeline:train", watch="delay", per_week=2)
    outcomes: list[str] = []
    for day in (0, 1, 2, 8):
        clock.move_to(START + day * 24 * HOUR)
        raise_alert()
        outcomes += [firing.outcome for firing in triggers.look()]
        finish_all(stores, scope)
    assert outcomes == ["fired", "fired", "held", "fired"]


def test_a_paused_trigger_holds_until_it_may_go_on(
    triggers: TriggersService, raise_alert: Callable[[], str]
) -> None:
    triggers.when("retrain", "alert", do="pipeline:train", watch="delay")
    assert triggers.pause("retrain").rule.paused
    raise_alert()
    assert [(f.outcome, f.reason) for f in triggers.look()] == [("held", "paused")]
    triggers.pause("retrain", paused=False)
    assert [firing.outcome for firing in triggers.look()] == ["fired"]


def test_setting_a_trigger_again_does_not_end_its_pause(triggers: TriggersService) -> None:
    triggers.when("retrain", "alert", do="pipeline:train", watch="delay")
    triggers.pause("retrain")
    again = triggers.when("retrain", "alert", do="pipeline:train", watch="delay", per_week=1)
    assert again.rule.paused
    assert again.rule.per_week == 1


def test_setting_what_stands_already_changes_nothing(
    triggers: TriggersService, clock: EventClock, stores: Stores
) -> None:
    first = triggers.when("weekly", "schedule", do="pipeline:train", watch="604800")
    clock.move_to(START + HOUR)
    links = stores.ledger.since(0)
    assert triggers.when("weekly", "schedule", do="pipeline:train", watch="604800") == first
    assert stores.ledger.since(0) == links


def test_new_data_asks_for_a_run_once_and_old_data_for_none(
    triggers: TriggersService, publish: Callable[[], str], stores: Stores, scope: Scope
) -> None:
    publish()
    triggers.when("fresh", "data", do="pipeline:train", watch="flights")
    assert triggers.look() == ()  # it stood when the trigger was set
    version = publish()
    (firing,) = triggers.look()
    assert firing.reason == "new data: a feed"
    assert firing.task == f"fresh/{version}"
    finish_all(stores, scope)
    assert triggers.look() == ()


def test_data_that_came_before_a_change_of_limits_is_not_forgotten(
    triggers: TriggersService, publish: Callable[[], str]
) -> None:
    triggers.when("fresh", "data", do="pipeline:train", watch="flights")
    publish()
    triggers.when("fresh", "data", do="pipeline:train", watch="flights", per_week=3)
    assert [firing.outcome for firing in triggers.look()] == ["fired"]


def test_a_schedule_is_made_up_once(
    triggers: TriggersService, clock: EventClock, stores: Stores, scope: Scope
) -> None:
    triggers.when("daily", "schedule", do="pipeline:train", watch="86400")
    assert triggers.look() == ()
    clock.move_to(START + 100 * HOUR)  # four periods went by without a look
    (firing,) = triggers.look()
    assert "due since 2013-03-05" in firing.reason
    finish_all(stores, scope)
    assert triggers.look() == ()
    clock.move_to(START + 120 * HOUR)
    assert [f.outcome for f in triggers.look()] == ["fired"]


def test_by_hand_it_fires_at_once_and_on_record(triggers: TriggersService, stores: Stores) -> None:
    triggers.when("ask", "hand", do="pipeline:train", cooldown_s=1e6, per_week=1)
    for _ in range(2):
        assert triggers.fire("ask", "new price list").reason == "by hand: new price list"
    assert asked_for(stores) == 2
    assert [firing.outcome for firing in triggers.firings("ask")] == ["fired", "fired"]
    assert triggers.look() == ()


def test_a_task_and_the_firing_that_says_so_are_one_commit(
    triggers: TriggersService, stores: Stores, scope: Scope
) -> None:
    triggers.when("ask", "hand", do="pipeline:train")
    triggers.fire("ask", "x")
    request = read_request(stores.journal.tasks(QUEUE)[0].body)
    entry = stores.ledger.get(request.asked_by or "")
    assert entry is not None
    assert entry.kind == Firing.KIND


def test_triggers_are_listed_and_named(triggers: TriggersService) -> None:
    for name in ("b", "a"):
        triggers.when(name, "hand", do="pipeline:train")
    assert [trigger.rule.name for trigger in triggers.all()] == ["a", "b"]
    with pytest.raises(NotFound, match="no trigger is named 'c'"):
        triggers.get("c")
    with pytest.raises(NotFound, match="no trigger is named 'c'"):
        triggers.fire("c", "x")
    with pytest.raises(Invalid, match="trigger name"):
        triggers.when("../c", "hand", do="pipeline:train")
