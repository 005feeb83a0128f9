"""What a proof of concept found: figures with intervals, costs, and what it does not say."""

import msgspec

from trivet.models.facts import Measured, Task
from trivet.pipelines.materialisers import records, register


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """What an algorithm gains over the baseline on the same rows; above 0 it is better."""

    value: float
    low: float
    """The intervals of all algorithms hold together, at the proof's level (Bonferroni)."""
    high: float
    p_value: float
    """Of "no better", doubled for two sides, times the number of algorithms (Bonferroni)."""
    detectable: float | None
    """Smallest gain that these rows show in four of five cases, with so many algorithms; None
    where no gain that is possible is shown so often."""
    method: str
    problem: str = ""
    """Why these rows decide nothing; empty when they do."""


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """The figure after training on so many rows."""

    rows: int
    value: float
    low: float
    high: float
    seconds: float


class TrainingCost(msgspec.Struct, frozen=True, kw_only=True):
    """What fitting on all training rows took, here."""

    seconds: float
    peak_bytes: int | None
    """Memory above what was in use before, at its peak; None where it cannot be measured."""


class ServingCost(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer costs here, in microseconds, without any network."""

    form: str
    """`package`: the serving form, from a row's fields to the answer; `in memory`: as it was
    fitted, from a frame."""
    single_p50_us: float
    single_p99_us: float
    batch_rows: int
    batch_p50_us: float
    batch_p99_us: float
    size_bytes: int | None
    """Both forms of the model in its package; None for what cannot be packaged."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one algorithm did."""

    name: str
    figure: Measured
    """By the metric of the proof."""
    metrics: dict[str, Measured]
    gain: Gain | None
    """None for the baseline itself."""
    is_better: bool
    curve: tuple[CurvePoint, ...]
    training: TrainingCost | None
    """None for a constant answer, as is `serving`."""
    serving: ServingCost | None


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Several algorithms beside a baseline, on the same rows."""

    target: str
    task: Task
    metric: str
    higher_is_better: bool
    training_rows: int
    test_rows: int
    units: int
    """Independent units behind the intervals: test rows, or groups of them."""
    level: float
    baseline: str
    standings: tuple[Standing, ...]
    """The baseline first, then by figure, the best first."""
    limits: tuple[str, ...]
    """What was not measured, and what follows from that."""

    @property
    def better(self) -> tuple[Standing, ...]:
        """Those that were shown to beat the baseline, the best first."""
        return tuple(item for item in self.standings if item.is_better)

    @property
    def headline(self) -> str:
        """What was shown, without figures."""
        if not self.better:
            return f"Nothing beats {self.baseline}."
        *others, last = (item.name for item in self.better)
        names = f"{', '.join(others)} and {last}" if others else last
        return f"{names} {'beat' if others else 'beats'} {self.baseline}."

    @property
    def conclusion(self) -> str:
        """What was shown, in one sentence with its figures."""
        if self.better:
            shown = ", ".join(
                f"{item.name} by {gain.value:.3g} ({gain.low:.3g} to {gain.high:.3g})"
                for item in self.better
                if (gain := item.gain) is not None
            )
            return f"Shown to beat {self.baseline} in {self.metric}: {shown}."
        gains = [item.gain for item in self.standings if item.gain is not None]
        said = f"Nothing beats {self.baseline} in {self.metric} on these {self.test_rows} rows; "
        problem = next((gain.problem for gain in gains if gain.problem), "")
        found = [gain.detectable for gain in gains if gain.detectable is not None]
        if problem and not found:
            return f"{said}they decide nothing: {problem}."
        if not found:
            return f"{said}they are too few to find any gain that is possible."
        return f"{said}a gain of {min(found):.2g} would have been found in four of five cases."


register(records(Proof, "proof-of-concept"))
