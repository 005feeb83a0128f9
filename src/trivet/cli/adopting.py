"""`trivet adopt`: a notebook becomes a pipeline."""

from argparse import Namespace
from pathlib import Path

from trivet.cli.command import Answer, Argument, Command
from trivet.cli.output import table
from trivet.core.errors import NotFound
from trivet.pipelines.notebooks.facts import Adopted, Proof
from trivet.pipelines.notebooks.service import Wishes, adopt_notebook
from trivet.workspace.settings import find_project

_MATERIALISERS = "trivet.workspace.wiring:step_materialisers"


def _adopt(options: Namespace) -> Answer:
    notebook = Path(options.notebook)
    try:
        project = find_project(Path(options.project).resolve())
    except NotFound:
        project = None
    wishes = Wishes(
        target=options.to,
        check=not options.no_check,
        force=options.force,
        link=options.link,
        dry_run=options.dry_run,
        materialisers=_MATERIALISERS,
    )
    adopted = adopt_notebook(notebook, project or notebook.resolve().parent, wishes)
    if options.dry_run:
        return Answer(adopted, adopted.module.rstrip("\n"))
    return Answer(adopted, _told(adopted, project))


def _told(adopted: Adopted, project: Path | None) -> str:
    analysis = adopted.analysis
    rows = [
        (s.name, ", ".join(map(str, s.cells)), ", ".join(s.inputs), ", ".join(s.outputs))
        for s in analysis.steps
    ]
    lines = [table(("step", "cells", "takes", "returns"), rows), ""]
    if analysis.parameters:
        pairs = ", ".join(f"{p.name}={p.default}" for p in analysis.parameters)
        lines.append(f"parameters: {pairs}")
    lines.append(f"results: {', '.join(analysis.results) or 'none'}")
    lines += [
        f"note: {step.name} may change {', '.join(step.changed)} in place, and returns it"
        for step in analysis.steps
        if step.changed
    ]
    lines += [f"note: {note}" for note in analysis.notes]
    lines += [f"warning: {warning}" for warning in analysis.warnings]
    if analysis.requirements:
        lines.append(f"put into your requirements: {', '.join(analysis.requirements)}")
    lines += ["", _proven(adopted.proof), *(f"wrote {path}" for path in adopted.written)]
    return "\n".join([*lines, "", *_next(adopted, project)])


def _proven(proof: Proof | None) -> str:
    if proof is None:
        return "not checked: run it without --no-check to compare it with the notebook"
    lines = [f"{proof.equal} of {proof.compared} results equal"]
    for difference in proof.differences:
        what = f"{difference.step}, {difference.name}" if difference.name else difference.step
        lines.append(f"  {what}: {difference.reason}")
    if proof.varying:
        lines.append(f"  vary from run to run: {', '.join(proof.varying)}")
    if proof.not_comparable:
        lines.append(f"  not comparable: {', '.join(proof.not_comparable)}")
    return "\n".join(lines)


def _next(adopted: Adopted, project: Path | None) -> list[str]:
    module = Path(adopted.written[0])
    first = [] if project else ["  trivet init .        # makes this folder a project"]
    name = ".".join(module.relative_to(project or module.parent).with_suffix("").parts)
    return ["next", *first, f"  trivet run {name}:{adopted.analysis.flow} --no-delivery"]


adopt = Command(
    "Turn a notebook into a module of steps and a flow, proven to compute the same.",
    "trivet adopt churn.ipynb",
    _adopt,
    (
        Argument("notebook", "an .ipynb file of format 4", {"metavar": "NOTEBOOK"}),
        Argument(
            "--to",
            "the module (default: named like the notebook)",
            {"default": "", "metavar": "FILE"},
        ),
        Argument(
            "--no-check",
            "write it without running the notebook and the flow",
            {"action": "store_true"},
        ),
        Argument(
            "--force", "overwrite the module, and accept differences", {"action": "store_true"}
        ),
        Argument(
            "--link",
            "let the notebook call the steps; the original stays beside it",
            {"action": "store_true"},
        ),
        Argument("--dry-run", "print the module and write nothing", {"action": "store_true"}),
    ),
)
