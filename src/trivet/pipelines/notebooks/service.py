"""Adopting a notebook: read it, decide, prove, and only then write."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from trivet.core.errors import Conflict, Invalid, NotFound, Refused
from trivet.pipelines.notebooks.design import Seen, make_design
from trivet.pipelines.notebooks.facts import Adopted, Analysis, Proof
from trivet.pipelines.notebooks.linking import thin_cells
from trivet.pipelines.notebooks.naming import identifier, module_name
from trivet.pipelines.notebooks.proving import Prover, star_names
from trivet.pipelines.notebooks.reading import read_notebook, thin_notebook
from trivet.pipelines.notebooks.statements import World, read_cells
from trivet.pipelines.notebooks.writing import write_module


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """How a notebook is to be adopted."""

    target: str = ""
    """The module's path below the project's folder; named like the notebook when empty."""
    check: bool = True
    """Whether notebook and flow are run and compared."""
    force: bool = False
    """Whether an existing module may be overwritten, and a difference be accepted."""
    link: bool = False
    """Whether the notebook's cells are replaced by calls of the steps."""
    dry_run: bool = False
    """Whether nothing is to be written."""
    materialisers: str = ""
    """`module:function` that returns what else than standard values can be stored."""


def adopt_notebook(notebook: Path, project: Path, wishes: Wishes) -> Adopted:
    """Turn a notebook into a module with steps and a flow.

    Nothing is written unless everything else went well.

    Args:
        notebook: The .ipynb file.
        project: The folder that the module goes to and that paths of files begin in.
        wishes: How.

    Raises:
        NotFound: There is no such file.
        Invalid: It is no notebook, a cell cannot be converted, or the notebook itself fails.
        Unsupported: It is of another format than 4, or in another language.
        Conflict: The module exists, and `force` is not set.
        Refused: The flow does not compute what the notebook computes, and `force` is not set.
    """
    content = _read(notebook)
    notebook, project = notebook.resolve(), project.resolve()
    target = _target(notebook, project, wishes)
    backup = notebook.with_suffix(".original.ipynb")
    if not wishes.dry_run and not wishes.force:
        _check_free(target)
        if wishes.link:
            _check_free(backup)
    world = _world(notebook, project)
    text = read_cells(read_notebook(content, notebook.name), world)
    design, analysis = make_design(text, notebook.name, target.stem, world, Seen())
    proof = None
    if wishes.check:
        prover = Prover(notebook, project, wishes.materialisers)
        seen = prover.look(text, design)
        design, analysis = make_design(text, notebook.name, target.stem, world, seen)
        proof = prover.prove(text, design)
        _judge(proof, wishes)
    module = formatted(write_module(design))
    adopted = Adopted(analysis=_explained(analysis, proof), module=module, proof=proof)
    if wishes.dry_run:
        return adopted
    written = [_write(target, module.encode())]
    if wishes.link:
        cells = thin_cells(design, _module_name(target, project), notebook.parent, project)
        shutil.copy2(notebook, backup)
        written += [_write(notebook, thin_notebook(content, cells)), str(backup)]
    return msgspec.structs.replace(adopted, written=tuple(written))


def formatted(module: str) -> str:
    """Format a module with ruff where it is installed; its own lines are formatted anyway."""
    beside = Path(sys.executable).with_name("ruff")
    program = str(beside) if beside.exists() else shutil.which("ruff")
    if program is None:
        return module
    command = [program, "format", "--isolated", "--line-length", "100", "-"]
    done = subprocess.run(command, input=module.encode(), capture_output=True, check=False)
    return module if done.returncode else done.stdout.decode()


def _read(notebook: Path) -> bytes:
    if notebook.suffix != ".ipynb":
        raise Invalid(
            f"{notebook.name} is no .ipynb file",
            code="bad-notebook",
            hint="Pass a notebook that Jupyter has saved.",
        )
    try:
        return notebook.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no notebook {str(notebook)!r}", code="no-notebook", hint="Check the path."
        ) from error


def _target(notebook: Path, project: Path, wishes: Wishes) -> Path:
    name = wishes.target or f"{module_name(identifier(notebook.stem, 'notebook'))}.py"
    target = (project / name).resolve()
    inside = target.is_relative_to(project)
    parts = target.relative_to(project).with_suffix("").parts if inside else ()
    if target.suffix != ".py" or not parts or not all(part.isidentifier() for part in parts):
        raise Invalid(
            f"{name!r} is no module of the project; expected a path like flows/churn.py",
            code="bad-module-name",
            hint="Pass --to with a path below the project's folder, of names that Python imports.",
        )
    return target


def _module_name(target: Path, project: Path) -> str:
    return ".".join(target.relative_to(project).with_suffix("").parts)


def _check_free(path: Path) -> None:
    if path.exists():
        raise Conflict(
            f"{path.name} exists", code="file-exists", hint="Pass --to another name, or --force."
        )


def _world(notebook: Path, project: Path) -> World:
    folder = notebook.parent

    def seen_from_project(path: str) -> str:
        whole = os.path.normpath(folder / path)
        return whole if Path(path).is_absolute() else os.path.relpath(whole, project)

    return World(
        exists=lambda path: bool(path) and "\0" not in path and (folder / path).exists(),
        path=seen_from_project,
        names_of=lambda module: star_names(module, folder),
    )


def _judge(proof: Proof, wishes: Wishes) -> None:
    if not proof.differences or wishes.force:
        return
    lines = [
        f"step {d.step}, {d.name}: {d.reason}" if d.name else f"{d.step}: {d.reason}"
        for d in proof.differences
    ]
    told = f"{proof.equal} of {proof.compared} results are equal; nothing was written"
    raise Refused(
        "\n  ".join([told, *lines]),
        code="not-equal",
        hint="Mark cells that belong together with `# %% step: NAME`, or pass --force.",
        detail={"findings": msgspec.to_builtins(proof.differences)},
    )


def _explained(analysis: Analysis, proof: Proof | None) -> Analysis:
    """Add what the proof showed to the notes."""
    notes = list(analysis.notes)
    if proof is not None and proof.varying:
        notes.append(
            f"{', '.join(proof.varying)} differ between two runs of the notebook itself: seed "
            "what draws random numbers, and do not return times"
        )
    return msgspec.structs.replace(analysis, notes=tuple(notes))


def _write(path: Path, content: bytes) -> str:
    """Put a file in its place at once: nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.writing")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return str(path)
