"""`trivet models`: packages, verdicts, the registry."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trivet.cli import approvals, cards, registry
from trivet.cli.choosing import open_chosen
from trivet.cli.command import Answer, Argument, Command, Group, of_projects
from trivet.cli.output import fields, size, table
from trivet.cli.registry import notes_of
from trivet.cli.searching import (
    AFTER,
    FILTER,
    ORDER,
    listed,
    position_in,
    token_of,
    with_rest,
)
from trivet.core.errors import Invalid, NotFound
from trivet.core.gates import Finding
from trivet.models.facts import GateOverride, GateVerdict, Model, Version
from trivet.models.remarks import Deprecation
from trivet.workspace import wiring
from trivet.workspace.workspace import Workspace

if TYPE_CHECKING:
    from trivet.models.proof.result import Proof


def _list(options: Namespace) -> Answer:
    if options.filter or options.order or options.after:
        return _search(options)
    with open_chosen(options) as ws:
        names = ws.models.names()
        models = [model for name in names for model in ws.models.versions(name)]
        logged = [version for name in names for version in ws.models.logged(name)]
        said = notes_of(ws, [item.id for item in (*models, *logged)])
    data = [
        {**msgspec.to_builtins(item), "deprecation": said.get(item.id)}
        for item in (*models, *logged)
    ]
    return Answer(data, _listing(models, logged, said))


def _search(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        found = ws.models.search(
            options.filter,
            order=listed(options.order),
            after=position_in(options),
            limit=options.limit,
        )
    rows = [
        (
            one.label,
            one.kind,
            ", ".join(one.aliases),
            ", ".join(f"{name} {value:.4f}" for name, value in list(one.metrics.items())[:3]),
            one.id,
        )
        for one in found.versions
    ]
    token = token_of(found.after, options)
    text = table(("model", "kind", "aliases", "metrics", "identifier"), rows, empty="no models")
    return Answer({"versions": found.versions, "after": token}, with_rest(text, token))


def _show(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        found = ws.models.finder.version(options.model)
        said = notes_of(ws, [found.id]).get(found.id)
        if not found.is_packaged:
            text = _logged(found, said, _origin(ws, found))
            return Answer({"version": found, "deprecation": said}, text)
        model = ws.models.get(found.id)
        verdict = ws.models.verdicts.get(model.version.verdict)
        overrides = dict(ws.models.verdicts.overrides(model.version.name))
    override = overrides.get(model.version.override or "")
    text = "\n".join(
        [
            fields(_pairs(model, found, said, override)),
            "",
            table(("input", "type", "missing", "values"), _inputs(model)),
            "",
            f"gate {verdict.gate}: {'passed' if verdict.passed else 'refused'}",
            findings(verdict.findings),
        ]
    )
    data = {"model": model, "verdict": verdict, "override": override, "deprecation": said}
    return Answer(data, text)


def _pairs(
    model: Model, found: Version, said: Deprecation | None, override: GateOverride | None
) -> list[tuple[str, object]]:
    version = model.version
    pairs: list[tuple[str, object]] = [
        ("model", model.label),
        ("identifier", model.id),
        *_standing(found, said),
        ("package", version.package),
        ("size", size(version.size_bytes)),
        ("flavour", version.flavour),
        ("task", f"{version.signature.task} of {version.signature.target}"),
        ("run", version.run),
        ("data", ", ".join(version.data)),
    ]
    if override is not None:
        overruled = ", ".join(override.overruled)
        pairs.append(("gate overruled", f"by {override.by} against {overruled}: {override.reason}"))
    pairs += [
        (name, f"{m.value:.4f} ({m.low:.4f} to {m.high:.4f}, {m.rows} rows)")
        for name, m in version.metrics.items()
    ]
    return pairs


def _standing(found: Version, said: Deprecation | None) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    if said is not None:
        pairs.append(("DEPRECATED", str(said)))
    if found.aliases:
        pairs.append(("aliases", ", ".join(found.aliases)))
    return pairs


def _inputs(model: Model) -> list[tuple[object, ...]]:
    return [
        (i.name, i.type, i.missing, ", ".join(i.categories[:6]))
        for i in model.version.signature.inputs
    ]


def _origin(ws: Workspace, found: Version) -> str | None:
    """Return a version's run. When it is put away the version's files stay; people shall know."""
    if found.run is None:
        return None
    with suppress(NotFound, Invalid):  # it may be another store's
        if ws.tracking.reported.get(found.run).stage == "deleted":
            return f"{found.run} (deleted; it can be restored)"
    return found.run


def _logged(found: Version, said: Deprecation | None, origin: str | None) -> str:
    pairs: list[tuple[str, object]] = [
        ("model", found.label),
        ("identifier", found.id),
        *_standing(found, said),
        ("kind", "logged: no package, and no gate has judged it"),
        ("source", found.source),
        ("run", origin),
        ("logged model", found.logged_model),
        ("registered by", found.user),
        ("stage", found.stage),
        ("description", found.description),
    ]
    pairs += [(f"tag {key}", value) for key, value in sorted(found.tags.items())]
    return fields(pairs)


class _Judged(msgspec.Struct, frozen=True):
    id: str
    verdict: GateVerdict
    overrides: tuple[GateOverride, ...]


def _verdicts(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        name = options.name or ws.settings.model
        overrides = [item for _, item in ws.models.verdicts.overrides(name)]
        found = [
            _Judged(id_, verdict, tuple(o for o in overrides if o.verdict == id_))
            for id_, verdict in ws.models.verdicts.of(name)
        ]
    heads = ("verdict", "look", "level", "smallest gain it finds", "answer")
    rows = [_verdict_row(item) for item in found]
    return Answer(found, table(heads, rows, empty="nothing was judged yet"))


def _verdict_row(item: _Judged) -> tuple[object, ...]:
    verdict = item.verdict
    contest = next((f for f in verdict.findings if f.check == "champion"), None)
    said = "passed" if verdict.passed else "refused"
    said += "".join(f"; overruled by {o.by}: {o.reason}" for o in item.overrides)
    detectable = contest.evidence.get("detectable") if contest else None
    return item.id, verdict.look, verdict.alpha, detectable, said


def _override(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        verdict = ws.models.verdicts.get(options.verdict)
        id_, override = ws.models.verdicts.override(options.verdict, options.reason)
        model = None
        if verdict.run is not None:
            package = ws.models.open(verdict.subject)
            model = ws.models.register(
                verdict.model, package, run=verdict.run, verdict_id=options.verdict
            )
    overruled = ", ".join(override.overruled)
    text = f"{override.by} overruled {overruled} of {override.gate}: {override.reason}"
    if model is not None:
        text += f"\nregistered as {model.label}; the refusal stays on record beside it"
    return Answer({"id": id_, "override": override, "model": model}, text)


def _compare(options: Namespace) -> Answer:
    from trivet.models.proof.page import standing_headings, standing_rows, write_proof

    with open_chosen(options) as ws:
        proof, run = _proof(ws, options)
    if options.report:
        write_proof(proof, Path(options.report))
    lines = [proof.conclusion, "", table(standing_headings(proof), standing_rows(proof)), ""]
    lines += [f"- {text}" for text in proof.limits]
    lines += ["", f"run {run}"]
    if options.report:
        lines.append(f"report {options.report}")
    return Answer({"run": run, "proof": proof, "conclusion": proof.conclusion}, "\n".join(lines))


def _proof(ws: Workspace, options: Namespace) -> "tuple[Proof, str]":
    """Run what was asked for, and find the proof among its results."""
    from trivet.models.proof.flows import Question, proof_flow
    from trivet.models.proof.result import Proof

    if bool(options.flow) == bool(options.data):
        raise Invalid(
            "expected either data with --target, or --flow",
            code="bad-arguments",
            hint="`trivet models compare customers --target churned`, or your own algorithms: "
            "`trivet models compare --flow poc:main`.",
        )
    if options.flow:
        run = ws.pipelines.run(options.flow)
    else:
        if not options.target:
            raise Invalid("--target is not given", code="bad-arguments", hint="Name the column.")
        question = Question(
            target=options.target,
            metric=options.metric,
            baseline=options.baseline,
            test_share=options.test_share,
            time=options.time,
            group=options.group,
            drop=tuple(options.drop or ()),
            seed=options.seed,
        )
        run = ws.pipelines.run(proof_flow(question, wiring.flavours()), table=options.data)
    outputs = run.finished.outputs if run.finished else ()
    for output in outputs:
        value = ws.pipelines.value(run.id, output.name)
        if isinstance(value, Proof):
            return value, run.id
    raise NotFound(
        f"flow {options.flow!r} returned no proof",
        code="no-proof",
        hint='Return {"proof": compare(...)} from it; see docs/how-to/until.md.',
    )


def findings(items: tuple[Finding, ...]) -> str:
    """Lay out findings, one a line."""
    marks = {True: "ok", False: "NO", None: "??"}
    rows = [(marks[f.ok], f.severity, f.check, f.summary) for f in items]
    return table(("", "severity", "check", "finding"), rows)


def _listing(
    models: Sequence[Model], logged: Sequence[Version], said: Mapping[str, Deprecation]
) -> str:
    rows: list[tuple[object, ...]] = [
        (
            m.label,
            size(m.version.size_bytes),
            ", ".join(f"{name} {v.value:.4f}" for name, v in list(m.version.metrics.items())[:3]),
            m.id,
        )
        for m in models
    ]
    rows += [(v.label, "logged", "", v.id) for v in logged]
    heads: tuple[str, ...] = ("model", "size", "metrics", "identifier")
    if said:
        heads = (*heads, "note")
        rows = [(*row, str(said.get(str(row[3])) or "")) for row in rows]
    return table(heads, rows, empty="no models yet")


_MODEL = Argument("model", "`name`, `name:version` or `name@alias`")

VERBS: Group = of_projects(
    {
        **approvals.VERBS,
        **registry.VERBS,
        **cards.VERBS,
        "list": Command(
            "List model versions, packaged and logged, or search them.",
            "trivet models list --filter \"metrics.auc > 0.9 AND alias = 'champion'\"",
            _list,
            (
                FILTER,
                ORDER,
                Argument("--limit", "at most so many of a search", {"type": int, "default": 100}),
                AFTER,
            ),
        ),
        "show": Command(
            "Show a model version: inputs, figures, verdict, origin.",
            "trivet models show churn:1",
            _show,
            (_MODEL,),
        ),
        "verdicts": Command(
            "List what was judged for a name: looks, levels, what each could have seen.",
            "trivet models verdicts churn",
            _verdicts,
            (Argument("name", "the model's name (default: the project's)", {"nargs": "?"}),),
        ),
        "compare": Command(
            "Compare algorithms with a baseline on the same rows: gains, curves, costs, limits.",
            "trivet models compare customers --target churned --report poc.html",
            _compare,
            (
                Argument("data", "a data set, or a CSV or Parquet file", {"nargs": "?"}),
                Argument("--target", "the column to predict"),
                Argument("--flow", "your own flow that returns `compare(...)`, as module:function"),
                Argument("--metric", "by what (default: the task's own)"),
                Argument(
                    "--baseline", "linear, forest or boosted trees (default: a constant answer)"
                ),
                Argument("--time", "column of time: the last rows are the test rows"),
                Argument("--group", "column of rows that belong together"),
                Argument(
                    "--drop", "a column that is no input; may be given again", {"action": "append"}
                ),
                Argument(
                    "--test-share", "share of rows to compare on", {"type": float, "default": 0.25}
                ),
                Argument(
                    "--seed",
                    "orders the rows, and seeds the algorithms",
                    {"type": int, "default": 0},
                ),
                Argument("--report", "write a page to this HTML file"),
            ),
        ),
        "override": Command(
            "Overrule a gate's refusal in your own name, and register the model all the same.",
            'trivet models override VERDICT --reason "the old model is down; agreed with Ada"',
            _override,
            (
                Argument("verdict", "the verdict's identifier, see `trivet models verdicts`"),
                Argument("--reason", "why it shall be used all the same", {"required": True}),
            ),
        ),
    }
)
