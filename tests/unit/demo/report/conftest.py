"""A demonstration's evidence made up to the last field, and a strict reader of HTML."""

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import msgspec
import numpy as np
import pytest

from trivet.core.gates import Finding
from trivet.core.ports import TableVersion
from trivet.data.facts import DataCommit
from trivet.demo.evidence import (
    Evidence,
    Gain,
    Judged,
    Month,
    Promotion,
    Raised,
    Retraining,
    Score,
    Stage,
)
from trivet.models.facts import GateVerdict, Measured, ModelVersion
from trivet.models.signatures import Input, Signature
from trivet.releases.facts import ReleasePlan, Variant
from trivet.serving.facts import Label, Prediction
from trivet.serving.lineage import DataLink, Why
from trivet.tracking.facts import CodeState, Environment, RunFinished, RunStarted

VOID = {"br", "col", "hr", "meta"}


def a_score(generator: np.random.Generator) -> Score:
    brier, auc = generator.uniform(0.08, 0.2), generator.uniform(0.65, 0.8)
    return Score(
        flights=int(generator.integers(1000, 4000)),
        brier=brier,
        brier_low=brier - generator.uniform(0.01, 0.03),
        brier_high=brier + generator.uniform(0.01, 0.03),
        auc=auc,
        auc_low=auc - generator.uniform(0.01, 0.05),
        auc_high=auc + generator.uniform(0.01, 0.05),
    )


def a_gain(low: float = 0.0011, high: float = 0.0031) -> Gain:
    middle = (low + high) / 2
    return Gain(
        brier=middle,
        brier_low=low,
        brier_high=high,
        auc=0.0084,
        auc_low=-0.0012,
        auc_high=0.018,
        flights=29_852,
    )


def an_origin(text: str = "a reason") -> Why:
    code = CodeState(tree="b3:tree", entry="pipeline:train", commit="c0ffee", dirty=True, diff=text)
    environment = Environment(
        lock="b3:lock",
        packages=64,
        python="3.11.7",
        platform=text,
        processors=2,
        memory_bytes=2**33,
    )
    table = TableVersion(
        name="flights", version=7, digest="b3:table", rows=71_166, size_bytes=5, columns={}
    )
    variant = Variant(
        name="champion", role="live", model="the-model", version=3, package="b3:package", share=1.0
    )
    inputs = (Input(name=text, type="number"), Input(name="origin", type="category"))
    return Why(
        prediction=Prediction(
            id="the-prediction",
            time_us=1_795_308_344_063_634,
            endpoint="flights",
            release="the-release",
            variant="champion",
            role="live",
            assignment="random",
            share=1.0,
            unit=text,
            event_us=1_388_541_000_000_000,
            inputs=(12.5, None),
            output=b"\x00\x00\xe8>",
            package="b3:package",
            micros=310,
        ),
        inputs={text: 12.5, "origin": None},
        output=(0.453125,),
        answered="2026-11-22T00:45:44+00:00",
        label=Label(prediction="the-prediction", value=1.0, arrived_us=1),
        release_id="the-release",
        release=ReleasePlan(
            endpoint="flights",
            generation=7,
            stage="full",
            variants=(variant,),
            salt="s",
            log_mode="audit",
            why=text,
        ),
        released_by=text,
        model_id="the-model",
        model=ModelVersion(
            name="flights",
            version=3,
            package="b3:package",
            size_bytes=653_418,
            flavour="lightgbm",
            signature=Signature(inputs=inputs, task="binary", target="late", classes=("no", "yes")),
            metrics={"brier": Measured(value=0.16896, low=0.13854, high=0.19939, rows=12_540)},
            run="the-run",
            verdict="the-verdict",
            data=("the-data",),
        ),
        verdict=GateVerdict(
            model="flights",
            gate="safe-to-ship",
            subject="b3:package",
            passed=True,
            findings=(Finding(check="schema", ok=True, summary=text),),
        ),
        run_id="the-run",
        run=RunStarted(
            name="train", parameters={"history": text}, code=code, environment=environment
        ),
        finished=RunFinished(run="the-run", status="succeeded", seconds=3.98),
        data=(
            DataLink(
                id="the-data",
                commit=DataCommit(
                    dataset="flights", tables=(table,), names=("flights",), source=text
                ),
            ),
        ),
        code=code,
        environment=environment,
    )


