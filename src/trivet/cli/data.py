"""`trivet data`: data sets and their versions."""

from argparse import Namespace
from pathlib import Path

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import fields, size, table
from trivet.cli.searching import (
    AFTER,
    FILTER,
    ORDER,
    listed,
    position_in,
    token_of,
    with_rest,
)
from trivet.core.errors import Invalid
from trivet.data.facts import Dataset
from trivet.workspace.workspace import open as open_workspace


def _import(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        tags = dict(_tag(text) for text in options.tag)
        dataset = ws.data.import_file(Path(options.file), options.name, tags=tags)
    return Answer(dataset, _describe(dataset))


def _tag(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Invalid(
            f"the tag {text!r} is no pair; expected NAME=VALUE",
            code="bad-arguments",
            hint="Write for example --tag region=north.",
        )
    return name, value


def _list(options: Namespace) -> Answer:
    if options.filter or options.order or options.after or options.versions:
        return _search(options)
    with open_workspace(options.project) as ws:
        found = [ws.data.latest(name) for name in ws.data.names()]
    return Answer(found, _listing(found))


def _search(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.data.search(
            options.filter,
            every_version=options.versions,
            order=listed(options.order),
            after=position_in(options, options.versions),
            limit=options.limit,
        )
    rows = [
        (
            one.name,
            one.version,
            one.rows,
            len(one.columns),
            one.made,
            one.source,
            ", ".join(f"{name}={value}" for name, value in one.tags.items()),
        )
        for one in found.versions
    ]
    headings = ("data set", "version", "rows", "columns", "made (UTC)", "source", "tags")
    token = token_of(found.after, options, options.versions)
    text = table(headings, rows, empty="no data")
    return Answer({"versions": found.versions, "after": token}, with_rest(text, token))


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
                *((f"tag {name}", value) for name, value in commit.tags.items()),
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
            Argument(
                "--tag",
                "NAME=VALUE, to find it by; may be given again",
                {"action": "append", "default": []},
            ),
        ),
    ),
    "list": Command(
        "List data sets with their newest version, or search them.",
        'trivet data list --filter "columns.age IS NOT NULL AND rows > 1000"',
        _list,
        (
            FILTER,
            ORDER,
            Argument("--versions", "all versions, not the newest", {"action": "store_true"}),
            Argument("--limit", "at most so many of a search", {"type": int, "default": 100}),
            AFTER,
        ),
    ),
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
