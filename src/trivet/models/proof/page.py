"""A proof of concept as one HTML file, and as a table for a terminal."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from trivet.core.disk import put_file
from trivet.drawing.charts import Curve, CurveDot, curve_chart, curve_key, interval_figure
from trivet.drawing.markup import Markup, element, joined, scrolling
from trivet.drawing.page import page_section, render_page
from trivet.drawing.words import digits_for, number, signed
from trivet.models.proof.result import Proof, Standing

_MIB = 1 << 20
Section = tuple[str, str, Markup]


def write_proof(proof: Proof, path: Path) -> None:
    """Write a proof as one HTML file that needs no network, readable by its owner alone.

    Raises:
        Unavailable: The file cannot be written; nothing is left of it then.
    """
    put_file(path, render_proof(proof).encode())


def render_proof(proof: Proof) -> str:
    """Return the page's HTML."""
    sections = [section for section in _sections(proof) if section[2]]
    links = (element("li", element("a", title, href=f"#{name}")) for name, title, _ in sections)
    body = element(
        "body",
        element(
            "header",
            element("p", "Proof of concept", class_="eyebrow"),
            element("h1", proof.headline),
            element("p", proof.conclusion, class_="lead"),
            element("p", _basis(proof)),
            element("nav", element("ul", *links), aria_label="Contents"),
        ),
        element("main", *(page_section(*section) for section in sections)),
        element("footer", element("p", "Written by Trivet: `trivet models compare`.")),
    )
    return render_page(f"Proof of concept: {proof.target}", body)


def standing_rows(proof: Proof) -> list[tuple[object, ...]]:
    """Return a line per algorithm for a terminal: figures, gain, decision, costs."""
    return [
        (
            item.name,
            f"{item.figure.value:.4g} ({item.figure.low:.4g} to {item.figure.high:.4g})",
            _gain_text(item),
            _decision(item),
            None if item.training is None else item.training.seconds,
            None if item.serving is None else item.serving.single_p99_us / 1000,
            _size(item),
        )
        for item in proof.standings
    ]


def standing_headings(proof: Proof) -> tuple[str, ...]:
    """Return the headings of `standing_rows`."""
    gain = f"gain over {proof.baseline}"
    return ("algorithm", proof.metric, gain, "better", "fit s", "p99 ms", "size")


def _sections(proof: Proof) -> Iterable[Section]:
    yield "standings", "Who does how well", _standings(proof)
    yield "curves", "With more rows", _curves(proof)
    yield "costs", "What it costs", _costs(proof)
    yield "limits", "What this does not say", _limits(proof)


def _basis(proof: Proof) -> str:
    units = "rows" if proof.units == proof.test_rows else f"rows in {number(proof.units)} groups"
    direction = "higher" if proof.higher_is_better else "lower"
    return (
        f"Trained on {number(proof.training_rows)} rows to predict {proof.target}, compared on the "
        f"same {number(proof.test_rows)} {units}; {direction} {proof.metric} is better."
    )


def _standings(proof: Proof) -> Markup:
    digits = digits_for((item.figure.value for item in proof.standings), 3)
    heads = ("Algorithm", proof.metric, "95 % interval", "Gain", "", "Interval", "p", "Better?")
    if proof.level != 0.95:
        heads = (heads[0], heads[1], f"{proof.level:.0%} interval", *heads[3:])
    gains = [item.gain for item in proof.standings if item.gain is not None]
    ends = [end for gain in gains for end in (gain.low, gain.high)]
    rows = (
        element(
            "tr",
            element("th", item.name, scope="row"),
            element("td", number(item.figure.value, digits), class_="number"),
            element("td", _between(item.figure.low, item.figure.high, digits), class_="number"),
            *_gain_cells(item, digits, ends),
        )
        for item in proof.standings
    )
    caption = (
        f"Gains are paired, row by row, over {proof.baseline}. Their intervals hold for all "
        "algorithms together, as does p, which is two-sided (Bonferroni)."
    )
    return scrolling(_table(caption, heads, rows), label="Table of algorithms")


