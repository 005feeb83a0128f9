"""What a project's gate demands, as its `gate.toml` says it.

Every section is optional; what is left out has the defaults below. A word that does not exist is
an error, so that a typing mistake never switches a check off.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from trivet.core.errors import Invalid

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Level = Annotated[float, Meta(gt=0.0, lt=1.0)]
Amount = Annotated[float, Meta(ge=0.0)]
Positive = Annotated[float, Meta(gt=0.0)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Rows(_Section, frozen=True, kw_only=True):
    """`[rows]`: how held-out rows are ordered and grouped."""

    time: str | None = None
    """Column of event time; held-out rows must all be later than training rows."""
    group: str | None = None
    """Column of rows that belong together; when absent, rows of one day do."""
    key: tuple[str, ...] = ()
    """Columns that name a row; when absent, all shared columns together do."""
    refused: Share = 0.05
    """Share of held-out rows that the model's contract may refuse: unknown categories, gaps."""


class Leakage(_Section, frozen=True, kw_only=True):
    """`[leakage]`: signs that the model was told the answer."""

    single_input: Share = 0.99
    """No input alone may reach this: area under the curve for `binary`, else the share of the
    target that it explains."""
    repeats: Share = 0.0
    """Share of held-out rows that may stand in the training table too, beyond what the training
    rows repeat among themselves."""


class Quality(_Section, frozen=True, kw_only=True):
    """`[quality]`: how good is good enough."""

    metric: str | None = None
    """By what models are judged; `auc`, `log-loss` or `mean-absolute-error` by task."""
    threshold: float | None = None
    """The interval must lie wholly on the good side of it, each of its ends one-sided at the level
    of the look; None: no threshold."""
    level: Level = 0.95
    """Coverage of every interval of the gate, at least."""
    baseline: bool | str = True
    """Whether the model must be shown better than always giving the same answer; or the column of
    the held-out rows that holds a simple forecast, which it must beat instead."""


class Champion(_Section, frozen=True, kw_only=True):
    """`[champion]`: comparison with the model in use, on the same rows."""

    margin: Amount = 0.0
    """Loss of the metric, in its own unit, that is accepted; 0: the candidate must be better."""
    alpha: Level = 0.05
    """Chance of one false pass over all looks at the same held-out rows."""
    shelf_life: Annotated[int, Meta(ge=1)] | None = None
    """Looks after which fresh held-out rows are required; None: only ever stricter."""
    looks: Literal["period", "name"] = "period"
    """Which earlier verdicts count as looks: those on held-out rows of an overlapping period, or
    all of the model's name. Rows without a time count by name, equal labels under every name."""
    figures: Literal["shown", "hidden"] = "shown"
    """Whether a refusal shows what was measured on the held-out rows, or says no more than no. The
    error rate is proven for candidates that were made from yes and no; figures tell more."""


class Slices(_Section, frozen=True, kw_only=True):
    """`[slices]`: no part of the rows may be left behind."""

    columns: tuple[str, ...]
    margin: Amount = 0.05
    """How much worse than the whole a slice may be, in the metric's unit."""
    min_rows: Annotated[int, Meta(ge=2)] = 200
    """Smaller slices are counted and not judged."""


class Calibration(_Section, frozen=True, kw_only=True):
    """`[calibration]`: promised and observed must agree."""

    limit: Amount = 0.05
    """For classification the expected calibration error; for regression the mean error in
    standard deviations of the target."""


class MustHold(_Section, frozen=True, kw_only=True):
    """`[[must_hold]]`: an example whose answer is beyond doubt."""

    row: dict[str, Any]
    """Inputs; those left out take a typical value of the training table."""
    at_least: float | None = None
    at_most: float | None = None
    """Bounds of the answer; for `multiclass`, of the probability of `answer`."""
    answer: str | None = None
    """The class that must be the likeliest."""
    because: str = ""


class Invariance(_Section, frozen=True, kw_only=True):
    """`[[invariances]]`: changing an input must not change the answer."""

    input: str
    to: Annotated[tuple[Any, ...], Meta(min_length=1)]
    """Each row is given each of these values."""
    tolerance: Amount = 0.01
    """How far an answer may move (regression: in standard deviations of the target)."""
    limit: Share = 0.05
    """Share of rows that may move further."""


class Direction(_Section, frozen=True, kw_only=True):
    """`[[directions]]`: raising an input must raise, or lower, the answer."""

    input: str
    by: Positive
    """Added to the input, in its unit."""
    answer: Literal["up", "down"]
    tolerance: Amount = 0.0
    """How far an answer may move the wrong way (regression: in standard deviations)."""
    limit: Share = 0.1
    """Share of rows that may move further the wrong way."""


class Latency(_Section, frozen=True, kw_only=True):
    """`[latency]`: cost of one answer on this machine, without the network."""

    p99_ms: Positive = 5.0


class Size(_Section, frozen=True, kw_only=True):
    """`[size]`: how large a package may be."""

    mib: Positive = 100.0


class ChecklistSpec(_Section, frozen=True, kw_only=True):
    r"""A gate in words: the sections of `gate.toml`.

    Example:
        >>> read_checklist('[quality]\nthreshold = 0.7').quality.threshold
        0.7
    """

    name: str = "safe-to-ship"
    rows: Rows = Rows()
    leakage: Leakage = Leakage()
    quality: Quality = Quality()
    champion: Champion = Champion()
    slices: Slices | None = None
    calibration: Calibration | None = Calibration()
    must_hold: tuple[MustHold, ...] = ()
    invariances: tuple[Invariance, ...] = ()
    directions: tuple[Direction, ...] = ()
    latency: Latency = Latency()
    size: Size = Size()
    warn: tuple[str, ...] = ()
    """Names of checks that only warn."""


CHECK_NAMES: Final = (
    "schema",
    "contract",
    "target-not-an-input",
    "no-identifiers",
    "no-telling-input",
    "rows-apart",
    "time-order",
    "quality",
    "baseline",
    "champion",
    "slices",
    "calibration",
    "must-hold",
    "invariance",
    "direction",
    "latency",
    "size",
    "no-pickle",
)
"""The standard checks, in the order they are asked."""


def read_checklist(text: str) -> ChecklistSpec:
    """Read a gate's TOML text.

    Raises:
        Invalid: It is no TOML, or holds a word or value that no gate knows.
    """
    try:
        spec = msgspec.toml.decode(text, type=ChecklistSpec)
    except msgspec.DecodeError as error:
        raise Invalid(
            f"the gate cannot be read: {error}",
            code="bad-gate",
            hint="Compare it with the sections in docs/reference/gate.md.",
        ) from error
    unknown = sorted(set(spec.warn) - set(CHECK_NAMES))
    if unknown:
        raise Invalid(
            f"warn names {unknown[0]!r}, which is no check",
            code="bad-gate",
            hint=f"The checks are: {', '.join(CHECK_NAMES)}.",
        )
    return spec
