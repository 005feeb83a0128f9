import re

from trivet.demo.evidence import Evidence, Gain, Month, Promotion, Raised, Retraining, Score, Stage
from trivet.demo.summary import summarise

WIDTH = 98


def a_score(brier: float) -> Score:
    return Score(
        flights=3000,
        brier=brier,
        brier_low=brier - 0.02,
        brier_high=brier + 0.02,
        auc=0.75,
        auc_low=0.71,
        auc_high=0.79,
    )


def a_gain(low: float, high: float) -> Gain:
    return Gain(
        brier=(low + high) / 2,
        brier_low=low,
        brier_high=high,
        auc=0.008,
        auc_low=0.005,
        auc_high=0.012,
        flights=29_852,
    )


def an_evidence(text: str = "a reason") -> Evidence:
    return Evidence(
        stages=[
            Stage(name="data", ok=True, seconds=6.7, detail=text),
            Stage(name="replay", ok=False, seconds=70.6, detail="30,600 requests answered"),
        ],
        sampling=text,
        alerts=[
            Raised(
                event_time="2013-06-25T00:00:00+00:00",
                since=None,
                summary=f"flights:1 got worse; {text}",
                causes=(text, "origin EWR"),
            )
        ],
        retrainings=[
            Retraining(
                event_time="2013-03-26T00:00:00+00:00",
                asked_because=text,
                run="run",
                rows=71_166,
                passed=False,
                model=None,
                reasons=(text,),
            )
        ],
        promotions=[
            Promotion(
                event_time="2013-07-04T00:00:00+00:00", model="flights:2", stage="full", why=text
            )
        ],
        by_month=[
            Month(month="2013-03", loop=a_score(0.14), frozen=a_score(0.14)),
            Month(month="2013-04", loop=a_score(0.16), frozen=a_score(0.18)),
        ],
        gain=a_gain(0.001, 0.003),
        why={"prediction": ["the-prediction"]},
        folder="/tmp/a folder/trivet-demo",
        report="/tmp/a folder/trivet-demo/report.html",
        seconds=88.8,
        peak_memory_bytes=2**30,
    )


def test_no_line_is_wider_than_a_terminal_however_long_the_reasons() -> None:
    long = (
        " ".join(["brier gains 0.0005 (-0.003 to 0.002) over flights:1;"] * 9) + " b3:" + "a" * 64
    )
    lines = summarise(an_evidence(long)).splitlines()
    assert max(map(len, lines)) <= WIDTH


def test_nothing_of_a_long_reason_is_lost() -> None:
    words = [f"word-{at}" for at in range(60)]
    told = summarise(an_evidence(" ".join(words)))
    assert all(told.count(f"{word}\n") + told.count(f"{word} ") >= 4 for word in words)


def test_commands_can_be_pasted() -> None:
    lines = summarise(an_evidence()).splitlines()
    assert "  cd '/tmp/a folder/trivet-demo'" in lines
    assert "  trivet why the-prediction" in lines
    assert "  trivet replay the-prediction" in lines
    assert "  /tmp/a folder/trivet-demo/report.html" in lines


def test_a_hostile_name_cannot_speak_to_the_terminal() -> None:
    told = summarise(an_evidence("\x1b[2J\x1b]0;owned\x07 \u202etxet\r\nok  everything"))
    assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", told) == []
    assert not any(line.startswith("ok  everything") for line in told.splitlines())


def test_each_stage_says_whether_it_did_it() -> None:
    told = summarise(an_evidence())
    assert re.search(r"^data +ok +6\.7  a reason$", told, re.MULTILINE)
    assert re.search(r"^replay +NO +70\.6  30,600 requests answered$", told, re.MULTILINE)
    assert re.search(r"^all +NO +88\.8  peak memory 1,024 MiB$", told, re.MULTILINE)


def test_the_chart_places_estimates_in_the_order_of_their_values() -> None:
    rows = [line for line in summarise(an_evidence()).splitlines() if "─●─" in line]
    places = [line.index("●") for line in rows]
    assert places[0] == places[1] < places[2] < places[3]
    assert all(line[15 : line.index("●")].strip(" ─") == "" for line in rows)
    assert "0.1600  0.750 (0.710 to 0.790)" in rows[2]


def test_events_are_told_in_order_of_time() -> None:
    told = summarise(an_evidence())
    dates = re.findall(r"^  (2013-\d\d-\d\d)  ", told, re.MULTILINE)
    assert dates == ["2013-03-26", "2013-06-25", "2013-07-04"]


def test_a_loop_that_is_not_better_is_said_not_to_be() -> None:
    evidence = an_evidence()
    evidence.gain = a_gain(-0.001, 0.003)
    assert "The loop is not shown to beat the model frozen in February." in summarise(evidence)
    evidence.gain = a_gain(-0.003, -0.001)
    assert "The loop is worse than the model frozen in February." in summarise(evidence)
    told = " ".join(summarise(evidence).split())
    assert "higher by 0.0020 (0.0010 to 0.0030)" in told


def test_a_demonstration_that_failed_at_once_has_a_summary_too() -> None:
    failed = Stage(name="project", ok=False, seconds=0.0, detail="/tmp/demo exists")
    told = summarise(Evidence(stages=[failed], folder="/tmp/demo"))
    assert "The demonstration ended at stage “project”." in told
    assert "●" not in told
    assert "trivet why" not in told
