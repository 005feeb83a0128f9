"""Calls that list the artifacts of a run or a logged model, by paths that begin there."""

from typing import Any, Final

from trivet.access.permissions import Permission
from trivet.tracking.artifacts import owner_of
from trivet.tracking.paths import without_dots
from trivet.web.mlflow.calls import Call, Rooms
from trivet.web.mlflow.fields import Fields
from trivet.web.mlflow.rendering import Message
from trivet.web.mlflow.runs import run_of


def _list(rooms: Rooms, fields: Fields) -> Message:
    run = rooms.runs.get(run_of(fields))
    files = files_in(rooms, owner_of("run", run.id), without_dots(fields.text("path")))
    return {"root_uri": run.location, "files": files}


def _list_of_model(rooms: Rooms, fields: Fields) -> Message:
    model = rooms.logged_models.get(fields.demanded("model_id"))
    folder = without_dots(fields.text("artifact_directory_path"))
    files = files_in(rooms, owner_of("model", model.id), folder)
    return {"root_uri": model.location, "files": files}


def files_in(rooms: Rooms, owner: str, folder: str) -> list[dict[str, Any]]:
    """List a folder; the paths begin at the owner's uppermost folder."""
    above = f"{folder.strip('/')}/" if folder.strip("/") else ""
    return [
        {"path": above + item.name, "is_dir": item.is_folder}
        | ({} if item.size_bytes is None else {"file_size": item.size_bytes})
        for item in rooms.artifacts.list(owner, folder)
    ]


CALLS: Final = (
    Call("GET", "/artifacts/list", Permission.READ, "List a folder of a run's artifacts", _list),
    Call(
        "GET",
        "/logged-models/{model_id}/artifacts/directories",
        Permission.READ,
        "List a folder of a logged model's artifacts",
        _list_of_model,
    ),
)
