"""Messages as tasks: what is to be told, written in one commit with the fact it is about.

Under a key made of the fact and the notifier, nothing is forgotten, however a process ends, and
whoever honours the key sees each message once.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from trivet.core.errors import TrivetError
from trivet.core.facts import TaskNew
from trivet.core.outbox import message_task
from trivet.core.ports import Message
from trivet.models.facts import Model
from trivet.tracking.facts import Run
from trivet.workspace.notify_file import Event, read_notify_file


def tasks_at_end(folder: Path, project: str, run: Run) -> tuple[TaskNew, ...]:
    """Return the messages about a run that ends, as tasks; none while `notify.toml` is broken.

    A run that was cancelled is nobody's news: somebody wanted it.
    """
    finished = run.finished
    if finished is None or finished.status == "cancelled":
        return ()
    event: Event = "finished" if finished.status == "succeeded" else "failed"
    flow, seconds = run.started.name, finished.seconds
    figures = ", ".join(f"{name} {value:.4g}" for name, value in finished.metrics.items())
    lines = [f"run {run.id} of flow {flow} {finished.status} after {seconds:.1f} s"]
    lines += [figures] if figures else []
    lines += [finished.error] if finished.error else []
    detail: dict[str, object] = {
        "run": run.id,
        "flow": flow,
        "status": finished.status,
        "seconds": seconds,
        "metrics": finished.metrics,
        "parameters": run.started.parameters,
        "error": finished.error,
    }
    title = f"{project}: {flow} {finished.status}"
    message = message_about(project, event, title, "\n".join(lines), detail, run.id)
    return _tasks(folder, event, flow, message)


def tasks_for_approval(folder: Path, project: str, model: Model, flow: str) -> tuple[TaskNew, ...]:
    """Return the messages about a model that passed its gate and waits for a person, as tasks."""
    metrics = {name: measured.value for name, measured in model.version.metrics.items()}
    figures = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    text = f"{model.label} passed its gate and waits for approval: `trivet release`"
    detail: dict[str, object] = {
        "model": model.label,
        "package": model.version.package,
        "run": model.version.run,
        "flow": flow,
        "metrics": metrics,
    }
    title = f"{project}: {model.label} waits for approval"
    lines = f"{text}\n{figures}".strip()
    message = message_about(project, "approval", title, lines, detail, model.id)
    return _tasks(folder, "approval", flow, message)


def message_about(
    project: str, event: str, title: str, text: str, detail: Mapping[str, Any], fact: str
) -> Message:
    """Make a message about a fact; its key is made of the event and the fact."""
    return Message(
        key=f"{event}-{fact}",
        event=event,
        project=project,
        title=title,
        text=text,
        time=datetime.now(UTC),
        detail=dict(detail),
    )


def _tasks(folder: Path, event: Event, flow: str, message: Message) -> tuple[TaskNew, ...]:
    try:
        notifiers = read_notify_file(folder).notifiers
    except (TrivetError, OSError):
        return ()  # a run's end is not lost for it; `trivet run` has said so before it began
    tasks: list[TaskNew] = []
    for name, settings in notifiers.items():
        if event in settings.events and (not settings.flows or flow in settings.flows):
            own = msgspec.structs.replace(message, key=f"{message.key}-{name}")
            tasks.append(message_task(name, own))
    return tuple(tasks)
