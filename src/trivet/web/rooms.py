"""Routes of the rooms: each is one call of a service."""

from typing import Final, Literal

import msgspec

from trivet.access.permissions import Permission, RoleName
from trivet.core.errors import Invalid, NotFound
from trivet.data.facts import Dataset
from trivet.http.application import Request
from trivet.models.facts import Model
from trivet.monitoring.facts import Alert, WindowClosed
from trivet.releases.facts import Release
from trivet.serving.lineage import Why
from trivet.serving.service import Replay
from trivet.tracking.facts import Run
from trivet.triggers.facts import Explanation, Firing, Trigger, Woken
from trivet.web.asking import RouteOf, body_as, get, idempotency_key_of, limit_of, post
from trivet.workspace.cards.card import Card
from trivet.workspace.cards.making import make_card
from trivet.workspace.lineage.graph import Direction, Lineage
from trivet.workspace.lineage.walking import trace_lineage
from trivet.workspace.workspace import Workspace


class ReleaseWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to do with an endpoint's release."""

    action: Literal["release", "shadow", "canary", "promote", "rollback"]
    why: str
    model: str | None = None
    """For `release` and `shadow`: `name`, `name:version` or `name@alias`."""
    share: float | None = None
    """For `canary`: the candidate's share of the traffic."""


class FireWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a trigger is fired by hand."""

    reason: str


class TokenWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The token to issue."""

    name: str
    role: RoleName
    days: float = 90.0
    only: list[Permission] | None = None
    """What it is narrowed to, of what the role may."""


class ShownAlert(msgspec.Struct, kw_only=True):
    """An alert with its identifier."""

    id: str
    alert: Alert


class NewToken(msgspec.Struct, kw_only=True):
    """A token: the only time it is shown."""

    token: str


def _datasets(workspace: Workspace, _: Request) -> list[Dataset]:
    return [workspace.data.latest(name) for name in workspace.data.names()]


def _versions(workspace: Workspace, request: Request) -> tuple[Dataset, ...]:
    workspace.data.latest(request.values["name"])  # an unknown name is no empty list
    return workspace.data.versions(request.values["name"], limit=limit_of(request))


def _runs(workspace: Workspace, request: Request) -> tuple[Run, ...]:
    return workspace.tracking.runs(request.query().get("name"), limit=limit_of(request))


def _run(workspace: Workspace, request: Request) -> Run:
    return workspace.tracking.get(request.values["id"])


def _models(workspace: Workspace, _: Request) -> list[Model]:
    models = workspace.models
    return [model for name in models.names() for model in models.versions(name)[:1]]


def _model(workspace: Workspace, request: Request) -> tuple[Model, ...]:
    name = request.values["name"]
    return workspace.models.versions(name) or (workspace.models.get(name),)  # the same


def _card(workspace: Workspace, request: Request) -> Card:
    return make_card(workspace.stores, workspace.scope, request.values["model"])


def _origins(workspace: Workspace, request: Request) -> Lineage:
    asked = request.query().get("direction", "both")
    direction = _DIRECTIONS.get(asked)
    if direction is None:
        raise Invalid(
            f"direction is {asked[:20]!r}; expected one of {', '.join(_DIRECTIONS)}",
            code="bad-direction",
        )
    return trace_lineage(
        workspace.stores,
        workspace.scope.project,
        request.values["reference"],
        direction=direction,
        limit=limit_of(request),
    )


def _releases(workspace: Workspace, _: Request) -> list[Release]:
    names = workspace.releases.endpoints()
    return [r for r in map(workspace.releases.current, names) if r is not None]


def _history(workspace: Workspace, request: Request) -> tuple[Release, ...]:
    return workspace.releases.history(_released(workspace, request), limit=limit_of(request))


def _released(workspace: Workspace, request: Request) -> str:
    endpoint = request.values["endpoint"]
    known = workspace.releases.endpoints()
    if endpoint not in known:
        raise NotFound(
            f"no endpoint is named {endpoint!r}",
            code="no-endpoint",
            hint=f"Endpoints here: {', '.join(known) or 'none yet'}.",
        )
    return endpoint


def _move(workspace: Workspace, request: Request) -> Release:
    wish = body_as(request, ReleaseWish)
    endpoint = request.values["endpoint"]
    # What is recorded is who asked, not in whose name the server runs.
    releases = workspace.acting_for(request.principal.name).releases
    match wish.action:
        case "release":
            return releases.release(endpoint, _asked_model(workspace, wish), why=wish.why)
        case "shadow":
            return releases.shadow(endpoint, _asked_model(workspace, wish), why=wish.why)
        case "canary":
            return releases.canary(endpoint, wish.share or 0.0, why=wish.why)
        case "promote":
            return releases.promote(endpoint, why=wish.why)
        case "rollback":
            return releases.rollback(endpoint, why=wish.why)


def _asked_model(workspace: Workspace, wish: ReleaseWish) -> Model:
    if wish.model is None:
        raise Invalid(
            f"action {wish.action!r} needs the field model",
            code="bad-body",
            hint="Name it as name, name:version or name@alias.",
        )
    return workspace.models.get(wish.model)


def _windows(workspace: Workspace, request: Request) -> tuple[WindowClosed, ...]:
    return workspace.monitoring.windows(_released(workspace, request), limit=limit_of(request))


