"""The suite of edits, in real workspaces and new processes: no answer is stale, none is wasted."""

import pytest
from benchmarks.edits.suite import EDITS, Outcome, try_trivet

NAMES = [edit.name for edit in EDITS]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    root = tmp_path_factory.mktemp("edits")
    return {outcome.edit.name: outcome for outcome in try_trivet(root)}


def test_every_case_has_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert sum(edit.reruns for edit in EDITS) >= 45
    assert sum(not edit.reruns for edit in EDITS) >= 25


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_what_the_code_says_and_work_is_done_only_when_it_must(
    outcomes: dict[str, Outcome], name: str
) -> None:
    outcome = outcomes[name]
    assert outcome.answers == outcome.truths
    # The second run is another process with another seed of hashing, and nothing was edited.
    assert outcome.statuses[:2] == ("run", "remembered")
    assert outcome.reran == outcome.edit.reruns


@pytest.mark.parametrize(
    "name", [edit.name for edit in EDITS if edit.reruns and "careful" not in edit.tags]
)
def test_a_change_that_the_suite_calls_one_alters_the_answer(
    outcomes: dict[str, Outcome], name: str
) -> None:
    truths = outcomes[name].truths
    assert truths[0] == truths[1] != truths[2]
