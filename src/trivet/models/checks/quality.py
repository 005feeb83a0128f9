"""Checks of how good a model's answers are: alone, against others, in every part, as promised.

Numeric: imports NumPy.
"""

from typing import Final

import msgspec
import numpy as np

from trivet.core.gates import Finding
from trivet.models.contest import decide_contest, figures_of, written
from trivet.models.evaluation import calibration_interval, compare
from trivet.models.exam import Exam
from trivet.models.facts import Measured
from trivet.models.looks import Look
from trivet.models.rules import Calibration, Champion, Slices
from trivet.statistics.intervals import Interval, student_mean
from trivet.statistics.paired import Comparison, holm
from trivet.statistics.special import normal_cdf, normal_quantile, student_quantile

_WIDEST: Final = 1 - 1e-12


def quality(exam: Exam) -> Finding:
    """The metric's whole interval lies on the good side of the threshold."""
    name, threshold = exam.metric.name, exam.spec.quality.threshold
    found = exam.evaluation.metrics.get(name)
    if found is None:
        return _too_few(exam, name)
    where = f"on {exam.holdout.size} held-out rows"
    ok, summary = True, f"{_figure(name, found)} {where} is reported; no threshold was set"
    evidence: dict[str, object] = {}
    if threshold is not None:
        found = _at_this_look(exam, found)
        high = exam.metric.higher_is_better
        ok = found.low >= threshold if high else found.high <= threshold
        summary = (
            f"{_figure(name, found)} {where}; the whole interval must lie "
            f"{'above' if high else 'below'} {threshold:g} (look {exam.look}, level "
            f"{exam.alpha:.2g})"
        )
        evidence = {"alpha": exam.alpha, "look": exam.look}
    return Finding(
        check="",
        ok=ok,
        summary=summary,
        value=found.value,
        low=found.low,
        high=found.high,
        threshold=threshold,
        rows=found.rows,
        evidence=evidence
        | {
            "groups": exam.evaluation.groups,
            "metrics": {
                key: [item.value, item.low, item.high]
                for key, item in exam.evaluation.metrics.items()
            },
        },
    )


def baseline(exam: Exam) -> Finding:
    """The model is shown better than a simple forecast, at the level of this look."""
    alpha = min(1 - exam.spec.quality.level, exam.alpha)
    found = _compare(exam, exam.baseline, 0.0, exam.spec.quality.level)
    wanted = exam.spec.quality.baseline
    what = f"the forecast in {wanted!r}" if isinstance(wanted, str) else "a constant answer"
    return _compared(
        exam,
        found,
        ok=found.passes(alpha),
        summary=f"{exam.metric.name} gains {written(found)} over {what}; shown better at level "
        f"{alpha:.2g} (look {exam.look})? p = {found.p_value:.2g}",
        alpha=alpha,
    )


def champion(exam: Exam, rules: Champion) -> Finding:
    """The candidate is better than the champion, or not worse by more than the margin."""
    incumbent = exam.champion
    if incumbent is None:
        return Finding(check="", ok=True, summary="there is no champion to compare with")
    if incumbent.answers is None:
        return Finding(
            check="",
            ok=None,
            summary=f"{incumbent.label} cannot answer these rows: {incumbent.problem}",
        )
    found = _compare(exam, incumbent.answers, rules.margin, exam.spec.quality.level)
    return decide_contest(
        found,
        metric=exam.metric.name,
        champion=incumbent.label,
        rules=rules,
        look=Look(exam.look, exam.alpha),
    )


def slices(exam: Exam, rules: Slices) -> Finding:
    """No slice of enough rows is shown worse than the whole by more than the margin."""
    name, level = exam.metric.name, exam.spec.quality.level
    whole = exam.evaluation.metrics.get(name)
    if whole is None:
        return _too_few(exam, name)
    sign = 1.0 if exam.metric.higher_is_better else -1.0
    judged = [
        (f"{part.column}={part.value}", part.metrics[name], part.rows)
        for part in exam.evaluation.slices
        if part.rows >= rules.min_rows and name in part.metrics
    ]
    if not judged:
        return Finding(
            check="",
            ok=None,
            summary=f"no slice by {', '.join(rules.columns)} has {rules.min_rows} rows and both "
            "outcomes",
        )
    lags = [sign * (whole.value - item.value) for _, item, _ in judged]
    adjusted = holm(
        [
            _chance_of_lag(lag - rules.margin, item, level)
            for lag, (_, item, _) in zip(lags, judged, strict=True)
        ]
    )
    worst = int(np.argmax(lags))
    label, item, rows = judged[worst]
    behind = [judged[at][0] for at, p_value in enumerate(adjusted) if p_value <= 1 - level]
    return Finding(
        check="",
        ok=not behind,
        summary=f"the worst of {len(judged)} slices, {label}, has {_figure(name, item)} on {rows} "
        f"rows, the whole {whole.value:.3g}; shown worse by more than {rules.margin:g}: "
        f"{', '.join(behind) or 'none'}",
        value=item.value,
        low=item.low,
        high=item.high,
        threshold=whole.value - sign * rules.margin,
        rows=rows,
        evidence={
            "small": [
                f"{part.column}={part.value}"
                for part in exam.evaluation.slices
                if part.rows < rules.min_rows
            ][:50],
            "slices": {
                key: [figure.value, figure.low, figure.high, count]
                for key, figure, count in judged[:100]
            },
        },
    )


