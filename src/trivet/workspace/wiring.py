"""Wiring: which adapter stands behind which port. Laziness has its one address here.

Every import of an adapter, and of a room that needs heavy libraries, happens inside these
functions: opening a workspace costs no more than what is then used.

`TYPE_CHECKING` is for heavy libraries alone, and the rooms below it here are heavy: importing
them loads NumPy at least, most of them Polars and ONNX Runtime as well. Their names stand here
once, under the same roof as their late imports, and the rest of the workspace borrows them as
`"wiring.DataService"`. Rooms that load nothing heavy are imported where they are used, as
everywhere else.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from socket import socket
from typing import TYPE_CHECKING, Any, Final

from trivet.access.provider import Provider
from trivet.core.clock import Clock
from trivet.core.courier import Courier
from trivet.core.errors import Invalid, Unsupported
from trivet.core.facts import Scope
from trivet.core.outbox import Poster
from trivet.core.ports import Flavour, Notifier, Stores
from trivet.core.training import Autologger, Meter, Reporter
from trivet.core.work import Runner, Workers
from trivet.data.facts import Dataset
from trivet.http.application import Application
from trivet.http.guards import DoorPolicy, PrincipalOf, is_straight
from trivet.pipelines.materialisers import Materialiser
from trivet.pipelines.materialising.values import Values
from trivet.pipelines.service import PipelinesService
from trivet.pipelines.workers.remote import Elsewhere
from trivet.tracking.autolog.libraries import Libraries
from trivet.tracking.service import TrackingService
from trivet.workspace.embedded import open_embedded
from trivet.workspace.notify_file import (
    CommandSettings,
    NotifierSettings,
    WebhookSettings,
    secret_of,
)
from trivet.workspace.settings import FOLDER, SignInSettings, read_settings

if TYPE_CHECKING:
    from trivet.data.differences import DataDifference
    from trivet.data.service import DataService
    from trivet.data.targets import Target
    from trivet.models.candidate import Candidate
    from trivet.models.service import ModelsService
    from trivet.monitoring.service import MonitoringService
    from trivet.releases.service import ReleasesService
    from trivet.serving.service import ServingService
    from trivet.statistics.importance import Importances
    from trivet.triggers.service import TriggersService


def digest_file(path: Path) -> tuple[str, int]:
    """Return a file's BLAKE3 digest (`b3:`) and its size in bytes."""
    from blake3 import blake3

    state = blake3()
    state.update_mmap(path)
    return f"b3:{state.hexdigest()}", path.stat().st_size


def flavours() -> tuple[Flavour, ...]:
    """Return the flavours of this installation: ours, then those of other distributions."""
    from trivet.adapters.lightgbm.flavour import LightGBMFlavour
    from trivet.adapters.onnx.flavour import OnnxFlavour
    from trivet.adapters.sklearn.flavour import SklearnFlavour

    ours: tuple[Flavour, ...] = (LightGBMFlavour(), SklearnFlavour(), OnnxFlavour())
    found = entry_points(group="trivet.flavours")
    return ours + tuple(point.load()() for point in found)


def training_libraries(folder: Path) -> Libraries:
    """Return what reports to runs by itself: training libraries, and meters of this machine."""
    return Libraries(
        autologgers=autologgers, callbacks=_CALLBACKS, meters=lambda: tuple(meters(folder))
    )


def autologgers() -> tuple[Autologger, ...]:
    """Return the libraries that can be watched: ours, then those of other distributions."""
    from trivet.adapters.lightgbm.autolog import LightGBMAutologger
    from trivet.adapters.sklearn.autolog import SklearnAutologger
    from trivet.adapters.xgboost.autolog import XGBoostAutologger

    ours: tuple[Autologger, ...] = (
        SklearnAutologger(),
        LightGBMAutologger(),
        XGBoostAutologger(),
    )
    found = entry_points(group="trivet.autologgers")
    return ours + tuple(point.load()() for point in found)


