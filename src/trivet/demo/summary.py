"""The summary in the terminal: a table of stages, and the year month by month."""

from collections.abc import Sequence

from trivet.demo.evidence import Evidence, Month, Score

_WIDTH = 44


def summarise(evidence: Evidence) -> str:
    """Put the evidence into words and a chart."""
    parts = [_stages(evidence)]
    if evidence.by_month:
        parts += [_chart(evidence.by_month), _verdict(evidence)]
    if evidence.alerts:
        parts.append(_events(evidence))
    parts.append(_next(evidence))
    return "\n\n".join(parts)


def _stages(evidence: Evidence) -> str:
    lines = ["stage         ok  seconds  what it did", "-" * 78]
    lines += [
        f"{stage.name:<12}  {'ok' if stage.ok else 'NO'}  {stage.seconds:7.1f}  {stage.detail}"
        for stage in evidence.stages
    ]
    lines.append(
        f"{'all':<12}  {'ok' if evidence.ok else 'NO'}  {evidence.seconds:7.1f}  "
        f"peak memory {evidence.peak_memory_bytes / 2**20:,.0f} MiB"
    )
    return "\n".join(lines)


def _chart(months: Sequence[Month]) -> str:
    scores = [score for month in months for score in (month.loop, month.frozen)]
    low = min(score.brier_low for score in scores)
    high = max(score.brier_high for score in scores)
    lines = [
        "Brier score by month, lower is better; ● estimate, ─ 95 % interval over days",
        f"{'':15}{low:.3f}{'':{_WIDTH - 10}}{high:.3f}",
    ]
    for month in months:
        for name, score in (("loop", month.loop), ("frozen", month.frozen)):
            label = month.month if name == "loop" else ""
            lines.append(
                f"{label:<8}{name:<7}{_bar(score, low, high)}  "
                f"{score.brier:.4f}  AUC {score.auc:.3f} ({score.auc_low:.3f}–{score.auc_high:.3f})"
            )
    return "\n".join(lines)


def _bar(score: Score, low: float, high: float) -> str:
    def place(value: float) -> int:
        return round((value - low) / max(high - low, 1e-9) * (_WIDTH - 1))

    cells = [" "] * _WIDTH
    for at in range(place(score.brier_low), place(score.brier_high) + 1):
        cells[at] = "─"
    cells[place(score.brier)] = "●"
    return "".join(cells)


def _verdict(evidence: Evidence) -> str:
    gain = evidence.gain
    if gain is None:
        return ""
    found = (
        f"Over {gain.flights:,} flights the loop's Brier score is lower by {gain.brier:+.4f} "
        f"({gain.brier_low:+.4f} to {gain.brier_high:+.4f}), its AUC higher by {gain.auc:+.3f} "
        f"({gain.auc_low:+.3f} to {gain.auc_high:+.3f})."
    )
    word = "The loop beats" if gain.is_shown else "The loop is NOT shown to beat"
    return f"{word} the model frozen in February. {found}\nSampling: {evidence.sampling}."


def _events(evidence: Evidence) -> str:
    lines = ["What happened"]
    for alert in evidence.alerts:
        lines.append(f"  {alert.event_time[:10]}  alert: {alert.summary}")
        lines += [f"              likely: {cause}" for cause in alert.causes]
    for item in evidence.retrainings:
        outcome = f"{item.model} passed" if item.passed else f"refused: {'; '.join(item.reasons)}"
        lines.append(f"  {item.event_time[:10]}  retrained on {item.rows:,} flights: {outcome}")
    lines += [
        f"  {item.event_time[:10]}  {item.model} became champion: {item.why}"
        for item in evidence.promotions
    ]
    return "\n".join(lines)


def _next(evidence: Evidence) -> str:
    example = evidence.why.get("prediction", ["PREDICTION"])[0] if evidence.why else "PREDICTION"
    return "\n".join(
        [
            "Try",
            f"  cd {evidence.folder}",
            f"  trivet why {example}",
            f"  trivet replay {example}",
            "  trivet up",
        ]
        + ([f"  and open {evidence.report}"] if evidence.report else [])
    )
