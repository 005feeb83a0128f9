"""Month by month: two charts with what happened on their time axis, and the table beside them."""

from datetime import datetime

from trivet.demo.evidence import Evidence, Gain, Month, Retraining, Score
from trivet.demo.report.drawing import Mark, Point, Series, legend_key, month_bounds, month_chart
from trivet.demo.words import differences
from trivet.drawing.markup import Markup, element, joined, scrolling
from trivet.drawing.words import number, signed

_LEGEND = (
    ("loop", "loop"),
    ("frozen", "frozen in February"),
    ("alert", "alert"),
    ("refused", "retraining, refused by the gate"),
    ("passed", "retraining, passed"),
    ("promoted", "promotion"),
)


def draw_months(evidence: Evidence) -> Markup:
    """Draw the loop beside the frozen model; empty when no month was compared."""
    if not evidence.by_month:
        return Markup()
    return joined(
        element(
            "p",
            "Intervals hold 95 % and count days, not flights, since flights of one day share its "
            "weather. Both models meet the same days, and a hard month is hard for both, so "
            "intervals that overlap do not say that there is no difference: the paired "
            "comparison above is the one to judge by.",
        ),
        _chart(evidence, "brier", "Brier score by month, lower is better"),
        _chart(evidence, "auc", "AUC by month, higher is better"),
        _table(evidence),
    )


def outcome(item: Retraining) -> str:
    """Say what became of a retraining."""
    if not item.passed:
        return "refused by the gate"
    return f"{item.model} passed the gate" if item.model else "passed the gate"


def moment(text: str) -> datetime:
    """Read an event time as the evidence writes it."""
    return datetime.fromisoformat(text)


# -- the charts --------------------------------------------------------------------------------


def _chart(evidence: Evidence, metric: str, title: str) -> Markup:
    months = evidence.by_month
    better = sum(1 for month in months if _gap(month, metric) > 0)
    chart = month_chart(
        title,
        f"{title}: the loop (circles) beside the model frozen in February (squares), with 95 % "
        f"intervals over days. The loop’s estimate is the better one in {better} of "
        f"{len(months)} months. Below: alerts, retrainings and promotions on the same time axis. "
        "The table of months has every figure.",
        months=[month.month for month in months],
        series=[
            Series(name, [_point(month.month, getattr(month, name), metric) for month in months])
            for name in ("loop", "frozen")
        ],
        marks=_marks(evidence),
        name=metric,
    )
    keys = (element("li", legend_key(key), f" {words}") for key, words in _LEGEND)
    return element(
        "figure",
        element("h3", title),
        element("ul", *keys, class_="legend"),
        scrolling(chart, label=title),
    )


def _point(month: str, score: Score, metric: str) -> Point:
    first, last = month_bounds(month)
    value, low, high = _figures(score, metric)
    return Point(first + (last - first) / 2, value, low, high)


def _figures(score: Score, metric: str) -> tuple[float, float, float]:
    if metric == "brier":
        return score.brier, score.brier_low, score.brier_high
    return score.auc, score.auc_low, score.auc_high


def _gap(month: Month, metric: str) -> float:
    """How much better the loop's estimate is."""
    if metric == "brier":
        return month.frozen.brier - month.loop.brier
    return month.loop.auc - month.frozen.auc


def _marks(evidence: Evidence) -> list[Mark]:
    marks = [
        Mark("alert", moment(alert.event_time), f"{alert.event_time[:10]}: {alert.summary}")
        for alert in evidence.alerts
    ]
    for item in evidence.retrainings:
        words = f"{item.event_time[:10]}: retrained, {outcome(item)}"
        marks.append(Mark("passed" if item.passed else "refused", moment(item.event_time), words))
    for item in evidence.promotions:
        words = f"{item.event_time[:10]}: {item.model} became champion"
        marks.append(Mark("promoted", moment(item.event_time), words, item.model))
    return marks


# -- the table ---------------------------------------------------------------------------------


def _table(evidence: Evidence) -> Markup:
    gain = evidence.gain
    table = element(
        "table",
        element(
            "caption",
            "Estimates with 95 % intervals. Gain: how much better the loop’s estimate is.",
        ),
        _columns(),
        element("tbody", *(_row(month) for month in evidence.by_month)),
        element("tfoot", _paired(gain)) if gain else "",
        class_="wide",
    )
    return scrolling(table, label="Table of months")


def _columns() -> Markup:
    names = (("loop", "number group"), ("frozen", "number"), ("gain", "number"))
    return element(
        "thead",
        element(
            "tr",
            element("th", "Month", scope="col", rowspan=2),
            element("th", "Flights", scope="col", rowspan=2, class_="number"),
            element("th", "Brier score", scope="colgroup", colspan=3, class_="group"),
            element("th", "AUC", scope="colgroup", colspan=3, class_="group"),
        ),
        element(
            "tr",
            *(element("th", name, scope="col", class_=css) for name, css in names * 2),
        ),
    )


def _row(month: Month) -> Markup:
    cells: list[Markup] = []
    for metric, digits in (("brier", 4), ("auc", 3)):
        for score, css in ((month.loop, "number group"), (month.frozen, "number")):
            value, low, high = _figures(score, metric)
            interval = f"{number(low, digits)} to {number(high, digits)}"
            small = element("small", interval)
            cells.append(element("td", number(value, digits), small, class_=css))
        cells.append(element("td", signed(_gap(month, metric), digits), class_="number"))
    return element(
        "tr",
        element("th", month.month, scope="row"),
        element("td", number(month.loop.flights), class_="number"),
        *cells,
    )


def _paired(gain: Gain) -> Markup:
    cells = (
        element(
            "td",
            signed(found.value, found.digits),
            element("small", found.interval),
            class_="number group",
            colspan=3,
        )
        for found in differences(gain)
    )
    return element(
        "tr",
        element("th", "All, paired", scope="row"),
        element("td", number(gain.flights), class_="number"),
        *cells,
    )
