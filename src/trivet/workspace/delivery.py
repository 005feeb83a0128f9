"""Delivery: what becomes of a run's candidate. Packaged, judged, registered, and on its way live.

The same path for a person's `trivet run` and for a run that a trigger asked for; nothing is
registered that the gate refused, and nothing is released that is not registered.
"""

from functools import partial
from typing import cast

import msgspec

from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import TaskNew
from trivet.core.ports import ArrowStream
from trivet.models.facts import GateVerdict, Model
from trivet.models.rules import ChecklistSpec, read_checklist
from trivet.monitoring.facts import WatchSet
from trivet.releases.facts import Release
from trivet.tracking.facts import Run
from trivet.workspace import wiring
from trivet.workspace.outbox import tasks_for_approval
from trivet.workspace.project_files import read_monitor_file, read_release_file
from trivet.workspace.workspace import Workspace

TRAINING, HOLDOUT = "training", "holdout"


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run's candidate came."""

    run: str
    package: str
    verdict_id: str
    verdict: GateVerdict
    model: Model | None = None
    """None when the gate refused."""
    release: Release | None = None
    """The shadow it began as, when rollouts are automatic and there is a champion."""
    note: str = ""


def check_delivery(workspace: Workspace) -> None:
    """Read everything that a delivery will go by, before a run spends hours on its candidate.

    Raises:
        NotFound: The project has no gate.
        Invalid: `gate.toml` or `release.toml` cannot be read.
    """
    if workspace.settings.gate:
        checklist_of(workspace)
        read_release_file(workspace.folder)


def deliver(workspace: Workspace, run: Run) -> Delivered | None:
    """Package, judge and register a run's candidate; begin its rollout when that is automatic.

    The run's flow returns the candidate under the project's `output` name, and the rows it was
    judged and trained on as `holdout` and `training`.

    Returns:
        How far it came; None when the flow returned no candidate, or the project has no gate.

    Raises:
        Invalid: The flow returned a candidate without the rows to judge it by.
        Unsupported: The model cannot be packaged.
    """
    settings = workspace.settings
    if not settings.gate or run.output(settings.output) is None:
        return None
    for name in (HOLDOUT, TRAINING):
        if run.output(name) is None:
            raise Invalid(
                f"the flow returned {settings.output!r} but no {name!r}; expected both",
                code="no-rows-to-judge",
                hint=f'Return {{"{settings.output}": candidate, "holdout": rows, '
                '"training": rows} from the flow.',
            )
    value = workspace.pipelines.value(run.id, settings.output)
    candidate = wiring.as_candidate(value, settings.output)
    holdout = cast("ArrowStream", workspace.pipelines.value(run.id, HOLDOUT))
    training = cast("ArrowStream", workspace.pipelines.value(run.id, TRAINING))
    spec = checklist_of(workspace)
    hides = spec.champion.figures == "hidden"
    package_it = partial(workspace.models.package, candidate, run=run, time=spec.rows.time)
    # The losses that monitors compare with are figures of the held-out rows: where figures are
    # hidden, a package gets them once it has passed.
    package = package_it(holdout=None if hides else holdout)
    known = _same_model(workspace, package.digest)
    if known is not None:
        # The very same model again: another look at the held-out rows would only wear them out.
        return Delivered(
            run=run.id,
            package=known.version.package,
            verdict_id=known.version.verdict,
            verdict=workspace.models.verdicts.get(known.version.verdict),
            model=known,
            note=f"nothing changed: this is {known.label}",
        )
    examine = partial(
        workspace.models.examine,
        settings.model,
        spec=spec,
        holdout=holdout,
        training=training,
        run=run,
    )
    verdict_id, verdict = examine(package=package)
    if hides and verdict.passed:
        package = package_it(holdout=holdout)
        verdict_id, verdict = examine(package=package)  # the same question: no further look
    done = Delivered(run=run.id, package=package.digest, verdict_id=verdict_id, verdict=verdict)
    if not verdict.passed:
        return msgspec.structs.replace(done, note="refused by its gate; nothing was registered")
    waits = _waits_for_a_person(workspace)
    model = workspace.models.register(
        settings.model,
        package,
        run=run,
        verdict_id=verdict_id,
        tasks=lambda model: _approval_tasks(workspace, model, run) if waits else (),
    )
    done = msgspec.structs.replace(done, model=model)
    return _begin_rollout(workspace, done, model)