def calibration(exam: Exam, rules: Calibration) -> Finding:
    """What is promised comes true, within the limit."""
    level = exam.spec.quality.level
    if exam.signature.task == "regression":
        errors = (exam.answers[:, 0] - exam.holdout.labels) / exam.spread
        found = student_mean(errors, clusters=exam.holdout.groups, level=level)
        return _calibrated(
            exam,
            found,
            ok=abs(found.estimate) <= rules.limit,
            limit=rules.limit,
            what="answers are off by a mean of",
            unit="standard deviations",
        )
    found = calibration_interval(exam.holdout.labels, exam.answers, exam.holdout.groups, level)
    return _calibrated(
        exam,
        found,
        ok=found.estimate <= rules.limit,
        limit=rules.limit,
        what="promised and observed shares differ by",
        unit="on average, corrected for chance",
    )


def _at_this_look(exam: Exam, found: Measured) -> Measured:
    """Widen a figure's interval to what this look is worth: each end is one-sided at its level."""
    level = max(exam.spec.quality.level, min(1 - 2 * exam.alpha, _WIDEST))
    if level == found.confidence:
        return found
    labels, groups = exam.holdout.labels, exam.holdout.groups
    if exam.metric.statistic is None:
        wide = exam.metric.interval(labels, exam.answers, groups, level)
        low, high = wide.low, wide.high
    else:
        # A few hundred resamples cannot tell tails this thin; Student's law, scaled to the
        # interval that they do tell, can.
        df = exam.evaluation.groups - 1
        more = student_quantile((1 + level) / 2, df) / student_quantile(
            (1 + found.confidence) / 2, df
        )
        low = found.value - more * (found.value - found.low)
        high = found.value + more * (found.high - found.value)
    return msgspec.structs.replace(found, low=low, high=high, confidence=level)


def _compare(exam: Exam, other: np.ndarray, margin: float, level: float) -> Comparison:
    return compare(
        exam.metric,
        exam.holdout.labels,
        other,
        exam.answers,
        groups=exam.holdout.groups,
        margin=margin,
        level=level,
    )


def _compared(exam: Exam, found: Comparison, *, ok: bool, summary: str, alpha: float) -> Finding:
    return Finding(
        check="",
        ok=ok,
        summary=summary,
        value=found.difference,
        low=found.low,
        high=found.high,
        threshold=-found.margin,
        rows=found.n,
        evidence=figures_of(found, alpha, exam.look),
    )


def _calibrated(
    exam: Exam, found: Interval, *, ok: bool, limit: float, what: str, unit: str
) -> Finding:
    return Finding(
        check="",
        ok=ok,
        summary=f"{what} {found.estimate:.3f} ({found.low:.3f} to {found.high:.3f}) {unit}; "
        f"allowed is {limit:g}",
        value=found.estimate,
        low=found.low,
        high=found.high,
        threshold=limit,
        rows=exam.holdout.size,
        evidence={
            "table": [
                [part.n, part.mean_score, part.event_rate] for part in exam.evaluation.calibration
            ]
        },
    )


def _chance_of_lag(excess: float, item: Measured, level: float) -> float:
    """One-sided p-value of "the slice lags by the margin or less", from its own interval."""
    error = (item.high - item.low) / (2 * normal_quantile((1 + level) / 2))
    if error <= 0:
        return 0.0 if excess > 0 else 1.0
    return 1 - normal_cdf(excess / error)


def _too_few(exam: Exam, name: str) -> Finding:
    return Finding(
        check="",
        ok=None,
        summary=f"{name} cannot be computed on {exam.holdout.size} held-out rows in "
        f"{exam.evaluation.groups} groups; it needs two groups and every outcome",
    )


def _figure(name: str, item: Measured) -> str:
    return f"{name} {item.value:.3g} ({item.low:.3g} to {item.high:.3g})"
