"""`trivet assets`: the named results of flows, and their versions."""

from argparse import Namespace
from collections.abc import Sequence

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import fields, size, table
from trivet.pipelines.facts import KnownAsset
from trivet.workspace.workspace import open as open_workspace

_SHOWN = 2000


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.pipelines.assets()
    rows = [_row(asset, asset.label) for asset in found]
    headings = ("asset", "made", "by run", "format", "size")
    empty = "no assets yet: whatever a flow returns in a dict becomes one"
    return Answer(found, table(headings, rows, empty=empty))


def _history(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.pipelines.asset_versions(options.name)
    rows = [_row(asset, asset.version.number) for asset in found]
    return Answer(found, table(("version", "made", "by run", "format", "size"), rows))


def _row(asset: KnownAsset, label: object) -> tuple[object, ...]:
    output = asset.version.output
    made = f"{asset.made_at.astimezone():%Y-%m-%d %H:%M}"
    return label, made, asset.version.run, output.format, size(output.size_bytes)


def _show(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        asset = ws.pipelines.asset(options.asset)
        value = repr(ws.pipelines.asset_value(options.asset)) if options.value else None
        run = ws.tracking.get(asset.version.run)
        used = [run.id for run in ws.tracking.runs() if asset.id in run.started.assets]
    output = asset.version.output
    pairs: list[tuple[str, object]] = [
        ("asset", asset.label),
        ("identifier", asset.id),
        ("made", f"{asset.made_at.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("by run", run.id),
        ("code", run.started.code.commit or run.started.code.tree),
        ("data", ", ".join(run.started.data) or "none"),
        ("kept as", f"{output.format}, {size(output.size_bytes)}"),
        ("content", output.digest),
        ("given to", _few(used) or "none of the last 100 runs"),
    ]
    text = fields(pairs)
    if value is not None:
        text += f"\n\n{value[:_SHOWN]}{'…' if len(value) > _SHOWN else ''}"
    return Answer({"asset": asset, "given_to": used, "value": value}, text)


def _few(identifiers: Sequence[str]) -> str:
    return ", ".join(identifiers[:5]) + (", …" if len(identifiers) > 5 else "")


VERBS: Group = {
    "list": Command("List assets, each in its newest version.", "trivet assets list", _list),
    "history": Command(
        "List all versions of an asset, newest first.",
        "trivet assets history churn.model",
        _history,
        (Argument("name", "the asset, `flow.output`"),),
    ),
    "show": Command(
        "Show a version: what made it, of what, and which runs were given it.",
        "trivet assets show churn.scores@3 --value",
        _show,
        (
            Argument("asset", "`flow.output` for the newest, `flow.output@3` for the third"),
            Argument("--value", "print the value, too", {"action": "store_true"}),
        ),
    ),
}
