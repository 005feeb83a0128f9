"""`trivet data`: data sets and their versions."""

from argparse import Namespace
from pathlib import Path

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import fields, size, table
from trivet.data.facts import Dataset
from trivet.workspace.workspace import open as open_workspace


def _import(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        dataset = ws.data.import_file(Path(options.file), options.name)
    return Answer(dataset, _describe(dataset))


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = [ws.data.latest(name) for name in ws.data.names()]
    return Answer(found, _listing(found))


def _versions(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        ws.data.latest(options.name)  # an unknown name is no empty list
        found = ws.data.versions(options.name, limit=options.limit)
    return Answer(found, _listing(found))


def _show(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        dataset = ws.data.latest(options.name)
    return Answer(dataset, _describe(dataset))


def _listing(found: "list[Dataset] | tuple[Dataset, ...]") -> str:
    rows = [
        (d.name, d.id, sum(t.rows for t in d.commit.tables), d.commit.until, d.commit.source)
        for d in found
    ]
    return table(("data set", "version", "rows", "until", "source"), rows, empty="no data yet")


def _describe(dataset: Dataset) -> str:
    commit = dataset.commit
    lines = [
        fields(
            [
                ("data set", dataset.name),
                ("version", dataset.id),
                ("source", commit.source),
                ("until", commit.until),
                ("synthetic", "yes" if commit.synthetic else "no"),
            ]
        )
    ]
    for item in commit.tables:
        lines.append(f"\ntable {item.name}: {item.rows} rows, {size(item.size_bytes)}")
        lines.append(table(("column", "type"), list(item.columns.items())))
    lines.extend(
        f"\ntree {tree.name}: {tree.files} files, {size(tree.size_bytes)}" for tree in commit.trees
    )
    lines.extend(
        f"{'ok  ' if finding.ok else 'LOOK'}  {finding.summary}" for finding in commit.findings
    )
    return "\n".join(lines)


_NAME = Argument("name", "the data set")

VERBS: Group = {
    "import": Command(
        "Check a CSV or Parquet file and publish it as a version of a data set.",
        "trivet data import customers.csv",
        _import,
        (
            Argument("file", "the file"),
            Argument("--name", "the data set (default: the file's name)"),
        ),
    ),
    "list": Command("List data sets with their newest version.", "trivet data list", _list),
    "versions": Command(
        "List the versions of a data set, newest first.",
        "trivet data versions customers",
        _versions,
        (_NAME, Argument("--limit", "at most so many", {"type": int, "default": 20})),
    ),
    "show": Command(
        "Show the newest version of a data set: columns, rows, findings.",
        "trivet data show customers",
        _show,
        (_NAME,),
    ),
}
