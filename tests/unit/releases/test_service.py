import threading
from collections.abc import Callable

import pytest

from trivet.cli.releases import describe_release
from trivet.core.errors import Conflict, Invalid, NotFound, Refused
from trivet.core.gates import Finding
from trivet.core.ports import Stores
from trivet.models.facts import Model
from trivet.releases.judge import Judgement, Outcome
from trivet.releases.service import ReleasesService

RegisterModel = Callable[..., Model]


def champion_of(stores: Stores, name: str = "delay") -> str | None:
    head = stores.ledger.head("flights", f"model/{name}@champion")
    return head.target if head else None


def judgement(outcome: Outcome) -> Judgement:
    return Judgement(outcome=outcome, findings=(Finding(check="c", ok=True, summary="looked"),))


def test_the_first_release_answers_everybody(
    releases: ReleasesService, a_model: RegisterModel, stores: Stores
) -> None:
    model = a_model()
    release = releases.release("delay", model, why="first")
    assert releases.current("delay") == release
    assert (release.plan.stage, release.plan.generation) == ("full", 1)
    assert [(v.name, v.model, v.share) for v in release.plan.variants] == [
        ("champion", model.id, 1.0)
    ]
    assert releases.endpoints() == ("delay",)
    assert champion_of(stores) == model.id


def test_a_release_is_a_fact_with_its_models_and_the_release_before_as_parents(
    releases: ReleasesService, a_model: RegisterModel, stores: Stores
) -> None:
    one, two = a_model(1), a_model(2)
    first = releases.release("delay", one, why="first")
    second = releases.shadow("delay", two, why="try the second")
    entry = stores.ledger.get(second.id)
    assert entry is not None
    assert entry.parents == (one.id, two.id, first.id)
    assert (entry.actor, entry.reason) == ("ada", "try the second")


def test_a_candidate_goes_from_shadow_over_canary_to_champion(
    releases: ReleasesService, a_model: RegisterModel, stores: Stores
) -> None:
    one, two = a_model(1), a_model(2)
    releases.release("delay", one, why="first")
    shadow = releases.shadow("delay", two, why="s")
    assert [(v.role, v.share) for v in shadow.plan.variants] == [("live", 1.0), ("shadow", 0.0)]
    canary = releases.canary("delay", 0.25, why="c")
    assert [(v.role, v.share) for v in canary.plan.variants] == [("live", 0.75), ("live", 0.25)]
    more = releases.canary("delay", 0.5, why="more")
    # The same salt: whoever met the candidate meets it again.
    assert shadow.plan.salt == canary.plan.salt == more.plan.salt
    assert champion_of(stores) == one.id
    done = releases.promote("delay", why="p")
    assert [(v.name, v.model, v.share) for v in done.plan.variants] == [("champion", two.id, 1.0)]
    assert champion_of(stores) == two.id
    assert [r.plan.generation for r in releases.history("delay")] == [5, 4, 3, 2, 1]


def test_a_rollback_drops_the_candidate_under_way(
    releases: ReleasesService, a_model: RegisterModel, stores: Stores
) -> None:
    one, two = a_model(1), a_model(2)
    releases.release("delay", one, why="first")
    releases.shadow("delay", two, why="s")
    releases.canary("delay", 0.25, why="c")
    back = releases.rollback("delay", why="b")
    assert back.plan.stage == "full"
    assert [v.model for v in back.plan.variants] == [one.id]
    assert champion_of(stores) == one.id


def test_a_rollback_without_a_candidate_returns_to_the_champion_before(
    releases: ReleasesService, a_model: RegisterModel, stores: Stores
) -> None:
    one, two, three = a_model(1), a_model(2), a_model(3)
    for model in (one, two, three):
        releases.release("delay", model, why="next")
    assert releases.rollback("delay", why="three is bad").plan.variants[0].model == two.id
    assert champion_of(stores) == two.id
    # What was gone back from does not come back by going back once more.
    assert releases.rollback("delay", why="two as well").plan.variants[0].model == one.id
    with pytest.raises(NotFound, match="no earlier champion"):
        releases.rollback("delay", why="one, too?")
    releases.release("delay", three, why="mended")
    assert releases.rollback("delay", why="not at all").plan.variants[0].model == one.id


