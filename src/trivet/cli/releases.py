"""`trivet release` and `trivet releases`: decisions to serve."""

from argparse import Namespace

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import fields, table
from trivet.cli.warned import told_warnings
from trivet.releases.facts import Overruled, Release
from trivet.workspace.delivery import release_model, watch_note
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace


def _release(options: Namespace) -> Answer:
    with told_warnings(), open_workspace(options.project) as ws:
        release = _move(ws, options)
        note = watch_note(ws, release)
    text = describe_release(release)
    return Answer(release, f"{text}\n\n{note}" if note else text)


def _move(ws: Workspace, options: Namespace) -> Release:
    endpoint = options.endpoint or ws.settings.endpoint
    why, force = options.why or "by hand", options.force or ""
    if options.rollback:
        return ws.releases.rollback(endpoint, why=why, force=force)
    if options.promote:
        return ws.releases.promote(endpoint, why=why, force=force)
    if options.canary is not None:
        return ws.releases.canary(endpoint, options.canary, why=why)
    model = ws.models.get(options.model or ws.settings.model)
    if options.shadow:
        return ws.releases.shadow(endpoint, model, why=why)
    if endpoint == ws.settings.endpoint:
        return release_model(ws, model, why=why, force=force)
    return ws.releases.release(endpoint, model, why=why, force=force)


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = [r for r in map(ws.releases.current, ws.releases.endpoints()) if r]
    rows = [
        (r.plan.endpoint, r.plan.generation, r.plan.stage, _variants(r), _why(r)) for r in found
    ]
    text = table(("endpoint", "generation", "stage", "variants", "why"), rows, empty="no releases")
    return Answer(found, text)


def _history(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        found = ws.releases.history(options.endpoint or ws.settings.endpoint)
    rows = [(r.plan.generation, r.plan.stage, _variants(r), _why(r)) for r in found]
    return Answer(found, table(("generation", "stage", "variants", "why"), rows))


def describe_release(release: Release) -> str:
    """Describe a release for people."""
    plan = release.plan
    return fields(
        [
            ("endpoint", plan.endpoint),
            ("release", release.id),
            ("generation", plan.generation),
            ("stage", plan.stage),
            ("variants", _variants(release)),
            ("log mode", plan.log_mode),
            ("why", plan.why),
            *(("gate overruled", written_override(item)) for item in plan.overruled),
        ]
    )


def written_override(item: Overruled) -> str:
    """Write who overruled a gate, which checks said no, and why."""
    return f"by {item.by} against {', '.join(item.checks)} of {item.gate}: {item.reason}"


def _why(release: Release) -> str:
    said = [f"GATE OVERRULED {written_override(item)}" for item in release.plan.overruled]
    return "; ".join([release.plan.why, *said])


def _variants(release: Release) -> str:
    return ", ".join(
        f"{v.name} version {v.version} "
        + ("as shadow" if v.role == "shadow" else f"to {v.share:.0%}")
        for v in release.plan.variants
    )


_ENDPOINT = Argument("--endpoint", "the endpoint (default: the project's)")

release = Command(
    "Serve a model, move the rollout under way, or go back.",
    "trivet release churn:1 --why 'first version'",
    _release,
    (
        Argument("model", "`name`, `name:version` or `name@alias`", {"nargs": "?"}),
        _ENDPOINT,
        Argument("--shadow", "let it answer copies of requests only", {"action": "store_true"}),
        Argument("--canary", "give the candidate this share", {"type": float, "metavar": "SHARE"}),
        Argument("--promote", "make the candidate the champion", {"action": "store_true"}),
        Argument("--rollback", "go back", {"action": "store_true"}),
        Argument("--why", "the decision in words"),
        Argument(
            "--force",
            "why a deprecated version becomes the protected champion",
            {"metavar": "WHY"},
        ),
    ),
)

VERBS: Group = {
    "list": Command("List the releases in force.", "trivet releases list", _list),
    "history": Command(
        "List an endpoint's releases, newest first.",
        "trivet releases history",
        _history,
        (_ENDPOINT,),
    ),
}
