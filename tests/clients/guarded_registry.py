"""What a user of MLflow's client tries on a guarded registry; run by a client's own interpreter.

The first argument says which part; each prints a line of JSON: what was refused, and how.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from requests import HTTPError

NAME = "letters"
client = MlflowClient()


def refusal(action: Callable[[], object]) -> list[str]:
    """Return the code and the message of a refusal; nothing when it was done."""
    try:
        action()
    except MlflowException as error:
        return [error.error_code, error.message]
    except HTTPError as error:  # so uploads tell
        return ["HTTP", str(error)]
    return []


def make() -> dict[str, Any]:
    client.create_registered_model(NAME)
    runs = []
    for weights in ("one", "two"):
        run = client.create_run("0").info
        client.log_text(run.run_id, weights, "model/weights.txt")
        client.create_model_version(NAME, f"{run.artifact_uri}/model", run_id=run.run_id)
        runs.append(run.run_id)
    client.set_registered_model_alias(NAME, "champion", "1")
    client.transition_model_version_stage(NAME, "1", "Production")
    return {"runs": runs}


def tamper() -> dict[str, Any]:
    run = client.get_model_version(NAME, "1").run_id
    repository = get_artifact_repository(client.get_run(run).info.artifact_uri)
    tried = {
        "move": lambda: client.set_registered_model_alias(NAME, "champion", "2"),
        "drop": lambda: client.delete_registered_model_alias(NAME, "champion"),
        "stage": lambda: client.transition_model_version_stage(
            NAME, "2", "Production", archive_existing_versions=True
        ),
        "unstage": lambda: client.transition_model_version_stage(NAME, "1", "Archived"),
        "delete version": lambda: client.delete_model_version(NAME, "1"),
        "delete model": lambda: client.delete_registered_model(NAME),
        "rename": lambda: client.rename_registered_model(NAME, "post"),
        "overwrite": lambda: client.log_text(run, "bad", "model/weights.txt"),
        "add": lambda: client.log_text(run, "bad", "model/more.txt"),
        "delete file": lambda: repository.delete_artifacts("model/weights.txt"),
        "delete folder": lambda: repository.delete_artifacts("model"),
        "elsewhere": lambda: client.log_text(run, "fine", "notes.txt"),
    }
    found = {name: refusal(action) for name, action in tried.items()}
    kept = client.get_model_version_by_alias(NAME, "champion")
    return {"refused": found, "champion": str(kept.version), "stage": kept.current_stage}


def move() -> dict[str, Any]:
    client.set_registered_model_alias(NAME, "champion", "2")
    return {"champion": str(client.get_model_version_by_alias(NAME, "champion").version)}


def deprecate() -> dict[str, Any]:
    client.set_model_version_tag(NAME, "1", "trivet.deprecated", "a broken feed")
    found = client.get_model_version(NAME, "1").tags
    searched = client.search_model_versions("tags.`trivet.deprecated` LIKE '%feed%'")
    again = refusal(lambda: client.set_registered_model_alias(NAME, "champion", "1"))
    copied = client.copy_model_version(f"models:/{NAME}/1", "copies").tags
    client.delete_model_version_tag(NAME, "1", "trivet.deprecated")
    return {
        "tags": found,
        "searched": [str(each.version) for each in searched],
        "again": again,
        "copied": copied,
        "after": client.get_model_version(NAME, "1").tags,
    }


if __name__ == "__main__":
    parts = {"make": make, "tamper": tamper, "move": move, "deprecate": deprecate}
    print("\n" + json.dumps(parts[sys.argv[1]]()), flush=True)