def test_without_an_earlier_champion_there_is_nothing_to_go_back_to(
    releases: ReleasesService, a_model: RegisterModel
) -> None:
    releases.release("delay", a_model(), why="first")
    with pytest.raises(NotFound, match="no earlier champion"):
        releases.rollback("delay", why="b")


@pytest.mark.parametrize("move", ["release", "shadow"])
@pytest.mark.parametrize(
    "options", [{"passed": False}, {"subject": "b3:" + "f" * 64}], ids=["refused", "of-another"]
)
def test_nothing_is_released_without_a_passing_verdict_of_its_own(
    releases: ReleasesService, a_model: RegisterModel, move: str, options: dict[str, object]
) -> None:
    releases.release("delay", a_model(1), why="first")
    with pytest.raises(Refused, match="no passing verdict") as caught:
        getattr(releases, move)("delay", a_model(2, **options), why="no")
    assert caught.value.code == "no-verdict"
    assert [r.plan.generation for r in releases.history("delay")] == [1]


def put_into(stage: str, releases: ReleasesService, a_model: RegisterModel) -> None:
    if stage == "none":
        return
    releases.release("delay", a_model(1), why="first")
    if stage in {"shadow", "canary"}:
        releases.shadow("delay", a_model(2), why="s")
    if stage == "canary":
        releases.canary("delay", 0.25, why="c")


@pytest.mark.parametrize(
    ("stage", "move", "error", "code"),
    [
        ("none", "shadow", NotFound, "no-release"),
        ("none", "canary", NotFound, "no-release"),
        ("none", "promote", NotFound, "no-release"),
        ("none", "rollback", NotFound, "no-release"),
        ("full", "canary", Conflict, "other-stage"),
        ("full", "promote", Conflict, "other-stage"),
        ("full", "rollback", NotFound, "no-earlier-release"),
        ("shadow", "shadow", Conflict, "other-stage"),
        ("canary", "shadow", Conflict, "other-stage"),
    ],
)
def test_every_illegal_move_is_refused_and_leaves_no_fact(
    releases: ReleasesService,
    a_model: RegisterModel,
    stage: str,
    move: str,
    error: type[Exception],
    code: str,
) -> None:
    put_into(stage, releases, a_model)
    third = a_model(3)
    before = releases.history("delay")
    moves: dict[str, Callable[[], object]] = {
        "shadow": lambda: releases.shadow("delay", third, why="x"),
        "canary": lambda: releases.canary("delay", 0.1, why="x"),
        "promote": lambda: releases.promote("delay", why="x"),
        "rollback": lambda: releases.rollback("delay", why="x"),
    }
    with pytest.raises(error) as caught:
        moves[move]()
    assert getattr(caught.value, "code", "") == code
    assert getattr(caught.value, "hint", "")
    assert releases.history("delay") == before


def test_the_champion_cannot_shadow_itself(
    releases: ReleasesService, a_model: RegisterModel
) -> None:
    model = a_model()
    releases.release("delay", model, why="first")
    with pytest.raises(Conflict, match="is the champion") as caught:
        releases.shadow("delay", model, why="x")
    assert caught.value.code == "is-champion"


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 2.0])
def test_a_canary_has_a_part_of_the_traffic_and_not_all_or_none(
    releases: ReleasesService, a_model: RegisterModel, share: float
) -> None:
    put_into("shadow", releases, a_model)
    with pytest.raises(Invalid, match="between 0 and 1"):
        releases.canary("delay", share, why="x")


def test_an_endpoint_has_a_name(releases: ReleasesService, a_model: RegisterModel) -> None:
    with pytest.raises(Invalid, match="endpoint"):
        releases.release("../delay", a_model(), why="x")


