from typing import Any

import pytest

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid, NotFound
from trivet.http.routes import Method, Route, RouteTable


def route(path: str, method: Method = "GET", permission: Any = Permission.READ) -> Route[str]:
    return Route(method=method, path=path, permission=permission, handler=path, summary="")


def test_a_route_without_a_permission_stops_the_program_from_starting() -> None:
    for missing in (None, "read", 0):
        with pytest.raises(Invalid) as caught:
            RouteTable([route("/a", permission=missing)])
        assert caught.value.code == "no-permission-declared"


@pytest.mark.parametrize(
    ("one", "other"), [("/a", "/a"), ("/a/{x}", "/a/{y}"), ("/{x}/b", "/{y}/b")]
)
def test_two_routes_that_answer_the_same_stop_it_too(one: str, other: str) -> None:
    with pytest.raises(Invalid):
        RouteTable([route(one), route(other)])


def test_values_are_bound_by_name_and_fixed_paths_win() -> None:
    table = RouteTable([route("/models/{name}"), route("/models/best")])
    assert table.match("GET", "/models/churn").parameters == {"name": "churn"}
    assert table.match("GET", "/models/best").route.path == "/models/best"


@pytest.mark.parametrize("path", ["/", "/models", "/models/", "/models/a/b", "models/a", "//a"])
def test_a_path_that_no_route_has_is_not_found(path: str) -> None:
    table = RouteTable([route("/models/{name}")])
    with pytest.raises(NotFound):
        table.match("GET", path)


def test_another_method_of_a_known_path_is_told_apart() -> None:
    table = RouteTable([route("/models/{name}"), route("/x")])
    for path in ("/models/a", "/x"):
        with pytest.raises(Invalid) as caught:
            table.match("POST", path)
        assert caught.value.code == "other-method"


@pytest.mark.parametrize("path", ["a", "/a//b", "/a/", "/{X}", "/a b", "/{x"])
def test_a_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        RouteTable([route(path)])
