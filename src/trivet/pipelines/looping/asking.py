"""What a search is asked for, checked before the first trial."""

from collections.abc import Mapping

from trivet.core.facts import Scope
from trivet.pipelines.looping.budget import check_budget
from trivet.pipelines.looping.checking import (
    check_call,
    check_function,
    check_word,
    is_storable,
    unfit,
    whole,
)
from trivet.pipelines.looping.space import RESERVED, Parameter
from trivet.pipelines.looping.trials import Objective, wants_trial

SAMPLERS = ("tpe", "random")


def check_asked(  # each is an argument of `search`
    objective: object,
    budget: object,
    *,
    sampler: object,
    cost: object,
    workspace: object,
    name: object,
) -> None:
    """Demand arguments that a search can work with.

    Raises:
        Invalid: One is of another kind.
    """
    check_function(
        "the objective",
        objective,
        "a function of the parameters",
        code="bad-objective",
        hint="Pass the function itself: search(objective, space, ...).",
    )
    check_budget(budget)
    check_word("sampler", sampler, SAMPLERS, code="bad-sampler")
    check_function(
        "cost",
        cost,
        "a function of what the objective returned, or None",
        code="bad-cost",
        hint="Leave it out when the objective returns a mapping with a number under 'cost'.",
        optional=True,
    )
    _check_place(workspace)
    if name is not None and (not isinstance(name, str) or not is_storable(name)):
        raise unfit("name", name, "a text, or None", code="bad-name", hint='Pass name="my-search".')


def check_call_of(objective: Objective, space: Mapping[str, Parameter]) -> None:
    """Demand that the objective takes the parameters of the space, and needs no others.

    Raises:
        Invalid: It does not.
    """
    names = [*space, RESERVED] if wants_trial(objective) else [*space]
    check_call(
        "the objective",
        objective,
        ", ".join(names),
        hint="Give the space a parameter for each argument, and hand what is fixed over by "
        "functools.partial.",
        named=names,
    )


def check_seed(seed: object) -> int:
    """Return a seed as a plain whole number.

    Raises:
        Invalid: It is none.
    """
    number = whole(seed)
    if number is None:
        raise unfit("seed", seed, "a whole number", code="bad-seed", hint="Pass seed=0.")
    return number


def _check_place(workspace: object) -> None:
    if workspace is None or isinstance(getattr(workspace, "scope", None), Scope):
        return
    raise unfit(
        "workspace",
        workspace,
        "a Workspace, or None",
        code="bad-workspace",
        hint='Open it first: workspace=trivet.open(".").',
    )
