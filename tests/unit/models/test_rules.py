import msgspec
import pytest

from trivet.core.errors import Invalid
from trivet.models.checklist import build_gate
from trivet.models.rules import CHECK_NAMES, ChecklistSpec, read_checklist

FULL = """
name = "safe-to-ship"
warn = ["latency"]

[rows]
time = "sent"
key = ["parcel"]

[leakage]
single_input = 0.95

[quality]
metric = "brier"
threshold = 0.2
baseline = "depot_rate"

[champion]
margin = 0.005
shelf_life = 20

[slices]
columns = ["depot"]
min_rows = 300

[calibration]
limit = 0.04

[[must_hold]]
row = { weight = 40.0, express = false }
at_least = 0.6
because = "heavy parcels are late"

[[invariances]]
input = "depot"
to = ["a", "b"]

[[directions]]
input = "weight"
by = 5
answer = "up"

[[directions]]
input = "distance"
by = 100
answer = "up"

[latency]
p99_ms = 3

[size]
mib = 10
"""


def test_a_gate_in_toml_becomes_a_checklist() -> None:
    spec = read_checklist(FULL)
    assert spec.champion.margin == 0.005
    assert spec.directions[1].input == "distance"
    assert spec.quality.baseline == "depot_rate"
    gate = build_gate(spec)
    names = [check.name for check in gate.checks]
    assert {name.removesuffix("-2") for name in names} == set(CHECK_NAMES)
    assert "direction-2" in names
    severities = {check.name: check.severity for check in gate.checks}
    assert severities["latency"] == "warn"
    assert severities["quality"] == "block"


def test_an_empty_gate_has_every_check_that_needs_no_words() -> None:
    names = [check.name for check in build_gate(read_checklist("")).checks]
    assert names == [
        *("schema", "contract", "target-not-an-input", "no-identifiers", "no-telling-input"),
        *("rows-apart", "time-order", "quality", "baseline", "champion", "calibration"),
        *("latency", "size", "no-pickle"),
    ]


def test_a_checklist_survives_being_written_down() -> None:
    spec = read_checklist(FULL)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=ChecklistSpec) == spec


@pytest.mark.parametrize(
    "text",
    [
        "[qualty]\nthreshold = 0.7",
        "[quality]\ntreshold = 0.7",
        "[quality]\nthreshold = 'high'",
        "[champion]\nalpha = 1.5",
        "[champion]\nmargin = -0.1",
        "[slices]\nmin_rows = 100",
        "[[directions]]\ninput = 'x'\nby = 1\nanswer = 'sideways'",
        "[[invariances]]\ninput = 'x'\nto = []",
        "warn = ['speed']",
        "not toml",
    ],
)
def test_a_word_or_value_that_no_gate_knows_is_an_error(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_checklist(text)
    assert caught.value.code == "bad-gate"
    assert caught.value.hint
