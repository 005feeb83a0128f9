from typing import Any

import pytest

from trivet.access.permissions import Permission
from trivet.core.errors import Invalid, NotFound
from trivet.http.routes import Method, Route, RouteTable, under


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


def test_the_rest_of_a_path_is_one_value() -> None:
    table = RouteTable([route("/files/{path...}"), route("/files/{name}/size"), route("/files")])
    for path in ("a", "a/b/c", "a b/ä", "../../etc", "a//b", "a/"):
        assert table.match("GET", f"/files/{path}").parameters == {"path": path}
    assert table.match("GET", "/files/a/size").route.path == "/files/{name}/size"
    assert table.match("GET", "/files").route.path == "/files"


@pytest.mark.parametrize("path", ["/files/", "/file/a", "/files"])
def test_a_rest_is_never_empty(path: str) -> None:
    with pytest.raises(NotFound):
        RouteTable([route("/files/{path...}")]).match("GET", path)


def test_a_rest_that_is_no_text_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        RouteTable([route("/files/{path...}")]).match("GET", "/files/a\ufffdb")
    assert caught.value.code == "bad-path"


@pytest.mark.parametrize("path", ["/{path...}/a", "/a{path...}", "/{...}", "/{path..}"])
def test_a_rest_stands_at_the_end_and_has_a_name(path: str) -> None:
    with pytest.raises(Invalid):
        RouteTable([route(path)])


def test_where_two_patterns_fit_the_earlier_fixed_part_wins_whatever_their_order() -> None:
    routes = [route("/{project}/health"), route("/data/{name}"), route("/{project}/{path...}")]
    for some in (routes, routes[::-1]):
        table = RouteTable(some)
        assert table.match("GET", "/data/health").route.path == "/data/{name}"
        assert table.match("GET", "/left/health").route.path == "/{project}/health"
        assert table.match("GET", "/left/other").route.path == "/{project}/{path...}"


def test_a_table_lives_under_a_prefix_too() -> None:
    routes = [route("/health"), route("/files/{path...}")]
    table = RouteTable([*routes, *under("/{project}", routes)])
    assert table.match("GET", "/left/health").parameters == {"project": "left"}
    found = table.match("GET", "/left/files/a/b")
    assert found.parameters == {"project": "left", "path": "a/b"}


def test_head_is_answered_where_get_is_and_nowhere_else() -> None:
    table = RouteTable([route("/a"), route("/b", "POST")])
    assert table.match("HEAD", "/a").route.path == "/a"
    with pytest.raises(Invalid) as caught:
        table.match("HEAD", "/b")
    assert caught.value.code == "other-method"


def test_a_stream_without_a_limit_stops_the_program_from_starting() -> None:
    endless = Route(
        method="PUT",
        path="/a",
        permission=Permission.READ,
        handler="",
        summary="",
        is_streamed=True,
    )
    with pytest.raises(Invalid) as caught:
        RouteTable([endless])
    assert caught.value.code == "bad-route"
