"""The sections of a card, in the terms of "Model Cards for Model Reporting" (Mitchell et al. 2019).

Each is a function of the evidence alone. What nobody recorded is a gap, which names the fact that
would fill it and the command that records it.
"""

from collections.abc import Iterable

from trivet.workspace.cards.afterwards import governance, monitoring
from trivet.workspace.cards.card import Gap, Grid, Section, Text
from trivet.workspace.cards.evidence import Evidence
from trivet.workspace.cards.judgement import evaluation_data, metrics, quantitative
from trivet.workspace.cards.learning import code_and_environment, impact, training_data
from trivet.workspace.cards.words import (
    gaps_of,
    grouped,
    lines,
    reported,
    strings,
    texts_of,
)


def sections_of(evidence: Evidence) -> tuple[Section, ...]:
    """Return all sections of a card, in their order."""
    return (
        details(evidence),
        intended_use(evidence),
        factors(evidence),
        metrics(evidence),
        evaluation_data(evidence),
        training_data(evidence),
        quantitative(evidence),
        code_and_environment(evidence),
        impact(evidence),
        governance(evidence),
        monitoring(evidence),
        ethics(evidence),
        caveats(evidence),
    )


def details(evidence: Evidence) -> Section:
    """Who made it, when, of which kind, under which licence, and whom to ask."""
    version, model = evidence.subject.version, evidence.model
    assert version is not None  # noqa: S101  # cards are of versions
    kind = "packaged" if model else "logged: no package, no gate has judged it"
    found = [
        ("model", version.label),
        ("identifier", version.id),
        ("kind", kind),
        ("registered by", f"{evidence.entry.actor}, {evidence.entry.time:%Y-%m-%d %H:%M} UTC"),
    ]
    if model is not None:
        signature = model.signature
        found += [
            ("library", model.flavour),
            ("task", f"{signature.task} of {signature.target}"),
            ("classes", ", ".join(signature.classes)),
            ("package", f"{model.package}, {grouped(model.size_bytes)} bytes"),
        ]
    else:
        found += [
            ("source", version.source),
            ("logged model", version.logged_model or ""),
            ("files", version.location or "unknown"),
        ]
    found += [("description", version.description or "")]
    found += [(f"tag {key}", value) for key, value in sorted(version.tags.items())]
    parameters = evidence.run.parameters if evidence.run else reported(evidence, "params.")
    found += [(f"parameter {key}", str(value)) for key, value in sorted(parameters.items())]
    owner = str(evidence.brief.get("owner", ""))
    found += [("owner", owner)]
    wanted = [] if version.description else ["summary"]
    wanted += ["license", "citation"] if owner else ["contact", "license", "citation"]
    return Section(
        key="details",
        title="Model details",
        texts=texts_of(evidence, "summary", "contact", "license", "citation"),
        lines=lines(found),
        gaps=(*_elsewhere(evidence), *gaps_of(evidence, *wanted)),
    )


def _elsewhere(evidence: Evidence) -> tuple[Gap, ...]:
    if evidence.is_kept_here:
        return ()
    what = "a copy of its files here: where they are kept they can change unnoticed"
    return (Gap(what=what, command="log the model through this server"),)


def intended_use(evidence: Evidence) -> Section:
    """What it is for, for whom, and what it must not be used for."""
    brief = evidence.brief
    wanted = ["users", "out-of-scope"]
    if "goal" not in brief:
        wanted.insert(0, "use")
    return Section(
        key="use",
        title="Intended use",
        texts=texts_of(evidence, "use", "users", "out-of-scope"),
        lines=lines(
            [
                ("goal", str(brief.get("goal", ""))),
                *(("constraint", text) for text in strings(brief.get("constraints"))),
            ]
        ),
        gaps=gaps_of(evidence, *wanted),
    )


def factors(evidence: Evidence) -> Section:
    """What it is given, and by which groups it may differ."""
    grids: list[Grid] = []
    found: list[tuple[str, str]] = []
    if evidence.model is not None:
        signature = evidence.model.signature
        rows = [
            (item.name, item.type, _range(item.low, item.high, item.categories), item.missing)
            for item in signature.inputs
        ]
        grids.append(
            Grid(
                caption="Inputs, with what was seen in training",
                headings=("input", "type", "seen", "missing values"),
                rows=tuple(rows),
            )
        )
        found = [(f"left out: {name}", why) for name, why in signature.left_out.items()]
    return Section(
        key="factors",
        title="Factors",
        texts=texts_of(evidence, "factors"),
        lines=lines(found),
        grids=tuple(grids),
        gaps=gaps_of(evidence, "factors"),
    )


def ethics(evidence: Evidence) -> Section:
    """What people said about harm, sensitive data and fairness."""
    return Section(
        key="ethics",
        title="Ethical considerations",
        texts=texts_of(evidence, "ethics"),
        gaps=gaps_of(evidence, "ethics"),
    )


def caveats(evidence: Evidence) -> Section:
    """Known limits, and what people remarked."""
    limits = strings(evidence.brief.get("limits"))
    texts = list(texts_of(evidence, "limitations"))
    texts += [
        Text(text=each.text, by=f"{each.by}, {each.time:%Y-%m-%d}") for each in evidence.comments
    ]
    texts += [Text(text=note.text, by=by) for by, note in evidence.notes]
    return Section(
        key="caveats",
        title="Caveats and recommendations",
        texts=tuple(texts),
        lines=lines([("known limit", text) for text in limits]),
        gaps=() if limits else gaps_of(evidence, "limitations"),
    )


def _range(low: float | None, high: float | None, categories: Iterable[str]) -> str:
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    names = list(categories)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more
