"""What is said when Trivet misses a library, and when the user's own code does."""

import sys

import pytest

from trivet.cli.command import Answer, Command
from trivet.cli.dispatch import dispatch


def missing(module: str) -> Command:
    """A command whose code, in the module of this name, asks for what is not installed."""
    space = {"__name__": module, "Answer": Answer}
    exec("def run(options):\n    import no_such_library\n", space)  # noqa: S102  # code of a name
    return Command("Ask.", "trivet ask", space["run"])  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _asking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("asking")
    module.command = missing(request.param)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "asking", module)


@pytest.mark.parametrize("_asking", ["trivet.data.profile"], indirect=True)
def test_a_library_that_trivet_misses_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["ask"], {"ask": ("asking:command", "")}, {}) == 8
    told = capsys.readouterr().err
    assert "'no_such_library'" in told
    assert "pip install 'trivet[local]'" in told


@pytest.mark.parametrize("_asking", ["pipeline"], indirect=True)
def test_one_that_the_users_own_code_misses_is_theirs_to_see() -> None:
    with pytest.raises(ModuleNotFoundError):
        dispatch(["ask"], {"ask": ("asking:command", "")}, {})
