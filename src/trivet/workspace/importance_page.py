"""The importance of parameters as one HTML file that needs no network and no script."""

from typing import TYPE_CHECKING

from trivet.drawing.charts import bar
from trivet.drawing.markup import Markup, element, joined, scrolling
from trivet.drawing.page import page_section, render_page
from trivet.drawing.words import number
from trivet.workspace.mattering import MetricImportance

if TYPE_CHECKING:
    from trivet.statistics.importance import Importance


def render_importance(asked: MetricImportance) -> str:
    """Return the page's HTML."""
    found = asked.found
    about = f"Over {found.trials} runs{f' with {asked.filter}' if asked.filter else ''}."
    body = element(
        "body",
        element(
            "header",
            element("p", "Importance of parameters", class_="eyebrow"),
            element("h1", asked.metric),
            element("p", summary_of(asked), class_="lead"),
            element("p", about),
        ),
        element(
            "main",
            page_section("shares", "Shares", _shares(asked)),
            page_section("reading", "How to read this", _reading(asked)),
        ),
        element("footer", element("p", "Written by Trivet: `trivet importance`.")),
    )
    return render_page(f"Importance of parameters for {asked.metric}", body)


def summary_of(asked: MetricImportance) -> str:
    """Say in a sentence or two what was found."""
    found = asked.found
    clear = [" or ".join(one.names) for one in found.parameters if one.is_clear]
    if not clear:
        return (
            f"No parameter is clearly more important than chance makes them look, over "
            f"{found.trials} runs."
        )
    return (
        f"{', '.join(clear)} mattered for {asked.metric}. Together the parameters explain "
        f"{found.explained:.0%} of its variance on runs that were not learned from."
    )


def _shares(asked: MetricImportance) -> Markup:
    heads = ("parameter", "", "share of the variance", "95 % interval", "by chance", "")
    rows = [_row(one) for one in asked.found.parameters]
    content = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *rows),
    )
    return scrolling(content, label="Shares of the variance by parameter")


def _row(one: "Importance") -> Markup:
    name = " or ".join(one.names)
    return element(
        "tr",
        element("th", element("strong", name) if one.is_clear else name, scope="row"),
        element("td", bar(one.share)),
        element("td", number(one.share, 3), class_="number"),
        element("td", f"{number(one.low, 3)} to {number(one.high, 3)}", class_="number"),
        element("td", f"p = {number(one.p_value, 2)}", class_="number"),
        element("td", "" if one.is_clear else "not told from chance", class_="muted"),
    )


def _reading(asked: MetricImportance) -> Markup:
    found = asked.found
    said = (
        "A share says how much worse a forest predicts the metric, on runs that its trees did not "
        "see, once the parameter is shuffled, as a part of the metric's variance. What acts "
        "together counts for each. Parameters that depend on each other share their importance: "
        "these are associations in the runs made, and not effects."
    )
    left = [element("li", f"{name}: {reason}") for name, reason in found.left_out.items()]
    return joined(
        element("p", said),
        *(element("p", f"Mind: {note}.", class_="warning") for note in found.notes),
        element("h3", "Left out") if left else "",
        element("ul", *left) if left else "",
    )