def a_card() -> dict[str, Any]:
    return {
        "promised_per_year": 1.0,
        "measured_per_year": 0.4512,
        "measured_high": 0.5191,
        "tolerance": 0.0102,
        "baseline_windows": 15,
        "block": 3,
        "simulations": 400,
        "horizon": 30,
        "windows_per_year": 365,
        "smallest_change": 0.0127,
        "expected_windows": 18.0,
        "delays": [
            {"rise": 0.0127, "found_share": 0.9975, "median_windows": 18.0},
            {"rise": 0.01898, "found_share": 0.25, "median_windows": None},
        ],
    }


def an_evidence(text: str = "a reason") -> Evidence:
    generator = np.random.default_rng(7)
    alert = Raised(
        event_time="2013-06-25T00:00:00+00:00",
        since="2013-06-23T00:00:00+00:00",
        summary=f"flights:1 got worse; {text}",
        causes=(text, "origin EWR: loss +0.091"),
    )
    return Evidence(
        stages=[
            Stage(name="train", ok=True, seconds=2.5, detail=text),
            Stage(name="replay", ok=True, seconds=10.0, detail="30,600 requests"),
        ],
        sampling=text,
        log_mode="audit",
        predictions=30_600,
        labels=29_852,
        requests_per_second=1160.4,
        dataset_versions=14,
        gate_verdicts=[
            Judged(model="flights", passed=True, checks=16, refused_by=()),
            Judged(model=text, passed=False, checks=15, refused_by=(text,)),
            Judged(model="flights", passed=True, checks=16, refused_by=()),
        ],
        monitor_card=a_card(),
        alerts=[alert],
        retrainings=[
            Retraining(
                event_time="2013-07-20T00:00:00+00:00",
                asked_because=text,
                run=text,
                rows=71_166,
                passed=False,
                model=None,
                reasons=(text,),
            ),
            Retraining(
                event_time="2013-06-25T00:00:00+00:00",
                asked_because=f"alert: {alert.summary}",
                run="run-2",
                rows=156_031,
                passed=True,
                model="flights:2",
                reasons=(),
            ),
        ],
        promotions=[
            Promotion(
                event_time="2013-07-04T00:00:00+00:00", model="flights:2", stage="full", why=text
            )
        ],
        by_month=[
            Month(month=f"2013-{at:02}", loop=a_score(generator), frozen=a_score(generator))
            for at in range(3, 13)
        ],
        gain=a_gain(),
        why=msgspec.to_builtins(an_origin(text)),
        replay_equal=True,
        replayed=25,
        peak_memory_bytes=1_146_646_528,
        seconds=215.6,
        folder=f"/tmp/{text}",
    )


class Page(HTMLParser):
    """Reads HTML strictly: each element that is opened must be closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.opened == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.opened.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if {"td", "th"} & set(self.opened):
            self.rows[-1][-1] += f"{data} "

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def row(self, name: str) -> list[str]:
        """Return the cells of the row with this heading."""
        found = [row for row in self.rows if row and row[0].strip() == name]
        assert len(found) == 1
        return [" ".join(cell.split()) for cell in found[0]]

    def values(self, name: str) -> list[str]:
        """Return what an attribute holds wherever it stands."""
        return [str(attributes[name]) for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="session")
def invent_evidence() -> Callable[..., Evidence]:
    """Make evidence with a text of one's own wherever people or data may put one."""
    return an_evidence


@pytest.fixture(scope="session")
def invent_origin() -> Callable[..., Why]:
    return an_origin


@pytest.fixture(scope="session")
def read_page() -> Callable[[str], Page]:
    return Page
