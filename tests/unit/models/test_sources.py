import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.models.sources import (
    Address,
    OfLoggedModel,
    OfRun,
    OfVersion,
    is_inside,
    parse_source,
)

RUN = "01a202c421067767ac761cc00cee37f5"


@pytest.mark.parametrize(
    ("source", "meaning"),
    [
        (f"runs:/{RUN}/model", OfRun(RUN, "model")),
        (f"runs:/{RUN}/a/b c", OfRun(RUN, "a/b c")),
        (f"models:/m-{RUN}", OfLoggedModel(f"m-{RUN}")),
        ("models:/churn/3", OfVersion("churn", 3)),
        ("models:/churn/latest", OfVersion("churn")),
        ("models:/a@b@champion", OfVersion("a@b", alias="champion")),
        (
            f"mlflow-artifacts:/0/{RUN}/artifacts/model",
            Address(f"mlflow-artifacts:/0/{RUN}/artifacts/model", (RUN,)),
        ),
        ("s3://bucket/x", Address("s3://bucket/x", ())),
    ],
)
def test_a_source_is_taken_apart(source: str, meaning: object) -> None:
    assert parse_source(source) == meaning


@pytest.mark.parametrize(
    "source",
    [
        "",
        "model",
        "/etc/passwd",
        "../x",
        "C:/models",
        "C:\\models",
        "file:///etc/passwd",
        "FILE:/etc",
        "models:/churn/0",
        "models:/churn/Production/x",
        "models://host/churn/1",
        "runs:/only",
        "runs://host/run/model",
        f"mlflow-artifacts:/0/{RUN}/artifacts/../../../etc",
        f"mlflow-artifacts:/0/{RUN}/artifacts/%2e%2e/%2e%2e",
        f"mlflow-artifacts:/0/{RUN}/artifacts/%252e%252e/x",
        f"mlflow-artifacts:/0/{RUN}/artifacts/a#b",
        f"mlflow-artifacts:/0/{RUN}/artifacts/a?b",
        f"mlflow-artifacts:/0/{RUN}/artifacts/a%5c",
        f"mlflow-artifacts:/0/{RUN}/artifacts//a",
        "s3://bucket/" + "x" * 6000,
    ],
)
def test_what_could_lie_elsewhere_is_refused(source: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_source(source)
    assert raised.value.code == "bad-source"


def test_a_neighbour_that_begins_alike_is_not_inside() -> None:
    root = f"mlflow-artifacts:/0/{RUN}/artifacts"
    assert is_inside(root, root)
    assert is_inside(f"{root}/model", f"{root}/")
    assert not is_inside(f"{root}-2/model", root)
    assert not is_inside(root, f"{root}/model")
    assert not is_inside("x", "")


@given(st.text(max_size=30))
def test_nothing_that_is_accepted_leaves_its_root(text: str) -> None:
    root = f"mlflow-artifacts:/0/{RUN}/artifacts"
    try:
        parsed = parse_source(f"{root}/{text}")
    except Invalid:
        return
    assert isinstance(parsed, Address)
    assert is_inside(parsed.text, root)
    assert ".." not in parsed.text.split("/")
    assert parsed.owners[0] == RUN
