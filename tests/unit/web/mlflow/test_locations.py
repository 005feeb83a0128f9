import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.web.mlflow.locations import Kind, Place, location_of, read_location, read_place

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", fullmatch=True)
PATHS = st.lists(st.from_regex(r"[a-zA-Z0-9 ._-]{0,10}[a-z]", fullmatch=True), max_size=4)


@given(kind=st.sampled_from(["run", "model", "trace"]), experiment=IDS, id=IDS, names=PATHS)
def test_an_address_that_was_given_out_leads_back(
    kind: Kind, experiment: str, id: str, names: list[str]
) -> None:
    location = "/".join([location_of(kind, experiment, id), *names])
    place = Place(experiment=experiment, kind=kind, id=id, path="/".join(names))
    assert read_location(location) == place
    assert place.owner == f"{kind}:{id}"


@pytest.mark.parametrize(
    ("path", "kind", "id", "rest"),
    [
        ("0", "experiment", "0", ""),
        ("0/a.txt", "experiment", "0", "a.txt"),
        ("0/models/m-1", "experiment", "0", "models/m-1"),
        ("0/ab12/artifacts", "run", "ab12", ""),
        ("0/ab12/artifacts/", "run", "ab12", ""),
        ("0/ab12/artifacts/a/artifacts/b", "run", "ab12", "a/artifacts/b"),
        ("0/models/m-1/artifacts/MLmodel", "model", "m-1", "MLmodel"),
        ("0/traces/tr-1/artifacts/traces.json", "trace", "tr-1", "traces.json"),
        ("0/ab12/artifacts/a%2520b%2Fc", "run", "ab12", "a b/c"),
    ],
)
def test_the_four_forms_are_told_apart(path: str, kind: Kind, id: str, rest: str) -> None:
    assert read_place(path) == Place(experiment="0", kind=kind, id=id, path=rest)


def test_above_every_experiment_there_is_nobody() -> None:
    assert read_place("") is None
    assert read_place("/") is None


@pytest.mark.parametrize(
    "location",
    [
        "", "mlflow-artifacts:", "mlflow-artifacts:/", "mlflow-artifacts://host/0/ab/artifacts",
        "mlflow-artifacts:///0/ab/artifacts", "file:///etc/passwd", "/etc/passwd", "s3://bucket/x",
        "http://127.0.0.1/x", "mlflow-artifacts:/0/ab/artifacts/../../x", "runs:/ab/model",
        "mlflow-artifacts:/0/ab/artifacts/%2e%2e/x", "mlflow-artifacts:/0/ab/artifacts#x",
        "mlflow-artifacts:/0/ab/artifacts?x=1", "mlflow-artifacts:/../etc", "models:/m-1",
        "mlflow-artifacts:/0 0/ab/artifacts", "MLFLOW-ARTIFACTS:/0", "mlflow-artifacts:/-/a",
    ],
)  # fmt: skip
def test_no_other_address_leads_anywhere(location: str) -> None:
    with pytest.raises(Invalid):
        read_location(location)
