"""`trivet export`: runs go out."""

from argparse import Namespace

from trivet.cli.choosing import open_chosen
from trivet.cli.command import Answer, Argument, Command, Group, of_projects
from trivet.cli.importing import describe, progress
from trivet.workspace import holdings


def _mlflow(options: Namespace) -> Answer:
    names = tuple(dict.fromkeys(options.experiment))
    with open_chosen(options) as ws:
        receiver = holdings.mlflow_receiver(options.server)
        try:
            moved = ws.moving.send(receiver, names, is_dry=options.dry_run, tell=progress())
        finally:
            receiver.close()
    return Answer(moved, describe(moved, "exported"))


VERBS: Group = of_projects(
    {
        "mlflow": Command(
            "Send runs, traces, files and models to a server of MLflow; again, what is new.",
            "trivet export mlflow http://mlflow.example:5000 --experiment churn",
            _mlflow,
            (
                Argument("server", "the server's address"),
                Argument(
                    "--experiment",
                    "only the experiment of this name; may be repeated",
                    {"action": "append", "default": [], "metavar": "NAME"},
                ),
                Argument("--dry-run", "only say what there is to send", {"action": "store_true"}),
            ),
        ),
    }
)