def test_of_two_people_who_decide_at_once_one_sees_a_conflict(
    releases: ReleasesService, a_model: RegisterModel
) -> None:
    put_into("canary", releases, a_model)
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def decide(move: Callable[..., object]) -> None:
        start.wait()
        try:
            move("delay", why="mine")
            outcomes.append("done")
        except Conflict as error:
            outcomes.append(error.code)
        except NotFound as error:
            outcomes.append(error.code)

    people = [
        threading.Thread(target=decide, args=(move,))
        for move in (releases.promote, releases.rollback)
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert "done" in outcomes
    # The generations count on without a gap or a double, whoever came first.
    generations = [r.plan.generation for r in releases.history("delay")]
    assert generations == list(range(len(generations), 0, -1))


def test_a_release_that_was_overtaken_is_a_conflict(
    stores: Stores, releases: ReleasesService, a_model: RegisterModel
) -> None:
    put_into("shadow", releases, a_model)
    seen = releases.current("delay")
    assert seen is not None
    releases.rollback("delay", why="a person was quicker")
    with pytest.raises(Conflict, match="another release") as caught:
        releases.apply(seen, judgement("advance"), canary_share=0.25)
    assert caught.value.code == "head-moved"
    assert releases.decisions("delay") == ()


@pytest.mark.parametrize(
    ("stage", "outcome", "becomes"),
    [
        ("shadow", "hold", "shadow"),
        ("shadow", "advance", "canary"),
        ("shadow", "rollback", "full"),
        ("canary", "hold", "canary"),
        ("canary", "promote", "full"),
        ("canary", "rollback", "full"),
    ],
)
def test_a_judgement_is_recorded_and_done(
    releases: ReleasesService,
    a_model: RegisterModel,
    stage: str,
    outcome: Outcome,
    becomes: str,
) -> None:
    put_into(stage, releases, a_model)
    seen = releases.current("delay")
    assert seen is not None
    after = releases.apply(seen, judgement(outcome), canary_share=0.25)
    assert after.plan.stage == becomes
    assert releases.current("delay") == after
    (decision,) = releases.decisions("delay")
    assert (decision.release, decision.outcome) == (seen.id, outcome)
    assert decision.findings[0].summary == "looked"
    if outcome != "hold":
        assert after.plan.why == "looked"


def test_the_log_mode_stays_until_it_is_changed(
    releases: ReleasesService, a_model: RegisterModel
) -> None:
    releases.release("delay", a_model(1), why="first", log_mode="monitor")
    releases.shadow("delay", a_model(2), why="s")
    assert releases.promote("delay", why="p").plan.log_mode == "monitor"
    assert releases.release("delay", a_model(3), why="x", log_mode="audit").plan.log_mode == "audit"


def test_endpoints_of_other_projects_are_nobody_s_business(
    stores: Stores, releases: ReleasesService, a_model: RegisterModel
) -> None:
    releases.release("delay", a_model(), why="first")
    from trivet.core.facts import Scope

    stranger = ReleasesService(stores, Scope(project="other", actor="eve"))
    assert stranger.current("delay") is None
    assert stranger.endpoints() == ()
    assert stranger.history("delay") == ()


def test_a_release_says_that_its_gate_was_overruled_and_by_whom(
    releases: ReleasesService, a_model: RegisterModel
) -> None:
    release = releases.release("delay", a_model(passed=False, overruled_by="bob"), why="needed")
    (found,) = release.plan.overruled
    assert (found.by, found.reason) == ("bob", "the old one is down")
    assert found.checks == ("quality",)
    assert "overruled" in describe_release(release)
    assert "by bob against quality" in describe_release(release)


def test_a_shadow_and_its_promotion_say_so_too_and_a_rollback_no_more(
    releases: ReleasesService, a_model: RegisterModel
) -> None:
    first = releases.release("delay", a_model(1), why="first")
    assert first.plan.overruled == ()
    doubtful = a_model(2, passed=False, overruled_by="bob")
    shadow = releases.shadow("delay", doubtful, why="try it")
    promoted = releases.promote("delay", why="looks well")
    for release in (shadow, promoted):
        assert [item.model for item in release.plan.overruled] == [doubtful.id]
    assert releases.rollback("delay", why="no").plan.overruled == ()


def test_an_override_of_another_refusal_does_not_count(
    releases: ReleasesService, a_model: RegisterModel
) -> None:
    model = a_model(3, passed=False, subject="b3:" + "e" * 64, overruled_by="bob")
    with pytest.raises(Refused, match="no passing verdict"):
        releases.release("delay", model, why="w")