def meters(folder: Path) -> Iterator[Meter]:
    """Yield the meters that find something to read here."""
    if sys.platform == "linux":
        from trivet.adapters.linux.meter import LinuxMeter

        yield LinuxMeter(folder=folder)
    else:
        from trivet.adapters.psutil.meter import PsutilMeter

        with suppress(ImportError):
            yield PsutilMeter(folder)
    from trivet.adapters.nvml.meter import NvmlMeter

    with suppress(ImportError, OSError):  # no library, no driver, or no graphics processor
        yield NvmlMeter()


def _callback(place: str) -> Callable[[Reporter], object]:
    """Return what makes a library's callback; its adapter is loaded when it is asked."""

    def make(run: Reporter) -> object:
        return resolve_name(f"trivet.adapters.{place}")(run)

    return make


_CALLBACKS: Final = {
    "keras": _callback("keras.callback:keras_callback"),
    "lightgbm": _callback("lightgbm.autolog:LightGBMCallback"),
    "lightning": _callback("lightning.logger:lightning_logger"),
    "torch": _callback("torch.hooks:TorchHooks"),
    "transformers": _callback("transformers.callback:transformers_callback"),
    "xgboost": _callback("xgboost.autolog:xgboost_callback"),
}


def runner() -> Runner:
    """Return the runner that executes jobs as child processes."""
    from trivet.adapters.process.runner import ProcessRunner

    return ProcessRunner()


def notifier(name: str, settings: NotifierSettings, folder: Path) -> Notifier:
    """Return the notifier that a table of `notify.toml` asks for.

    Raises:
        Invalid: A variable that it names is not set, or an address is none.
    """
    if isinstance(settings, CommandSettings):
        from trivet.adapters.command.notifier import CommandNotifier

        return CommandNotifier(settings.command, folder)
    if isinstance(settings, WebhookSettings):
        from trivet.adapters.webhook.notifier import WebhookNotifier

        url = settings.url or secret_of(settings.url_env, name)
        return WebhookNotifier(url, body=settings.body, secret=secret_of(settings.secret_env, name))
    from trivet.adapters.smtp.notifier import SmtpNotifier, SmtpServer

    server = SmtpServer(
        host=settings.host,
        port=settings.port,
        security=settings.security,
        user=settings.user,
        password=secret_of(settings.password_env, name),
    )
    return SmtpNotifier(server, sender=settings.sender, recipients=settings.to)


def courier(url: str, token: str, *, timeout_s: float = 60.0) -> Courier:
    """Return what carries requests to a server of Trivet, which may be silent for so long."""
    from trivet.adapters.http.courier import HttpCourier

    return HttpCourier(url, token, timeout_s=timeout_s)


def provider(settings: SignInSettings) -> Provider | None:
    """Return the provider at which people sign in; None when none is set up.

    Raises:
        Invalid: Its address is none, or the variable that it names is not set.
        Unsupported: Its library is not installed.
    """
    if not settings.issuer:
        return None
    if find_spec("joserfc") is None:
        raise Unsupported(
            "signing in at a provider needs the library 'joserfc', which is not installed",
            code="no-library",
            hint="Install it: `pip install 'trivet[oidc]'`.",
        )
    from trivet.adapters.oidc.provider import OidcProvider

    secret = os.environ.get(settings.secret_env) if settings.secret_env else None
    if settings.secret_env and not secret:
        raise Invalid(
            f"sign_in.secret_env names {settings.secret_env}, which is not set",
            code="no-secret",
            hint=f"Set {settings.secret_env} where the server is started.",
        )
    return OidcProvider(settings.issuer, settings.client_id, secret)


def poster(networks: Sequence[str]) -> Poster:
    """Return what posts to addresses that came from outside.

    Args:
        networks: Where it may post besides the public internet, such as `10.1.0.0/16`.
    """
    from trivet.adapters.webhook.posting import GuardedPoster

    return GuardedPoster(networks)


