"""Requests that no honest client sends: the corpus of known attacks, and strategies that make up more."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.api.hostile_corpus import BINARY, BODIES, FRAMINGS, JSON, NAMES, PATHS, QUERIES, TARGETS, TYPES, VALUES


class Hostile(NamedTuple):
    """One request; what it does not say is as usual."""

    method: bytes = b"POST"
    target: bytes = b"/api/v1/devices/telemetry"
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""
    framed: bool = True

    def wire(self, credentials: Sequence[tuple[bytes, bytes]]) -> bytes:
        """As it goes over the wire; unframed, it says itself how long its body is, or lies."""
        framing = [(b"Content-Length", b"%d" % len(self.body))] if self.framed else []
        headers = [(b"Host", b"x"), (b"Connection", b"close"), *credentials, *framing, *self.headers]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return self.method + b" " + self.target + b" HTTP/1.1\r\n" + head + b"\r\n" + self.body


QUERIED = [
    b"/api/v1/telemetry/1", b"/api/v1/telemetry/1/range", b"/api/v1/telemetry/1/aggregated", b"/health",
    b"/api/v1/admin/devices", b"/api/v1/admin/audit", b"/api/v1/admin/analytics", b"/api/v1/devices/telemetry",
]  # fmt: skip

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20)
)
_documents = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)
_known = st.sampled_from([
    "data", "readings", "timestamp", "ts", "values", "metadata", "device_id", "name", "device_type", "configuration",
    "config_key", "config_value", "data_type", "status", "overlap", "devices", "scopes", "tags", "fields", "metrics",
])  # fmt: skip


def _encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


_bodies = st.one_of(
    st.dictionaries(_known, _documents, max_size=4).map(_encoded),
    _documents.map(_encoded),
    st.binary(max_size=200),
    st.sampled_from(BODIES[:-3]).flatmap(lambda body: st.integers(0, min(len(body), 300)).map(lambda at: body[:at])),
)
_visible = st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\0\r\n"))
_targets = st.one_of(
    st.sampled_from(PATHS).map(str.encode),
    st.sampled_from(TARGETS),
    st.tuples(
        st.just(b"/api/v1/telemetry/1"), st.sampled_from([b"", b"/latest", b"/range", b"/aggregated"]), _visible
    ).map(lambda parts: parts[0] + parts[1] + b"?" + parts[2].replace(b" ", b"+")),
)
REQUESTS = st.builds(
    Hostile,
    method=st.sampled_from([b"POST", b"POST", b"POST", b"PUT", b"GET", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS"]),
    target=_targets,
    headers=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | _visible), max_size=3).map(
        lambda headers: [JSON, *headers]
    ),
    body=_bodies,
    framed=st.just(True),
)


def corpus() -> list[Hostile]:
    """Every known attack, each where it could hurt."""
    return [
        *(Hostile(target=path.encode(), headers=[JSON], body=body) for path in PATHS for body in BODIES),
        *(Hostile(headers=[(b"Content-Type", kind)], body=body) for kind in TYPES for body in (b'{"t": 1}', *BINARY)),
        *(Hostile(b"GET", b"/api/v1/devices/status", [(name, value)]) for name in NAMES for value in VALUES),
        *(Hostile(headers=[JSON, (name, value)], body=b'{"t": 1}') for name in NAMES for value in VALUES),
        *(Hostile(method, target) for method in (b"GET", b"DELETE", b"POST") for target in TARGETS),
        *(Hostile(b"GET", path + b"?" + query) for path in QUERIED for query in QUERIES),
        *(Hostile(headers=headers, body=body, framed=False) for headers, body in FRAMINGS),
    ]