def _same_model(workspace: Workspace, package: str) -> Model | None:
    """Return the version that came of a package, or of the same one before it was completed."""
    name = workspace.settings.model
    passed = [item for _, item in workspace.models.verdicts.of(name) if item.passed]
    runs = {verdict.run for verdict in passed if verdict.subject == package}
    return next(
        (
            model
            for model in workspace.models.versions(name)
            if model.version.package == package or model.version.run in runs
        ),
        None,
    )


def release_model(workspace: Workspace, model: Model, *, why: str, force: str = "") -> Release:
    """Release a model to everybody, and set up how its endpoint is watched and retrained.

    Args:
        workspace: The project.
        model: What its endpoint shall serve.
        why: The decision in words.
        force: Why a deprecated version becomes a champion that is protected, all the same.

    Raises:
        Refused: Its gate did not pass.
        Invalid: `release.toml` or `monitor.toml` cannot be read.
    """
    settings = workspace.settings
    rollout = read_release_file(workspace.folder)
    set_up_watching(workspace)
    return workspace.releases.release(
        settings.endpoint, model, why=why, log_mode=rollout.log_mode, force=force
    )


def watch_note(workspace: Workspace, release: Release) -> str:
    """Say what people must know about the watching of a release; empty when there is nothing."""
    reference = workspace.models.open(release.plan.variants[0].package).reference
    if not reference.windows:
        return (
            "Not watched for quality: too few held-out rows to know what is natural. Windows are "
            "measured all the same."
        )
    return "" if reference.has_days else wiring.no_days_note()


def set_up_watching(workspace: Workspace) -> None:
    """Bring monitors and triggers to what `release.toml` and `monitor.toml` say.

    Raises:
        Invalid: A file cannot be read, or asks for something that cannot work.
    """
    settings = workspace.settings
    rollout = read_release_file(workspace.folder)
    monitor = read_monitor_file(workspace.folder)
    workspace.monitoring.watch(
        WatchSet(
            endpoint=settings.endpoint,
            window_s=monitor.window_s,
            label_delay_s=monitor.label_delay_s,
            false_alarms_per_year=monitor.false_alarms_per_year,
            tolerance=monitor.tolerance,
            repeat_s=monitor.repeat_s,
            rollout=rollout.rollout,
            automatic_rollouts=rollout.automatic,
        )
    )
    for name, trigger in monitor.triggers.items():
        workspace.triggers.when(
            name,
            trigger.cause,
            do=trigger.flow or settings.flow,
            watch=trigger.watch,
            parameters=trigger.parameters,
            **trigger.options(),
        )


def checklist_of(workspace: Workspace) -> ChecklistSpec:
    """Read the project's gate.

    Raises:
        NotFound: The project has no such file.
        Invalid: It cannot be read.
    """
    path = workspace.folder / workspace.settings.gate
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound(
            f"the project has no {workspace.settings.gate}",
            code="no-gate",
            hint="Write one: an empty file demands the defaults, docs/reference/gate.md lists the "
            'rest. When the flow trains nothing, set gate = "" in trivet.toml.',
        ) from error
    return read_checklist(text)


def _waits_for_a_person(workspace: Workspace) -> bool:
    """Say whether what is registered now goes live only by hand."""
    current = workspace.releases.current(workspace.settings.endpoint)
    return current is None or not read_release_file(workspace.folder).automatic


def _approval_tasks(workspace: Workspace, model: Model, run: Run) -> tuple[TaskNew, ...]:
    project = workspace.scope.project
    return tasks_for_approval(workspace.folder, project, model, run.started.name)


def _begin_rollout(workspace: Workspace, done: Delivered, model: Model) -> Delivered:
    endpoint = workspace.settings.endpoint
    current = workspace.releases.current(endpoint)
    if current is None:
        return msgspec.structs.replace(done, note="registered; release it: `trivet release`")
    if not read_release_file(workspace.folder).automatic:
        return msgspec.structs.replace(done, note="registered; rollouts are by hand here")
    if current.plan.variants[0].model == model.id:
        return msgspec.structs.replace(done, note="this version is the champion already")
    try:
        release = workspace.releases.shadow(
            endpoint, model, why=f"{model.label} passed {done.verdict.gate}"
        )
    except Conflict as error:
        return msgspec.structs.replace(done, note=f"registered; no rollout begun: {error.message}")
    return msgspec.structs.replace(done, release=release, note="passed; it runs as shadow now")