def _gain_cells(item: Standing, digits: int, ends: Sequence[float]) -> list[Markup]:
    gain = item.gain
    if gain is None:
        return [element("td", "the baseline", class_="muted", colspan=5)]
    return [
        element("td", signed(gain.value, digits), class_="number"),
        element("td", interval_figure(gain.value, gain.low, gain.high, others=ends)),
        element("td", f"{signed(gain.low, digits)} to {signed(gain.high, digits)}"),
        element("td", f"{gain.p_value:.2g}", class_="number"),
        element("td", _decision(item), class_="good" if item.is_better else "muted"),
    ]


def _curves(proof: Proof) -> Markup:
    drawn = [item for item in proof.standings if len(item.curve) > 1]
    if not drawn:
        return Markup()
    curves = [
        Curve(item.name, [CurveDot(p.rows, p.value, p.low, p.high) for p in item.curve])
        for item in drawn
    ]
    legend = element(
        "ul",
        *(element("li", curve_key(at), f" {item.name}") for at, item in enumerate(drawn)),
        class_="legend",
    )
    chart = curve_chart(
        f"{proof.metric} by training rows",
        f"Each algorithm's {proof.metric} on the test rows after training on more and more rows.",
        curves=curves,
        axis="training rows",
        name="curve",
    )
    note = element(
        "figcaption",
        "A curve that still moves at its right end says that more rows would help.",
    )
    return element("figure", legend, scrolling(chart, label="Learning curves"), note)


def _costs(proof: Proof) -> Markup:
    heads = (
        *("Algorithm", "Fit, s", "Peak memory, MiB", "One row p50, ms", "p99, ms"),
        *("Batch p50, ms", "p99, ms", "Rows in a batch", "Size", "Measured"),
    )
    rows = (
        element(
            "tr",
            element("th", item.name, scope="row"),
            *(element("td", text, class_="number") for text in _cost_texts(item)),
        )
        for item in proof.standings
        if item.training is not None
    )
    table = _table("Fitted on all training rows, and asked on this machine.", heads, rows)
    return scrolling(table, label="Table of costs")


def _cost_texts(item: Standing) -> list[str]:
    training, serving = item.training, item.serving
    peak = None if training is None or training.peak_bytes is None else training.peak_bytes / _MIB
    texts = [number(training.seconds if training else None, 2), number(peak, 1)]
    if serving is None:
        return [*texts, *("–" for _ in range(7))]
    times = (
        *(serving.single_p50_us, serving.single_p99_us),
        *(serving.batch_p50_us, serving.batch_p99_us),
    )
    texts += [number(value / 1000, 3) for value in times]
    return [*texts, number(serving.batch_rows), _size(item) or "–", serving.form]


def _limits(proof: Proof) -> Markup:
    return element("ul", *(element("li", text) for text in proof.limits))


def _table(caption: str, heads: Iterable[str], rows: Iterable[Markup]) -> Markup:
    heading = element("tr", *(element("th", text, scope="col") for text in heads))
    return element(
        "table",
        element("caption", caption),
        element("thead", heading),
        element("tbody", joined(*rows)),
        class_="wide",
    )


def _between(low: float, high: float, digits: int) -> str:
    return f"{number(low, digits)} to {number(high, digits)}"


def _gain_text(item: Standing) -> str:
    if item.gain is None:
        return "the baseline"
    return f"{item.gain.value:+.3g} ({item.gain.low:+.3g} to {item.gain.high:+.3g})"


def _decision(item: Standing) -> str:
    if item.gain is None:
        return ""
    if item.gain.problem:
        return "cannot be decided"
    return "yes" if item.is_better else "not shown"


def _size(item: Standing) -> str | None:
    if item.serving is None or item.serving.size_bytes is None:
        return None
    return f"{item.serving.size_bytes / _MIB:.2f} MiB"
