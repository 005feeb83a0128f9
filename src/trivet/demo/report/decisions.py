"""What happened and why: events in order of time, the gate's verdicts, the monitor's promise."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from trivet.core.gates import Finding
from trivet.demo.evidence import Evidence, Judged, Promotion, Raised, Retraining
from trivet.demo.report.drawing import legend_key
from trivet.demo.report.months import outcome
from trivet.demo.words import without_cause
from trivet.drawing.markup import Markup, element, joined, scrolling
from trivet.drawing.words import number, signed
from trivet.serving.lineage import Why


class _Event(NamedTuple):
    time: str
    order: int
    """Of events of one moment: an alert, then the retraining it asked for, then a promotion."""
    shown: Markup


# -- the timeline ------------------------------------------------------------------------------


def draw_events(evidence: Evidence) -> Markup:
    """List alerts, retrainings and promotions in order of event time."""
    events = [
        *(_Event(item.event_time, 0, _alert(at, item)) for at, item in enumerate(evidence.alerts)),
        *(
            _Event(item.event_time, 1, _retraining(item, evidence.alerts))
            for item in evidence.retrainings
        ),
        *(_Event(item.event_time, 2, _promotion(item)) for item in evidence.promotions),
    ]
    if not events:
        return element("p", "No alert was raised, nothing was retrained and nothing promoted.")
    shown = (event.shown for event in sorted(events, key=lambda event: event[:2]))
    return joined(
        element("p", "By event time: the replay’s own clock, in UTC.", class_="note"),
        element("ol", *shown, class_="timeline"),
    )


def _event(time: str, key: str, *content: str, name: str | None = None) -> Markup:
    return element(
        "li",
        element("time", time[:10], datetime=time),
        legend_key(key),
        element("div", *content),
        id=name,
    )


def _alert(at: int, item: Raised) -> Markup:
    causes = element("ul", *(element("li", cause) for cause in item.causes))
    return _event(
        item.event_time,
        "alert",
        element("p", element("strong", "Alert. "), without_cause(item)),
        joined(element("p", "Likely causes", class_="note"), causes) if item.causes else "",
        name=f"alert-{at + 1}",
    )


def _retraining(item: Retraining, alerts: Iterable[Raised]) -> Markup:
    css = "good" if item.passed else "bad"
    return _event(
        item.event_time,
        "passed" if item.passed else "refused",
        element(
            "p",
            element("strong", "Retrained "),
            f"on {number(item.rows)} flights: ",
            element("span", outcome(item), class_=css),
            ".",
        ),
        element("ul", *(element("li", reason) for reason in item.reasons)) if item.reasons else "",
        element(
            "p",
            "Run ",
            element("code", item.run),
            ", because of ",
            _reason(item, alerts),
            class_="note",
        ),
    )


def _reason(item: Retraining, alerts: Iterable[Raised]) -> Markup:
    """Point to the alert where the words are its own, rather than repeat them."""
    for at, alert in enumerate(alerts):
        if item.asked_because == f"alert: {alert.summary}":
            link = element("a", f"the alert of {alert.event_time[:10]}", href=f"#alert-{at + 1}")
            return joined(link, ".")
    return joined(item.asked_because)


def _promotion(item: Promotion) -> Markup:
    return _event(
        item.event_time,
        "promoted",
        element("p", element("strong", item.model), f" became champion, in stage “{item.stage}”."),
        element("p", item.why, class_="note"),
    )


# -- the gate ----------------------------------------------------------------------------------


def draw_verdicts(evidence: Evidence, why: Why | None) -> Markup:
    """List every verdict, and the whole checklist of the one behind the example prediction."""
    verdicts = evidence.gate_verdicts
    if not verdicts:
        return Markup()
    refused = sum(1 for verdict in verdicts if not verdict.passed)
    said = (
        f"{len(verdicts)} candidates were judged on days they had not seen, {refused} of them "
        "refused. A retrained model must be shown better than the champion, and every look at "
        "held-out data is paid for."
    )
    whens = ["before March", *(item.event_time[:10] for item in evidence.retrainings)]
    known = len(whens) == len(verdicts)
    rows = (
        _verdict(at + 1, whens[at] if known else "–", verdict)
        for at, verdict in enumerate(verdicts)
    )
    table = _table("Verdicts", ("No.", "When", "Verdict", "Checks", "Open or broken"), rows)
    return joined(element("p", said), table, _checklist(why) if why else "")


def _verdict(at: int, when: str, verdict: Judged) -> Markup:
    word, css = ("passed", "good") if verdict.passed else ("refused", "bad")
    return element(
        "tr",
        element("th", str(at), scope="row"),
        element("td", when),
        element("td", word, class_=css),
        element("td", number(verdict.checks)),
        element("td", ", ".join(verdict.refused_by) or "none"),
    )


def _checklist(why: Why) -> Markup:
    label = f"The checklist of {why.model.name}:{why.model.version}"
    rows = (_finding(finding) for finding in why.verdict.findings)
    return element(
        "details",
        element("summary", f"{label}, {len(why.verdict.findings)} checks"),
        _table(label, ("Check", "Holds", "What was found"), rows),
    )


def _finding(finding: Finding) -> Markup:
    word, css = {True: ("yes", "good"), False: ("no", "bad"), None: ("undecided", "bad")}[
        finding.ok
    ]
    return element(
        "tr",
        element("th", finding.check, scope="row"),
        element("td", word, class_=css),
        element("td", finding.summary, class_="words"),
    )


# -- the monitor -------------------------------------------------------------------------------


def draw_card(card: dict[str, Any]) -> Markup:
    """Say what the monitor of the first release promised, and what that promise is worth."""
    if not card:
        return Markup()
    if "promised_per_year" not in card:
        said = card.get("silent", "The monitor gave no promise.")
        return element("p", f"The monitor keeps silent: {said}", class_="warning")
    unit = "days" if card.get("windows_per_year") == 365 else "windows"
    rows = (element("div", element("dt", name), element("dd", said)) for name, said in _says(card))
    return joined(
        element("dl", *rows, class_="card"),
        _delays(card, unit),
        element(
            "p",
            "The measured rate draws its years from the very held-out days that also set the "
            "tolerance. Weather, holidays and schedules that those days did not see are not in "
            "it, so it is optimistic: read it as a check of the procedure, not as a forecast.",
            class_="note",
        ),
    )


def _says(card: dict[str, Any]) -> Iterable[tuple[str, str]]:
    unit = "days" if card.get("windows_per_year") == 365 else "windows"
    yield "False alarms promised", f"at most {card['promised_per_year']:g} a year"
    yield (
        "False alarms measured",
        (
            f"{number(card.get('measured_per_year'), 2)} a year, at most "
            f"{number(card.get('measured_high'), 2)} with 95 % confidence from "
            f"{number(card.get('simulations'))} simulated years"
        ),
    )
    if card.get("smallest_change") is None:
        yield "Smallest visible change", f"none within {number(card.get('horizon'))} {unit}"
    else:
        yield (
            "Smallest visible change",
            (
                f"{signed(card['smallest_change'], 4)} in the mean loss, if it lasts; found "
                f"within {number(card.get('horizon'))} {unit} in four of five simulated years"
            ),
        )
        yield f"Expected {unit}", f"{number(card.get('expected_windows'))} until it is found"
    yield (
        f"Baseline {unit}",
        (
            f"{number(card.get('baseline_windows'))} held-out {unit}, drawn in blocks of "
            f"{number(card.get('block'))}"
        ),
    )
    yield "Tolerance", f"{signed(card.get('tolerance'), 4)} over the loss when it was judged"


def _delays(card: dict[str, Any], unit: str) -> Markup:
    delays: list[dict[str, Any]] = card.get("delays") or []
    if not delays:
        return Markup()
    rows = (
        element(
            "tr",
            element("th", signed(delay["rise"], 4), scope="row"),
            element("td", f"{number(100 * delay['found_share'], 1)} %"),
            element("td", number(delay["median_windows"])),
        )
        for delay in delays
    )
    headings = ("Lasting rise of the loss", "Found within a year", f"Median {unit} until then")
    return _table("What it would find, and when", headings, rows)


def _table(caption: str, headings: Iterable[str], rows: Iterable[Markup]) -> Markup:
    columns = element("tr", *(element("th", heading, scope="col") for heading in headings))
    table = element(
        "table",
        element("caption", caption),
        element("thead", columns),
        element("tbody", *rows),
    )
    return scrolling(table, label=caption)
