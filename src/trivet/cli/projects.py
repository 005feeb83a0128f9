"""`trivet projects`: the projects that one store holds and one server serves."""

from argparse import Namespace

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import table
from trivet.workspace.workspace import open as open_workspace


def _add(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        added = ws.access.projects.add(options.name)
    return Answer(added, f"MLFLOW_TRACKING_URI=http://HOST:PORT/{added.name} leads to it")


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        projects = ws.access.projects
        rows = [(name, "/" if name == projects.own else f"/{name}") for name in projects.names()]
    data = [{"name": name, "root": root} for name, root in rows]
    return Answer(data, table(("project", "root"), rows))


VERBS: Group = {
    "add": Command(
        "Add a project; the servers serve it below its name at once.",
        "trivet projects add churn",
        _add,
        (Argument("name", "its name"),),
    ),
    "list": Command("List projects, the folder's own first.", "trivet projects list", _list),
}
