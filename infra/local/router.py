"""Which resource a path means, as API Gateway decides: static segments win over captured ones."""

from collections.abc import Iterable
from typing import NamedTuple


class Match(NamedTuple):
    """The resource, as declared (``/devices/{id}``), and its captured segments, percent-encoded as they came."""

    resource: str
    parameters: dict[str, str]


class _Node:
    __slots__ = ("captured", "names", "resource", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node] = {}
        self.captured: _Node | None = None
        self.resource: str | None = None
        self.names: tuple[str, ...] = ()


class Router:
    """Finds resources by path. One trailing slash is tolerated; a captured segment is never empty.

    Args:
        resources: Declared paths; ``{name}`` captures one segment.
    """

    def __init__(self, resources: Iterable[str]) -> None:
        self._plain: dict[str, Match] = {}
        self._root = _Node()
        for resource in resources:
            if "{" in resource:
                self._add(resource)
            else:
                self._plain[resource] = Match(resource, {})

    def match(self, path: str) -> Match | None:
        """The resource of *path*, which is percent-encoded and begins with a slash; None when there is none."""
        if len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        plain = self._plain.get(path)
        if plain is not None:
            return plain
        found = _walk(self._root, path.split("/")[1:], ())
        if found is None:
            return None
        node, captured = found
        return Match(node.resource or "", dict(zip(node.names, captured, strict=True)))

    def _add(self, resource: str) -> None:
        node, names = self._root, []
        for segment in resource.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.captured = node.captured or _Node()
                node = node.captured
            else:
                node = node.static.setdefault(segment, _Node())
        node.resource, node.names = resource, tuple(names)


def _walk(node: _Node, segments: list[str], captured: tuple[str, ...]) -> tuple[_Node, tuple[str, ...]] | None:
    if not segments:
        return (node, captured) if node.resource is not None else None
    first, rest = segments[0], segments[1:]
    static = node.static.get(first)
    found = _walk(static, rest, captured) if static is not None else None
    if found is None and node.captured is not None and first:
        found = _walk(node.captured, rest, (*captured, first))
    return found