def examine_table(path: Path, target: str) -> "tuple[Target, list[tuple[str, str, str]]]":
    """Read a table; say what its target asks for, and how each column will be used.

    Returns:
        The target, and (name, how it was read, use or why it is left out) of every column.

    Raises:
        NotFound: There is no such file.
        Invalid: It is no table, or the target will not do; the message says why.
    """
    from trivet.data.columns import kind_of
    from trivet.data.sources import read_table
    from trivet.data.targets import inspect_target
    from trivet.models.signatures import fit_signature

    table = read_table(path)
    found = inspect_target(table, target)
    signature = fit_signature(table, target, found.task)
    uses = {target: "target", **dict.fromkeys((i.name for i in signature.inputs), "input")}
    uses |= {name: f"left out: {reason}" for name, reason in signature.left_out.items()}
    kinds = [(name, kind_of(kind)) for name, kind in table.schema.items()]
    return found, [(name, kind, uses.get(name, "left out")) for name, kind in kinds]


def name_of_file(path: Path) -> str:
    """Return the data set's name for a file."""
    from trivet.data.naming import name_from_file

    return name_from_file(path)


def as_candidate(value: object, name: str) -> "Candidate":
    """Return a flow's output when it is a candidate.

    Raises:
        Invalid: It is something else.
    """
    from trivet.models.candidate import Candidate

    if isinstance(value, Candidate):
        return value
    raise Invalid(
        f"the flow's output {name!r} is a {type(value).__name__}; expected a Candidate",
        code="no-candidate",
        hint="Return Candidate.of(model, signature, sample=training) under this name, or name the "
        "output that holds one: output in trivet.toml.",
    )


def data_service(stores: Stores, scope: Scope) -> "DataService":
    """Build the data room."""
    from trivet.data.service import DataService

    return DataService(stores, scope)


def compare_versions(data: "DataService", before: Dataset, after: Dataset) -> "DataDifference":
    """Say what differs between two versions of data."""
    from trivet.data.differences import compare_versions

    return compare_versions(data, before, after)


def parameter_importance(
    parameters: Mapping[str, Sequence[str | float | None]],
    figure: Sequence[float],
    *,
    by_rank: bool,
    seed: int,
) -> "Importances":
    """Say how much each parameter mattered for a figure."""
    from trivet.statistics.importance import parameter_importance

    return parameter_importance(parameters, figure, by_rank=by_rank, seed=seed)


def pipelines_service(
    stores: Stores,
    scope: Scope,
    folder: Path,
    *,
    tracking: TrackingService,
    data: "DataService",
    workers: Workers,
) -> PipelinesService:
    """Build the pipelines room, with the materialisers that other rooms bring."""
    return PipelinesService(
        stores,
        scope,
        tracking=tracking,
        data=data,
        folder=folder,
        materialisers=step_materialisers(),
        elsewhere=Elsewhere(
            workers=workers, opener="trivet.workspace.wiring:open_parts", place=str(folder)
        ),
    )


def open_parts(place: str) -> "WorkerParts":
    """Open what a worker needs of the workspace in a project's folder."""
    return WorkerParts(Path(place))


class WorkerParts:
    """The parts of a workspace that a worker uses. The data room is opened when it is asked for.

    Args:
        folder: The project's folder.
    """

    def __init__(self, folder: Path) -> None:
        from trivet.adapters.files.blobs import FileBlobs

        self._folder = folder
        self.blobs = FileBlobs(folder / FOLDER / "blobs")
        try:
            self.values = Values(step_materialisers())
        except ModuleNotFoundError:  # an environment of a step's own without what models need
            self.values = Values()

    @cached_property
    def data(self) -> "DataService":
        """The data room."""
        settings = read_settings(self._folder)
        scope = Scope(project=settings.project, actor="worker")
        return data_service(open_embedded(self._folder / FOLDER, settings).stores, scope)


