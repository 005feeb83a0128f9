"""The proof: the notebook and the flow are run, each in a process, and their values compared."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trivet.core.errors import Invalid, TrivetError
from trivet.pipelines.notebooks.design import Seen
from trivet.pipelines.notebooks.facts import Difference, Proof
from trivet.pipelines.notebooks.statements import Text
from trivet.pipelines.notebooks.trial import TRIAL_MODULE, Answer, Request
from trivet.pipelines.notebooks.writing import Design, write_module

_PLAIN = {
    *("int", "float", "str", "bool", "bytes", "complex", "NoneType", "datetime.datetime"),
    *("datetime.date", "datetime.timedelta", "decimal.Decimal", "numpy.float64", "numpy.int64"),
    *("numpy.float32", "numpy.int32", "numpy.bool", "numpy.bool_", "range"),
}
"""Types whose values cannot be changed in place."""


class Prover:
    """Runs a notebook and what was made of it.

    Args:
        notebook: The notebook's file.
        project: The folder that the flow's files are relative to.
        materialisers: `module:function` that returns what else can be stored; may be empty.
    """

    def __init__(self, notebook: Path, project: Path, materialisers: str) -> None:
        self._folder = notebook.parent
        self._project = project
        self._materialisers = materialisers
        self._first: Answer | None = None

    def look(self, text: Text, design: Design) -> Seen:
        """Run the notebook, and return what its run shows about its values.

        Raises:
            Invalid: The notebook itself fails (code `notebook-fails`).
        """
        self._first = self._run_notebook(text, design)
        unstorable = {
            name: look.type
            for looks in self._first.looks.values()
            for name, look in looks.items()
            if not look.digest
        }
        kinds: dict[str, set[str]] = {}
        for name, look in (
            (n, k) for looks in self._first.looks.values() for n, k in looks.items()
        ):
            kinds.setdefault(name, set()).add(look.type)
        plain = frozenset(name for name, found in kinds.items() if found <= _PLAIN)
        same = {unit: frozenset(pairs) for unit, pairs in self._first.same.items()}
        return Seen(unstorable=unstorable, plain=plain, drawn=self._first.drawn, same=same)

    def prove(self, text: Text, design: Design) -> Proof:
        """Run the flow, and compare what its steps returned with the notebook's values."""
        first = self._first or self._run_notebook(text, design)
        steps = dict(zip(design.names, (b.outputs for b in design.blocks), strict=True))
        with tempfile.TemporaryDirectory(prefix="trivet-") as scratch:
            module = TRIAL_MODULE
            Path(scratch, f"{module}.py").write_text(write_module(design), "utf-8")
            answer = self._run(
                Request(
                    folder=str(self._folder),
                    places=(scratch, str(self._project)),
                    materialisers=self._materialisers,
                    flow=f"{module}:{design.flow}",
                    arguments=self._arguments(design),
                    steps=steps,
                )
            )
        proof = _compare(design, first, answer)
        if not proof.differences or answer.failure is not None:
            return proof
        return _without_varying(proof, design, first, self._run_notebook(text, design))

    def _arguments(self, design: Design) -> dict[str, str]:
        """Return the paths of the files as they are seen from the notebook's folder."""
        return {
            p.name: str(self._project / p.default[1:-1].replace('\\"', '"').replace("\\\\", "\\"))
            for p in design.parameters
            if p.kind == "File"
        }

    def _run_notebook(self, text: Text, design: Design) -> Answer:
        looks = looked_at(design, len(text.units))
        answer = self._run(
            Request(
                folder=str(self._folder),
                places=(str(self._project),),
                materialisers=self._materialisers,
                units=tuple((unit.cell, unit.source) for unit in text.units),
                looks=looks,
            )
        )
        if answer.failure is not None:
            raise Invalid(
                f"the notebook itself fails in {answer.failure.place}: {answer.failure.error}",
                code="notebook-fails",
                hint="Mend it in Jupyter (Restart and run all), or pass --no-check.",
            )
        return answer

    def _run(self, request: Request) -> Answer:
        with tempfile.TemporaryDirectory(prefix="trivet-") as scratch:
            file = Path(scratch, "trial.request")
            file.write_bytes(msgspec.json.encode(request))
            done = subprocess.run(
                [sys.executable, "-m", "trivet.pipelines.notebooks.trial", str(file)],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            answer = file.with_suffix(".answer")
            if not answer.exists():
                tail = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
                raise TrivetError(
                    f"the trial ended with code {done.returncode} and no answer: {' '.join(tail)}",
                    code="trial-failed",
                    hint="Run the notebook in Jupyter, or pass --no-check.",
                )
            return msgspec.json.decode(answer.read_bytes(), type=Answer)


def star_names(module: str, folder: Path) -> Sequence[str] | None:
    """Return what `from module import *` binds, found out in a process of its own."""
    program = (
        "import json, sys; sys.path.insert(0, sys.argv[2]); names = {}; "
        "exec(f'from {sys.argv[1]} import *', names); names.pop('__builtins__', None); "
        "sys.__stdout__.write('\\n' + json.dumps(sorted(names)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, module, str(folder)],
        env=_environment(),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return None
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=list[str])


def looked_at(design: Design, units: int) -> dict[int, tuple[str, ...]]:
    """Return the names to look at behind each unit at which a step ends.

    Joining steps later takes ends away and adds none, so one run of the notebook is enough.
    """
    looks: dict[int, tuple[str, ...]] = {}
    live = set(design.results)
    for block in reversed(design.blocks):
        unit = min(block.group.last_unit, units - 1)
        names = {*looks.get(unit, ()), *live, *block.outputs}
        looks[unit] = tuple(sorted(n for n in names if not n.startswith("<")))
        live |= set(block.inputs)
    return looks


def _environment() -> dict[str, str]:
    own = str(Path(__file__).parents[3])  # where this very Trivet is imported from
    paths = [own, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",  # sets have one order in all trials
        "MPLBACKEND": "Agg",  # figures are drawn and not shown
        "PYTHONIOENCODING": "utf-8",
    }


def _compare(design: Design, notebook: Answer, flow: Answer) -> Proof:
    differences: list[Difference] = []
    unknown: list[str] = []
    compared = 0
    for name, block in zip(design.names, design.blocks, strict=True):
        there = notebook.looks.get(str(block.group.last_unit), {})
        here = flow.looks.get(name)
        if here is None:
            continue
        for output in block.outputs:
            left, right = there.get(output), here[output]
            if left is None or not left.digest or not right.digest:
                unknown.append(output)
                continue
            compared += 1
            if left.digest != right.digest:
                why = "" if left.type == right.type else f": {left.type} became {right.type}"
                reason = f"the value differs from the notebook's{why}"
                differences.append(Difference(step=name, name=output, reason=reason))
    equal = compared - len(differences)
    if flow.failure is not None:
        place = flow.failure.place.removeprefix("step ")
        differences.append(Difference(step=place, name="", reason=flow.failure.error))
    return Proof(
        compared=compared,
        equal=equal,
        differences=tuple(differences),
        not_comparable=tuple(dict.fromkeys(unknown)),
    )


def _without_varying(proof: Proof, design: Design, first: Answer, second: Answer) -> Proof:
    """Leave out what differs between two runs of the notebook itself."""
    unit_of = {n: str(b.group.last_unit) for n, b in zip(design.names, design.blocks, strict=True)}

    def varies(item: Difference) -> bool:
        unit = unit_of.get(item.step, "")
        one, two = (answer.looks.get(unit, {}).get(item.name) for answer in (first, second))
        return one is not None and two is not None and one.digest != two.digest

    varying = [item for item in proof.differences if varies(item)]
    return msgspec.structs.replace(
        proof,
        compared=proof.compared - len(varying),
        differences=tuple(item for item in proof.differences if item not in varying),
        varying=tuple(dict.fromkeys(item.name for item in varying)),
    )
