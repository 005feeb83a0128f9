import base64
import hashlib
import math
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from trivet.demo.evidence import Evidence, Gain, Stage
from trivet.demo.report.page import render_report, write_report
from trivet.drawing.words import number, signed

HOSTILE = '<script>alert("1")</script>\u202e\x1b[2J\ud800\'&amp;'
READABLE = '<script>alert("1")</script>\ufffd\ufffd[2J\ufffd\'&amp;'

Invent = Callable[..., Evidence]
Read = Callable[[str], Any]


@pytest.fixture(scope="module")
def text(invent_evidence: Invent) -> str:
    return render_report(invent_evidence())


@pytest.fixture(scope="module")
def page(text: str, read_page: Read) -> Any:
    return read_page(text)


@pytest.fixture
def failure() -> Evidence:
    failed = Stage(name="train", ok=False, seconds=1.0, detail="no such column: late")
    return Evidence(stages=[failed], sampling="100 flights of each day", folder="/tmp/demo")


def a_gain(low: float, high: float) -> Gain:
    return Gain(
        brier=(low + high) / 2,
        brier_low=low,
        brier_high=high,
        auc=0.0084,
        auc_low=-0.0012,
        auc_high=0.018,
        flights=29_852,
    )


# -- the page as a whole -----------------------------------------------------------------------


def test_a_report_is_one_balanced_page_that_asks_for_nothing_elsewhere(page: Any) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not page.values("src")
    assert not page.values("style")
    assert not [name for _, held in page.elements for name in held if name.startswith("on")]
    assert all(target.startswith("#") for target in page.values("href"))


def test_every_link_leads_to_one_place(page: Any) -> None:
    names = page.values("id")
    assert len(names) == len(set(names))
    assert {target[1:] for target in page.values("href")} <= set(names)
    assert {name for said in page.values("aria-labelledby") for name in said.split()} <= set(names)


