"""The summary in the terminal: what was shown, a table of stages, the year month by month."""

import textwrap
from collections.abc import Sequence

from trivet.demo.evidence import Evidence, Month, Raised, Score
from trivet.demo.words import commands_to_try, finding, headline, without_cause
from trivet.drawing.words import readable

_WIDTH = 98
_BAR = 40


def summarise(evidence: Evidence) -> str:
    """Put the evidence into words and a chart, at most 98 columns wide.

    Paths and commands are not broken, so that they can be pasted.
    """
    parts = [_stages(evidence)]
    if evidence.by_month:
        parts.append(_chart(evidence.by_month))
    if evidence.alerts or evidence.retrainings or evidence.promotions:
        parts.append(_events(evidence))
    parts += [_verdict(evidence), _next(evidence)]
    return "\n\n".join(parts)


# -- stages ------------------------------------------------------------------------------------


def _stages(evidence: Evidence) -> str:
    lines = [f"{'stage':<12} {'ok':<3}{'seconds':>7}  what it did", "-" * _WIDTH]
    lines += [
        _row(stage.name, stage.seconds, stage.detail, ok=stage.ok) for stage in evidence.stages
    ]
    peak = f"peak memory {evidence.peak_memory_bytes / 2**20:,.0f} MiB"
    lines += ["-" * _WIDTH, _row("all", evidence.seconds, peak, ok=evidence.ok)]
    return "\n".join(lines)


def _row(name: str, seconds: float, detail: str, *, ok: bool) -> str:
    mark = "ok" if ok else "NO"
    return _wrapped(f"{readable(name)[:12]:<12} {mark:<3}{seconds:>7.1f}  ", detail)


def _wrapped(first: str, text: str, *, indent: int | None = None) -> str:
    """Fill lines with text after `first`; what follows hangs below its beginning."""
    hanging = " " * (len(first) if indent is None else indent)
    plain = " ".join(readable(text).split())
    lines = textwrap.wrap(
        plain,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=hanging,
        break_on_hyphens=False,
    )
    return "\n".join(lines) or first.rstrip()


# -- month by month ----------------------------------------------------------------------------


def _chart(months: Sequence[Month]) -> str:
    scores = [score for month in months for score in (month.loop, month.frozen)]
    low = min(score.brier_low for score in scores)
    high = max(score.brier_high for score in scores)
    lines = [
        "Brier score by month, lower is better; ● estimate, ─ 95 % interval over days",
        f"{'':15}{low:<{_BAR - 5}.3f}{high:.3f}   Brier   AUC",
    ]
    for month in months:
        for name, score in (("loop", month.loop), ("frozen", month.frozen)):
            label = month.month if name == "loop" else ""
            lines.append(
                f"{label:<8}{name:<7}{_bar(score, low, high)}  "
                f"{score.brier:.4f}  {score.auc:.3f} ({score.auc_low:.3f} to {score.auc_high:.3f})"
            )
    return "\n".join(lines)


def _bar(score: Score, low: float, high: float) -> str:
    def place(value: float) -> int:
        return round((value - low) / max(high - low, 1e-9) * (_BAR - 1))

    cells = [" "] * _BAR
    for at in range(place(score.brier_low), place(score.brier_high) + 1):
        cells[at] = "─"
    cells[place(score.brier)] = "●"
    return "".join(cells)


# -- what happened -----------------------------------------------------------------------------


def _events(evidence: Evidence) -> str:
    told = [(item.event_time, 0, _alert(item)) for item in evidence.alerts]
    for item in evidence.retrainings:
        outcome = f"{item.model} passed" if item.passed else f"refused: {'; '.join(item.reasons)}"
        words = f"retrained on {item.rows:,} flights: {outcome}"
        told.append((item.event_time, 1, _wrapped(_day(item.event_time), words)))
    for item in evidence.promotions:
        words = f"{item.model} became champion: {item.why}"
        told.append((item.event_time, 2, _wrapped(_day(item.event_time), words)))
    return "\n".join(["What happened", *(text for *_, text in sorted(told))])


def _alert(item: Raised) -> str:
    lines = [_wrapped(_day(item.event_time), f"alert: {without_cause(item)}")]
    lines += [_wrapped(f"{'':14}likely: ", cause, indent=22) for cause in item.causes]
    return "\n".join(lines)


def _day(event_time: str) -> str:
    return f"  {event_time[:10]}  "


# -- what was shown, and what to try -----------------------------------------------------------


def _verdict(evidence: Evidence) -> str:
    lines = [_wrapped("", headline(evidence))]
    if evidence.gain:
        lines.append(_wrapped("", finding(evidence.gain)))
    if evidence.sampling:
        lines.append(_wrapped("", f"Sampling: {evidence.sampling}. Log mode: {evidence.log_mode}."))
    return "\n".join(lines)


def _next(evidence: Evidence) -> str:
    lines = ["Try", *(f"  {command}" for command in commands_to_try(evidence))]
    if evidence.report:
        lines += ["and open", f"  {evidence.report}"]
    return "\n".join(lines)
