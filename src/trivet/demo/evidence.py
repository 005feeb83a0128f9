"""What the demonstration shows for itself: stages, figures and one prediction's whole origin."""

from typing import Any

import msgspec


class Stage(msgspec.Struct, kw_only=True):
    """One stage of the loop. `ok` is whether it did what its name says."""

    name: str
    ok: bool
    seconds: float
    detail: str


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How well a month was predicted: Brier score and AUC with 95 % intervals over days."""

    flights: int
    brier: float
    brier_low: float
    brier_high: float
    auc: float
    auc_low: float
    auc_high: float


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month of the loop beside the model frozen in February, on the same flights."""

    month: str
    loop: Score
    frozen: Score


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """The paired difference over all months: above 0 the loop is better."""

    brier: float
    brier_low: float
    brier_high: float
    auc: float
    auc_low: float
    auc_high: float
    flights: int

    @property
    def is_shown(self) -> bool:
        """Whether the interval of the Brier gain lies above 0."""
        return self.brier_low > 0


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as the evidence lists it."""

    event_time: str
    since: str | None
    summary: str
    causes: tuple[str, ...]


class Retraining(msgspec.Struct, frozen=True, kw_only=True):
    """A retraining that was asked for, and what became of it."""

    event_time: str
    asked_because: str
    run: str
    rows: int
    passed: bool
    model: str | None
    reasons: tuple[str, ...]
    """Why the gate refused; empty when it passed."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict of the gate."""

    model: str | None
    passed: bool
    checks: int
    refused_by: tuple[str, ...]


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the champion."""

    event_time: str
    model: str
    stage: str
    why: str


class Evidence(msgspec.Struct, kw_only=True):
    """All figures of one demonstration, as `--json` writes them."""

    stages: list[Stage] = []
    sampling: str = ""
    log_mode: str = "audit"
    predictions: int = 0
    labels: int = 0
    requests_per_second: float = 0.0
    dataset_versions: int = 0
    gate_verdicts: list[Judged] = []
    monitor_card: dict[str, Any] = {}
    alerts: list[Raised] = []
    retrainings: list[Retraining] = []
    promotions: list[Promotion] = []
    rollbacks: int = 0
    by_month: list[Month] = []
    gain: Gain | None = None
    loop_beats_frozen: bool = False
    why: dict[str, Any] = {}
    replay_equal: bool = False
    replayed: int = 0
    peak_memory_bytes: int = 0
    seconds: float = 0.0
    folder: str = ""
    report: str = ""

    @property
    def ok(self) -> bool:
        """Whether every stage did what it says."""
        return bool(self.stages) and all(stage.ok for stage in self.stages)
