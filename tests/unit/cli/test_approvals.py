from collections.abc import Callable
from pathlib import Path
from typing import Any

from trivet.core.errors import Forbidden
from trivet.models.approvals import Approvals
from trivet.models.contents import Content
from trivet.workspace.workspace import open as open_workspace

Trivet = Callable[..., Any]


def ask(project: Path, actor: str) -> str:
    with open_workspace(project) as ws:
        approvals = Approvals(ws.stores, ws.acting_for(actor).scope)
        content = Content(model=None, label="nothing")
        try:
            approvals.demand("churn", "champion", lambda: content)
        except Forbidden as error:
            return error.detail["request"]
    raise AssertionError("it was not protected")


def test_an_alias_is_protected_asked_for_and_approved(project: Path, trivet: Trivet) -> None:
    said = trivet("models", "protect", "champion", "--approvals", "1", "--json")
    assert said.data == {"champion": 1}
    request = ask(project, "somebody-else")
    (waiting,) = trivet("models", "approve", "--json").data
    assert (waiting["id"], waiting["by"], waiting["state"]) == (request, "somebody-else", "open")
    assert trivet("models", "approve", request).code != 0
    said = trivet("models", "approve", request, "--reason", "seen", "--json")
    assert said.data["state"] == "approved"
    assert trivet("models", "approve", "--json").data == []
    told = trivet("models", "history", "churn@champion", "--json").data
    assert [each["id"] for each in told["requests"]] == [request]
    assert "churn@champion" in trivet("models", "history", "churn").out


def test_a_request_is_refused_once_and_for_all(project: Path, trivet: Trivet) -> None:
    trivet("models", "protect", "champion")
    request = ask(project, "somebody-else")
    said = trivet("models", "approve", request, "--refuse", "--reason", "not yet", "--json")
    assert said.data["state"] == "refused"
    assert trivet("models", "approve", request, "--reason", "after all").code != 0


def test_a_protection_is_lifted(trivet: Trivet) -> None:
    trivet("models", "protect", "champion")
    assert trivet("models", "protect", "champion", "--approvals", "0", "--json").data == {}
    assert "nothing is protected" in trivet("models", "protect").out
