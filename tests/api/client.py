"""An HTTP client that adds nothing of its own, and shows status, headers and body as they came."""

import gzip
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The machine word of an error."""
        word: str = self.json["code"]
        return word

    def unpacked(self) -> Self:
        """The answer with its gzip body as text."""
        return type(self)(self.status, self.headers, gzip.decompress(self.body))


@dataclass(frozen=True)
class Client:
    """Calls one service, each call on a connection of its own.

    Attributes:
        url: The service.
        headers: Sent with every call.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def having(self, **headers: str) -> "Client":
        """A client that also sends *headers*; ``x_api_key`` stands for ``X-API-Key``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(self.url, {**self.headers, **named})

    def with_key(self, key: str) -> "Client":
        """A client that is a device."""
        return self.having(X_API_Key=key)

    def with_token(self, token: str) -> "Client":
        """A client that is a person or a program."""
        return self.having(Authorization=f"Bearer {token}")

    def call(self, method: str, path: str, body: bytes | None = None, /, **headers: str) -> Answer:
        """Send exactly this."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, address.path + path, body, self.having(**headers).headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.call("GET", path, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        """DELETE."""
        return self.call("DELETE", path, **headers)

    def post(self, path: str, document: Any = None, **headers: str) -> Answer:
        """POST a JSON document, or nothing at all."""
        return self._send("POST", path, document, headers)

    def put(self, path: str, document: Any = None, **headers: str) -> Answer:
        """PUT a JSON document."""
        return self._send("PUT", path, document, headers)

    def _send(self, method: str, path: str, document: Any, headers: dict[str, str]) -> Answer:
        if document is None:
            return self.call(method, path, **headers)
        return self.call(method, path, json.dumps(document).encode(), **{"Content_Type": "application/json", **headers})
