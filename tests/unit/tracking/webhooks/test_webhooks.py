"""Web hooks: registered without a trace of their secrets, told in the commit, never otherwise."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.catalog import Position
from trivet.core.clock import SystemClock
from trivet.core.errors import Conflict, Invalid, NotFound, Unavailable
from trivet.core.facts import Scope
from trivet.core.outbox import QUEUE, Order, Posted
from trivet.core.ports import Message, Stores
from trivet.testing.memory_stores import memory_stores
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.facts import Report
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import Opening, ReportedRuns
from trivet.tracking.webhooks.announcing import PREFIX, announce
from trivet.tracking.webhooks.delivering import HookNotifier
from trivet.tracking.webhooks.events import EVENTS
from trivet.tracking.webhooks.facts import WebhookChange
from trivet.tracking.webhooks.service import Webhooks

URL = "https://hooks.example.com/T0/secret-path"


class Post:
    """Writes down what is posted, and answers as it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[str, dict[str, str], bytes]] = []

    def check(self, url: str) -> None:
        if not url.startswith("https://"):
            raise Invalid("Invalid webhook URL", code="bad-url")

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float
    ) -> Posted:
        assert timeout_s > 0
        if not self.status:
            raise Unavailable("nobody there")
        self.got.append((url, dict(headers), body))
        return Posted(self.status, b"answer \xff")


class Room:
    """A project with web hooks."""

    def __init__(self, stores: Stores, project: str = "flights") -> None:
        scope, clock = Scope(project=project, actor="ada"), SystemClock()
        self.stores, self.post = stores, Post()
        self.hooks = Webhooks(stores, scope, clock, self.post)
        self.experiments = Experiments(stores, scope, clock)
        self.runs = ReportedRuns(stores, scope, self.experiments, Metrics(stores))

    def make(self, *events: str, **fields: Any) -> str:
        wanted = {"name": "team", "url": URL, "events": events, **fields}
        return self.hooks.make(WebhookChange(**wanted)).id

    def told(self) -> list[tuple[str, str, dict[str, Any]]]:
        orders = [
            json.loads(task.body) for task in reversed(self.stores.journal.tasks(QUEUE, limit=1000))
        ]
        return [(o["notifier"], o["message"]["event"], o["message"]["detail"]) for o in orders]


@pytest.fixture
def room(stores: Stores) -> Room:
    return Room(stores)


def test_a_web_hook_is_what_was_said_of_it(room: Room) -> None:
    made = room.hooks.get(room.make("run.created", description="for us"))
    assert (made.name, made.url, made.events) == ("team", URL, ("run.created",))
    assert (made.description, made.is_active) == ("for us", True)
    now = room.hooks.change(made.id, WebhookChange(events=("run.finished",), is_active=False))
    assert (now.name, now.events, now.is_active) == ("team", ("run.finished",), False)
    assert room.hooks.get(made.id) == now
    room.hooks.delete(made.id)
    with pytest.raises(NotFound, match=f"Webhook with ID {made.id} not found"):
        room.hooks.get(made.id)
    with pytest.raises(NotFound):
        room.hooks.delete(made.id)


def test_the_ledger_shows_neither_the_secret_nor_the_address(room: Room) -> None:
    hook = room.make("run.created", secret="between us")
    room.hooks.change(hook, WebhookChange(secret="another secret", url=URL + "/more"))
    room.hooks.try_out(hook)
    room.hooks.delete(hook)
    payloads = [entry.payload for entry in room.stores.ledger.since(0)]
    assert not [p for p in payloads if p and (b"between" in p or b"secret" in p)]
    assert [json.loads(p)["host"] for p in payloads if p and b"is_signed" in p] == [
        "hooks.example.com"
    ] * 2


def test_nobody_is_asked_where_there_is_no_web_hook(room: Room) -> None:
    room.runs.open(Opening())
    assert announce(room.stores, "flights", "run.created", {}) == ()
    assert room.told() == []


def test_what_happens_is_told_to_those_that_asked_for_it(room: Room) -> None:
    runs = room.make("run.created", "run.finished")
    everything = room.make(*EVENTS, name="all")
    room.make(*EVENTS, name="off", is_active=False)
    number = room.experiments.make("deep").number
    run = room.runs.open(Opening(experiment=number, name="first")).id
    room.runs.report(run, Report(parameters={"a": "1"}, status="running"))
    room.runs.report(run, Report(status="failed", name="last"))
    room.runs.report(run, Report(status="failed", ended_ms=7))
    room.runs.delete(run)
    room.runs.restore(run)
    room.experiments.rename(number, "deeper")
    room.experiments.delete(number)
    room.experiments.restore(number)

    told = room.told()
    assert [event for hook, event, _ in told if hook == PREFIX + everything] == [
        "experiment.created",
        "experiment.created",
        "run.created",
        "run.finished",
        "run.deleted",
        "run.restored",
        "experiment.updated",
        "experiment.deleted",
        "experiment.restored",
    ]
    about = {"run_id": run, "experiment_id": str(number)}
    assert [detail for hook, _, detail in told if hook == PREFIX + runs] == [
        {**about, "run_name": "first", "status": "RUNNING"},
        {**about, "run_name": "last", "status": "FAILED"},
    ]
    assert {hook for hook, _, _ in told} == {PREFIX + runs, PREFIX + everything}
    assert ("experiment.updated", {"experiment_id": str(number), "name": "deeper"}) in [
        (event, detail) for _, event, detail in told
    ]


