"""Which resource answers a path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.router import Router

ROUTER = Router(
    [
        "/",
        "/items",
        "/items/newest",
        "/items/{id}",
        "/items/{id}/parts/{part}",
        "/items/{name}/parts",
        "/{kind}/newest/x",
    ]
)
SEGMENT = st.text("abcXYZ019%._~-", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        ("/", "/", {}),
        ("/items", "/items", {}),
        ("/items/", "/items", {}),
        ("/items/newest", "/items/newest", {}),
        ("/items/newest/parts", "/items/{name}/parts", {"name": "newest"}),
        ("/items/newest/x", "/{kind}/newest/x", {"kind": "items"}),
        ("/items/7", "/items/{id}", {"id": "7"}),
        ("/items/a%2Fb/", "/items/{id}", {"id": "a%2Fb"}),
        ("/items/7/parts/8", "/items/{id}/parts/{part}", {"id": "7", "part": "8"}),
    ],
)
def test_path_finds_its_resource(path: str, resource: str, parameters: dict[str, str]) -> None:
    """Static segments first; a name belongs to its own resource; one trailing slash is tolerated."""
    assert ROUTER.match(path) == (resource, parameters)


@pytest.mark.parametrize(
    "path", ["", "/nothing", "/items//", "/items//parts", "/items/7/x", "/items/7/parts//", "/items/7/parts/8/9"]
)
def test_path_without_resource_finds_none(path: str) -> None:
    """A captured segment is never empty, and nothing matches in part."""
    assert ROUTER.match(path) is None


@given(st.lists(SEGMENT, min_size=1, max_size=6))
def test_captured_segments_put_into_the_resource_give_the_path(segments: list[str]) -> None:
    """What is found fits: the resource with its parameters filled in is the path."""
    path = "/" + "/".join(segments)
    found = ROUTER.match(path)
    if found is not None:
        assert found.resource.format(**found.parameters) == path


@given(st.lists(st.one_of(SEGMENT, st.sampled_from(["{a}", "{b}", "{c}"])), min_size=1, max_size=5, unique=True))
def test_resource_is_found_under_any_values(parts: list[str]) -> None:
    """Every declared resource answers."""
    values = {"a": "1", "b": "2", "c": "3"}
    resource = "/" + "/".join(parts)
    path = "/" + "/".join(values[part[1:-1]] if part.startswith("{") else part for part in parts)
    found = Router([resource]).match(path)
    assert found is not None
    assert found.resource == resource