def step_materialisers() -> tuple[Materialiser, ...]:
    """Return how candidates, and models of the libraries that adapters know, are kept."""
    from trivet.adapters.lightgbm.boosters import LightGBMBoosters
    from trivet.adapters.onnx.protos import OnnxProtos
    from trivet.adapters.sklearn.estimators import SklearnEstimators
    from trivet.models.candidate import candidate_materialiser
    from trivet.pipelines.materialising.readers import find_own

    keepers = (LightGBMBoosters(), OnnxProtos(), SklearnEstimators(find_own))
    models = (
        Materialiser(
            format=item.format,
            library=item.library,
            accepts=item.accepts,
            save=item.save,
            load=item.load,
        )
        for item in keepers
    )
    return (candidate_materialiser(flavours()), *models)


def models_service(stores: Stores, scope: Scope) -> "ModelsService":
    """Build the models room with every flavour of this installation."""
    from trivet.models.service import ModelsService

    return ModelsService(stores, scope, flavours())


def releases_service(stores: Stores, scope: Scope) -> "ReleasesService":
    """Build the releases room."""
    from trivet.releases.service import ReleasesService

    return ReleasesService(stores, scope)


def serving_service(stores: Stores, scope: Scope, clock: Clock) -> "ServingService":
    """Build the serving room."""
    from trivet.serving.service import ServingService

    return ServingService(stores, scope, clock)


def no_days_note() -> str:
    """Return what an alarm is worth when the held-out rows have no time."""
    from trivet.monitoring.watching import NO_DAYS

    return NO_DAYS


def monitoring_service(stores: Stores, scope: Scope, clock: Clock) -> "MonitoringService":
    """Build the monitoring room."""
    from trivet.monitoring.service import MonitoringService

    return MonitoringService(stores, scope, clock)


def triggers_service(
    stores: Stores, scope: Scope, clock: Clock, folder: Path, allowed: Iterable[str]
) -> "TriggersService":
    """Build the triggers room, which looks into the project's folder, those allowed and buckets."""
    from trivet.adapters.files.listing import FileListing
    from trivet.adapters.objectstore.listing import ObjectListing
    from trivet.triggers.seeing import World
    from trivet.triggers.service import TriggersService

    files = FileListing(folder, [Path(place) for place in allowed])
    listings = {"files": files, "bucket": ObjectListing()}
    return TriggersService(stores, scope, clock, World(folder=folder, listings=listings))


def serving_app(
    stores: Stores,
    scope: Scope,
    serving: "ServingService",
    *,
    policy: DoorPolicy,
    principal_of: PrincipalOf,
) -> Application:
    """Build the inference application."""
    import asyncio

    from trivet.serving.app import ServingApp
    from trivet.serving.capture import Capture
    from trivet.serving.endpoints import Endpoints
    from trivet.serving.exchange import LabelsRequest, LabelsResponse

    async def accept(request: LabelsRequest) -> LabelsResponse:
        return await asyncio.to_thread(serving.label, request.labels, source="http")

    return ServingApp(
        Endpoints(stores, scope),
        Capture(stores.log),
        accept,
        policy=policy,
        principal_of=principal_of,
    ).application


def is_own_program(scope: dict[str, Any]) -> bool:
    """Say whether a request comes straight from a program of this process's user, on loopback."""
    from trivet.adapters.linux.peers import is_own

    client, server = scope.get("client"), scope.get("server")
    if not client or not server or not is_straight(scope["headers"]):
        return False
    return is_own((client[0], client[1]), (server[0], server[1]))


def run_server(app: Application, listener: socket) -> None:
    """Serve an ASGI application on a bound socket until SIGTERM, then drain."""
    import gc

    import uvicorn

    from trivet.workspace.connections import Connection

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # nobody stands before a server on loopback; nobody is believed
        timeout_keep_alive=60,
        limit_concurrency=1000,
        timeout_graceful_shutdown=10,
    )
    # What is loaded stays: looking through it again and again took half the time of large answers.
    gc.collect()
    gc.freeze()
    uvicorn.Server(config).run(sockets=[listener])