def test_what_does_not_happen_is_not_told(room: Room) -> None:
    room.make(*EVENTS)
    room.experiments.make("one")
    before = len(room.told())
    with pytest.raises(Conflict):
        room.experiments.make("one")
    with pytest.raises(NotFound):
        room.runs.open(Opening(experiment=77))
    assert len(room.told()) == before


def test_projects_do_not_hear_of_each_other(stores: Stores) -> None:
    ours, theirs = Room(stores), Room(stores, "trains")
    hook = ours.make("run.created")
    theirs.runs.open(Opening())
    assert ours.told() == []
    assert theirs.hooks.list() == ((), None)
    with pytest.raises(NotFound):
        theirs.hooks.get(hook)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"name": "-team"}, "must start and end with a letter or digit"),
        ({"name": "a" * 64}, "at most 63"),
        ({"name": "a\n"}, "contain only"),
        ({"events": ()}, "cannot be empty"),
        ({"events": ("run.exploded",)}, "Invalid webhook event 'run.exploded'"),
        ({"url": "http://plain"}, "Invalid webhook URL"),
        ({"secret": "x" * 1001}, "secret has 1001 characters"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(
    room: Room, fields: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(Invalid, match=complaint):
        room.hooks.make(
            WebhookChange(**{"name": "x", "url": URL, "events": ("run.created",)} | fields)
        )
    assert room.hooks.list() == ((), None)
    hook = room.make("run.created")
    with pytest.raises(Invalid, match=complaint):
        room.hooks.change(hook, WebhookChange(**fields))
    assert room.hooks.get(hook).url == URL


def test_a_test_says_what_the_receiver_answered(room: Room) -> None:
    hook = room.make("run.finished", "prompt.created", secret="s", is_active=False)
    tried = room.hooks.try_out(hook)
    assert (tried.is_taken, tried.status, tried.body) == (True, 200, "answer \ufffd")
    room.hooks.try_out(hook, "prompt.created")
    assert [json.loads(body)["entity"] for _, _, body in room.post.got] == ["run", "prompt"]
    room.post.status = 404
    assert not room.hooks.try_out(hook).is_taken
    room.post.status = 0
    assert room.hooks.try_out(hook).error == "nobody there"
    with pytest.raises(Invalid, match=r"'run\.exploded'"):
        room.hooks.try_out(hook, "run.exploded")


def order_of(room: Room) -> Order:
    return msgspec.json.decode(room.stores.journal.tasks(QUEUE)[0].body, type=Order)


def send(room: Room, message: Message, hook: str) -> None:
    HookNotifier(room.stores, hook, room.post).send(message, timeout_s=5)


def test_a_message_goes_where_the_web_hook_is_by_then(room: Room) -> None:
    hook = room.make("run.created", secret="old")
    room.runs.open(Opening())
    message = order_of(room).message
    room.hooks.change(hook, WebhookChange(url="https://new.example.com/", secret=""))
    send(room, message, hook)
    url, headers, body = room.post.got.pop()
    assert url == "https://new.example.com/"
    assert "X-MLflow-Signature" not in headers
    assert json.loads(body)["data"] == message.detail
    room.hooks.change(hook, WebhookChange(is_active=False))
    send(room, message, hook)
    room.hooks.delete(hook)
    send(room, message, hook)
    assert room.post.got == []


@pytest.mark.parametrize(
    ("status", "trouble"), [(500, Unavailable), (429, Unavailable), (302, Invalid), (410, Invalid)]
)
def test_an_answer_says_whether_to_try_again(
    room: Room, status: int, trouble: type[Exception]
) -> None:
    hook = room.make("run.created")
    room.runs.open(Opening())
    room.post.status = status
    with pytest.raises(trouble, match=str(status)):
        send(room, order_of(room).message, hook)


@given(kinds=st.lists(st.booleans(), max_size=20), limit=st.integers(1, 7))
def test_pages_hold_every_web_hook_once(kinds: list[bool], limit: int) -> None:
    room = Room(memory_stores())
    made = [room.make("prompt.created" if kind else "run.created") for kind in kinds]

    def pages(*, of_models: bool) -> list[str]:
        seen: list[str] = []
        after: Position | None = None
        while True:
            page, after = room.hooks.list(of_models=of_models, after=after, limit=limit)
            seen += [hook.id for hook in page]
            assert page or not seen
            if after is None:
                return seen

    assert sorted(pages(of_models=False)) == sorted(made)
    of_models = [hook for hook, kind in zip(made, kinds, strict=True) if kind]
    assert sorted(pages(of_models=True)) == sorted(of_models)
