"""What adopting a notebook came to: for people as text, for programs as JSON."""

from typing import Literal

import msgspec


class StepMade(msgspec.Struct, frozen=True, kw_only=True):
    """A step, and what it was made of."""

    name: str
    kind: Literal["step", "effect"]
    cells: tuple[int, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    changed: tuple[str, ...]
    """Inputs that it may change in place; it returns them, for values travel as copies."""


class ParameterMade(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of the flow."""

    name: str
    kind: Literal["value", "file"]
    default: str
    """As it is written in Python."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What a notebook is as a pipeline."""

    notebook: str
    flow: str
    parameters: tuple[ParameterMade, ...]
    steps: tuple[StepMade, ...]
    results: tuple[str, ...]
    top_level: tuple[str, ...]
    """Functions, classes, constants and imports at the module's top level."""
    requirements: tuple[str, ...]
    """What cells would have installed."""
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A value that the pipeline and the notebook do not agree on."""

    step: str
    name: str
    reason: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The notebook's values against those of the flow."""

    compared: int
    equal: int
    differences: tuple[Difference, ...] = ()
    varying: tuple[str, ...] = ()
    """Names whose values differ between two runs of the notebook itself."""
    not_comparable: tuple[str, ...] = ()
    """Names whose values have no content that could be compared."""


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: the module, what it is made of, and whether it was proven."""

    analysis: Analysis
    module: str
    """The text of the module."""
    proof: Proof | None
    """None when nothing was compared."""
    written: tuple[str, ...] = ()
    """The files that were written; none in a dry run."""
