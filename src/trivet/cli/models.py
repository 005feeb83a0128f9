"""`trivet models`: packages, verdicts, the registry."""

from argparse import Namespace

from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import fields, size, table
from trivet.core.gates import Finding
from trivet.models.facts import Model
from trivet.workspace.workspace import open as open_workspace


def _list(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        models = [model for name in ws.models.names() for model in ws.models.versions(name)]
    return Answer(models, _listing(models))


def _show(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        model = ws.models.get(options.model)
        verdict = ws.models.verdict(model.version.verdict)
    version = model.version
    pairs: list[tuple[str, object]] = [
        ("model", model.label),
        ("identifier", model.id),
        ("package", version.package),
        ("size", size(version.size_bytes)),
        ("flavour", version.flavour),
        ("task", f"{version.signature.task} of {version.signature.target}"),
        ("run", version.run),
        ("data", ", ".join(version.data)),
    ]
    pairs += [
        (name, f"{m.value:.4f} ({m.low:.4f} to {m.high:.4f}, {m.rows} rows)")
        for name, m in version.metrics.items()
    ]
    inputs = [
        (i.name, i.type, i.missing, ", ".join(i.categories[:6])) for i in version.signature.inputs
    ]
    text = "\n".join(
        [
            fields(pairs),
            "",
            table(("input", "type", "missing", "values"), inputs),
            "",
            f"gate {verdict.gate}: {'passed' if verdict.passed else 'refused'}",
            findings(verdict.findings),
        ]
    )
    return Answer({"model": model, "verdict": verdict}, text)


def _alias(options: Namespace) -> Answer:
    with open_workspace(options.project) as ws:
        model = ws.models.get(options.model)
        ws.models.set_alias(model.version.name, options.alias, model, options.reason)
    return Answer(model, f"{model.version.name}@{options.alias} is {model.label} now")


def findings(items: tuple[Finding, ...]) -> str:
    """Lay out findings, one a line."""
    marks = {True: "ok", False: "NO", None: "??"}
    rows = [(marks[f.ok], f.severity, f.check, f.summary) for f in items]
    return table(("", "severity", "check", "finding"), rows)


def _listing(models: list[Model]) -> str:
    rows = [
        (
            m.label,
            size(m.version.size_bytes),
            ", ".join(f"{name} {v.value:.4f}" for name, v in list(m.version.metrics.items())[:3]),
            m.id,
        )
        for m in models
    ]
    return table(("model", "size", "metrics", "identifier"), rows, empty="no models yet")


_MODEL = Argument("model", "`name`, `name:version` or `name@alias`")

VERBS: Group = {
    "list": Command("List model versions.", "trivet models list", _list),
    "show": Command(
        "Show a model version: inputs, figures, verdict, origin.",
        "trivet models show churn:1",
        _show,
        (_MODEL,),
    ),
    "alias": Command(
        "Point an alias at a version.",
        'trivet models alias churn:2 champion --reason "approved by Ada"',
        _alias,
        (
            _MODEL,
            Argument("alias", "the alias"),
            Argument("--reason", "why", {"required": True}),
        ),
    ),
}