def test_only_its_own_stylesheet_may_act(text: str, page: Any) -> None:
    (policy,) = [
        str(held["content"])
        for tag, held in page.elements
        if tag == "meta" and held.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "url(" not in style
    assert "@import" not in style


def test_each_drawing_is_described_or_stands_beside_its_number(text: str, page: Any) -> None:
    drawings = [held for tag, held in page.elements if tag == "svg"]
    described = [held for held in drawings if held.get("aria-hidden") != "true"]
    assert len(described) == 2
    assert all(held.get("role") == "img" and held["aria-labelledby"] for held in described)
    assert re.findall(r'<title id="[\w-]+">(.*?)</title><desc id="[\w-]+">[^<]{50,}', text) == [
        "Brier score by month, lower is better",
        "AUC by month, higher is better",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast_in_light_and_in_dark(text: str, scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    assert len(blocks) == 2
    colours: dict[str, str] = {}
    for block in blocks if scheme == "dark" else blocks[:1]:
        colours |= dict(re.findall(r"--(\w+): #(\w{6});", block))
    for ground in ("paper", "panel"):
        for ink in ("ink", "muted", "loop", "frozen", "good", "bad"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2 (1.4.3)."""

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_hostile_names_are_read_and_never_run(invent_evidence: Invent, read_page: Read) -> None:
    text = render_report(invent_evidence(HOSTILE))
    page = read_page(text)
    assert "script" not in {tag for tag, _ in page.elements}
    assert not set(text) & set("\u202e\x1b\ud800")
    assert page.text.count(READABLE) >= 15
    assert all(target.startswith("#") for target in page.values("href"))


def test_a_report_is_whole_and_its_owner_s_alone(
    tmp_path: Path, invent_evidence: Invent, read_page: Read
) -> None:
    path = tmp_path / "report.html"
    path.write_text("an older one")
    write_report(invent_evidence(HOSTILE), path)
    assert "Month by month" in read_page(path.read_text("utf-8")).text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


# -- what it claims ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.0011, 0.0031, "The loop beats the model frozen in February."),
        (-0.0011, 0.0031, "The loop is not shown to beat the model frozen in February."),
        (-0.0031, -0.0011, "The loop is worse than the model frozen in February."),
    ],
)
def test_the_verdict_comes_first_and_says_no_more_than_was_shown(
    low: float, high: float, said: str, invent_evidence: Invent, read_page: Read
) -> None:
    evidence = msgspec.structs.replace(invent_evidence(), gain=a_gain(low, high))
    text = render_report(evidence)
    assert re.findall(r"<h1>(.*?)</h1>", text) == [said]
    assert f"{signed(low, 4)} to {signed(high, 4)}" in read_page(text).text
    assert text.index("<h1>") < text.index("<h2")


def test_a_loss_is_told_as_a_higher_score_with_the_interval_turned_over(
    invent_evidence: Invent, read_page: Read
) -> None:
    evidence = msgspec.structs.replace(invent_evidence(), gain=a_gain(-0.003, 0.001))
    said = "Brier score is higher by 0.0010 (\u22120.0010 to 0.0030)"
    assert said in read_page(render_report(evidence)).text


def test_the_table_has_every_figure_of_every_month(page: Any, invent_evidence: Invent) -> None:
    for month in invent_evidence().by_month:
        one, other = month.loop, month.frozen
        assert page.row(month.month)[1:] == [
            number(one.flights),
            *(
                f"{number(s.brier, 4)} {number(s.brier_low, 4)} to {number(s.brier_high, 4)}"
                for s in (one, other)
            ),
            signed(other.brier - one.brier, 4),
            *(
                f"{number(s.auc, 3)} {number(s.auc_low, 3)} to {number(s.auc_high, 3)}"
                for s in (one, other)
            ),
            signed(one.auc - other.auc, 3),
        ]
    assert page.row("All, paired")[1:] == [
        "29,852",
        "+0.0021 +0.0011 to +0.0031",
        "+0.008 \u22120.001 to +0.018",
    ]


def test_a_month_that_could_not_be_scored_is_a_dash(
    invent_evidence: Invent, read_page: Read
) -> None:
    evidence = invent_evidence()
    month = evidence.by_month[3]
    empty = msgspec.structs.replace(month.loop, auc=math.nan, auc_low=math.nan, auc_high=math.nan)
    evidence.by_month[3] = msgspec.structs.replace(month, loop=empty)
    text = render_report(evidence)
    assert "nan" not in text.lower()
    assert read_page(text).row(month.month)[5] == "– – to –"


@pytest.mark.parametrize(
    "said",
    [
        "Predictions 30,600 29,852 labels",
        "Requests a second 1,160",
        "Data versions 14",
        "Alerts 1",
        "Retrainings 2 1 passed the gate",
        "Promotions 1 0 rolled back",
        "Seconds 216",
        "Peak memory 1,094 MiB",
        "25 predictions",
        "logged in audit mode",
    ],
)
def test_counts_of_the_year_are_those_of_the_evidence(page: Any, said: str) -> None:
    assert said in page.text


def test_events_are_told_in_order_with_causes_reasons_and_what_asked_for_them(page: Any) -> None:
    told = page.text[page.text.index("What happened By event time") :]
    places = [
        told.index(said)
        for said in (
            "flights:1 got worse",
            "origin EWR: loss +0.091",
            "on 156,031 flights",
            "the alert of 2013-06-25",
            "became champion",
            "on 71,166 flights",
            "refused by the gate",
        )
    ]
    assert places == sorted(places)


def test_a_year_in_which_nothing_happened_says_so(invent_evidence: Invent, read_page: Read) -> None:
    quiet = msgspec.structs.replace(invent_evidence(), alerts=[], retrainings=[], promotions=[])
    told = read_page(render_report(quiet)).text
    assert "No alert was raised, nothing was retrained and nothing promoted." in told


def test_verdicts_stand_beside_the_day_they_were_given(page: Any) -> None:
    assert page.row("1")[1:] == ["before March", "passed", "16", "none"]
    assert page.row("2")[1:] == ["2013-07-20", "refused", "15", "a reason"]
    assert page.row("3")[1:] == ["2013-06-25", "passed", "16", "none"]


@pytest.mark.parametrize(
    "said",
    [
        "at most 1 a year",
        "0.45 a year, at most 0.52",
        "400 simulated years",
        "+0.0127 in the mean loss, if it lasts; found within 30 days",
        "18 until it is found",
        "15 held-out days",
        "it is optimistic",
    ],
)
def test_the_monitor_s_card_says_what_its_promise_is_worth(page: Any, said: str) -> None:
    assert said in page.text


def test_the_card_lists_what_would_be_found_and_when(page: Any) -> None:
    assert page.row("+0.0127")[1:] == ["99.8 %", "18"]
    assert page.row("+0.0190")[1:] == ["25.0 %", "–"]


def test_a_monitor_that_keeps_silent_says_why(invent_evidence: Invent, read_page: Read) -> None:
    silent = {"silent": "too few windows", "hint": "wait"}
    evidence = msgspec.structs.replace(invent_evidence(), monitor_card=silent)
    assert "keeps silent: too few windows" in read_page(render_report(evidence)).text


def test_stages_have_bars_in_proportion_to_their_seconds(text: str, page: Any) -> None:
    assert page.row("train")[1:] == ["yes", "2.50", "", "a reason"]
    widths = [float(width) for width in re.findall(r'width="([\d.]+)"[^>]*class="bar"', text)]
    assert widths == [40.0, 160.0]


def test_a_demonstration_that_failed_says_where_and_claims_nothing(
    failure: Evidence, read_page: Read
) -> None:
    page = read_page(render_report(failure))
    assert "The loop was not compared with the frozen model." in page.text
    assert "Stage “train” failed. no such column: late" in page.text
    assert "No prediction was replayed." in page.text
    assert "None of them was asked about." in page.text
    assert "mode" not in page.text[page.text.index("Sampling.") : page.text.index("Predictions")]
    assert "svg" not in {
        tag for tag, held in page.elements if tag == "svg" and held.get("role") == "img"
    }


def test_a_replay_that_gave_other_bits_is_a_warning(
    invent_evidence: Invent, read_page: Read
) -> None:
    evidence = msgspec.structs.replace(invent_evidence(), replay_equal=False)
    assert "not all gave the same bits" in read_page(render_report(evidence)).text


def test_commands_can_be_pasted(text: str) -> None:
    assert "cd &#x27;/tmp/a reason&#x27;\ntrivet why the-prediction\n" in text