def _alerts(workspace: Workspace, request: Request) -> list[ShownAlert]:
    found = workspace.monitoring.alerts(request.query().get("endpoint"), limit=limit_of(request))
    return [ShownAlert(id=identifier, alert=alert) for identifier, alert in found]


def _triggers(workspace: Workspace, _: Request) -> tuple[Trigger, ...]:
    return workspace.triggers.all()


def _firings(workspace: Workspace, request: Request) -> tuple[Firing, ...]:
    name = workspace.triggers.get(request.values["name"]).rule.name
    return workspace.triggers.firings(name, limit=limit_of(request))


def _fire(workspace: Workspace, request: Request) -> Firing:
    wish = body_as(request, FireWish)
    triggers = workspace.acting_for(request.principal.name).triggers
    return triggers.fire(request.values["name"], wish.reason, key=idempotency_key_of(request))


def _explain(workspace: Workspace, request: Request) -> Explanation:
    return workspace.triggers.explain(request.values["name"])


def _wake(workspace: Workspace, request: Request) -> Woken:
    # Whatever the sender says about its event is not read: what is there decides.
    return workspace.triggers.wake(request.values["name"])


def _why(workspace: Workspace, request: Request) -> Why:
    why = workspace.serving.why(request.values["id"])
    if why.prediction.endpoint not in workspace.releases.endpoints():
        raise NotFound(f"no prediction {request.values['id']}", code="no-prediction")
    return why


def _replay(workspace: Workspace, request: Request) -> Replay:
    _why(workspace, request)  # of this project, or not found
    return workspace.serving.replay(request.values["id"])


def _issue(workspace: Workspace, request: Request) -> NewToken:
    wish = body_as(request, TokenWish)
    access = workspace.acting_for(request.principal.name).access
    token = access.issue(
        wish.name, wish.role, days=wish.days, only=wish.only, granter=request.principal
    )
    return NewToken(token=token)


_READ = Permission.READ
_DIRECTIONS: Final[dict[str, Direction]] = {"up": "up", "down": "down", "both": "both"}

_LIMIT = ("limit",)

ROUTES: tuple[RouteOf, ...] = (
    get("/data", _READ, "List data sets", _datasets, response=list[Dataset]),
    get(
        "/data/{name}",
        _READ,
        "List a data set's versions",
        _versions,
        query=_LIMIT,
        response=tuple[Dataset, ...],
    ),
    get(
        "/runs",
        _READ,
        "List runs",
        _runs,
        query=("name", "limit"),
        response=tuple[Run, ...],
    ),
    get("/runs/{id}", _READ, "Read one run", _run, response=Run),
    get("/models", _READ, "List models", _models, response=list[Model]),
    get(
        "/models/{name}",
        _READ,
        "List a model's versions",
        _model,
        response=tuple[Model, ...],
    ),
    get(
        "/cards/{model}",
        _READ,
        "Make a version's model card",
        _card,
        response=Card,
    ),
    get(
        "/origins/{reference}",
        _READ,
        "Trace what something came from, and what came from it",
        _origins,
        query=("direction", "limit"),
        response=Lineage,
    ),
    get("/releases", _READ, "List releases in force", _releases, response=list[Release]),
    get(
        "/releases/{endpoint}",
        _READ,
        "List an endpoint's releases",
        _history,
        query=_LIMIT,
        response=tuple[Release, ...],
    ),
    post(
        "/releases/{endpoint}",
        Permission.RELEASE,
        "Move an endpoint's release",
        _move,
        request=ReleaseWish,
        response=Release,
    ),
    get(
        "/monitoring/{endpoint}",
        _READ,
        "List closed windows",
        _windows,
        query=_LIMIT,
        response=tuple[WindowClosed, ...],
    ),
    get(
        "/alerts",
        _READ,
        "List alerts",
        _alerts,
        query=("endpoint", "limit"),
        response=list[ShownAlert],
    ),
    get("/triggers", _READ, "List triggers", _triggers, response=tuple[Trigger, ...]),
    get(
        "/triggers/{name}",
        _READ,
        "List a trigger's decisions",
        _firings,
        query=_LIMIT,
        response=tuple[Firing, ...],
    ),
    post(
        "/triggers/{name}",
        Permission.RUN,
        "Fire a trigger by hand",
        _fire,
        request=FireWish,
        response=Firing,
    ),
    get(
        "/triggers/{name}/explain",
        _READ,
        "Say what a trigger would do right now, and why",
        _explain,
        response=Explanation,
    ),
    post(
        "/triggers/{name}/wake",
        Permission.RUN,
        "Have a trigger looked at soon",
        _wake,
        response=Woken,
    ),
    get(
        "/predictions/{id}",
        Permission.READ_DATA,
        "Say why a prediction is what it is",
        _why,
        response=Why,
    ),
    post(
        "/predictions/{id}/replay",
        Permission.READ_DATA,
        "Run a prediction again and compare bit for bit",
        _replay,
        response=Replay,
    ),
    post(
        "/tokens",
        Permission.ADMINISTER,
        "Issue a token",
        _issue,
        request=TokenWish,
        response=NewToken,
    ),
)
