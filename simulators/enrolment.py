"""How a simulated device comes by its key: it registers, or goes on with the key of an earlier run."""

import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from simulators.client import Answer


class OnDuplicate(StrEnum):
    """What a device does when its name is taken."""

    REUSE = "reuse"
    """Goes on with the key saved for the name; where there is none, or it is dead, takes a suffix."""
    SUFFIX = "suffix"
    """Registers as another device, under its name and a random suffix."""
    FAIL = "fail"
    """Gives up."""


class Keys(Protocol):
    """Keys of earlier runs, by device name."""

    def get(self, name: str) -> str | None:
        """Return the device's key, or None when none is known."""

    def put(self, name: str, api_key: str) -> None:
        """Keep the device's key, in place of an earlier one."""


class Registrar(Protocol):
    """Gives devices their keys."""

    def register(self, record: Mapping[str, str], *, idempotency_key: str) -> Answer:
        """Register a device. Good: 201 with ``device.id`` and ``device.api_key``; 409: name taken. Raises NoAnswer."""

    def status(self, api_key: str) -> Answer:
        """Ask whose key it is. Good: 200 with ``device.id``; 401: the key is of no use. Raises NoAnswer."""


class Enrolled(NamedTuple):
    """A device with a key. `how` is ``registered``, ``reused``, ``renamed``, or ``given`` on the command line."""

    name: str
    device_id: str
    api_key: str
    how: str


class Enrolment:
    """The way of one device to its key, repeated until it succeeds or is refused for good.

    Args:
        record: what the device registers with; its ``name`` may get a suffix.
        client: whom to ask.
        keys: where keys are kept between runs.
        on_duplicate: what to do when the name is taken.
    """

    def __init__(self, record: dict[str, str], *, client: Registrar, keys: Keys, on_duplicate: OnDuplicate) -> None:
        self._record = record
        self._client = client
        self._keys = keys
        self._on_duplicate = on_duplicate
        self._how = "registered"
        self._idempotency_key = secrets.token_hex(16)

    def attempt(self) -> Enrolled | Answer:
        """Try once: the key, or the answer that stands in the way (retryable or final).

        Raises:
            NoAnswer: try again; a registration that did happen gives the same key then.
        """
        answer = self._register()
        if not isinstance(answer, Enrolled) and answer.status == 409 and self._how == "registered":
            return self._resolve_duplicate(answer)
        return answer

    def _register(self) -> Enrolled | Answer:
        answer = self._client.register(self._record, idempotency_key=self._idempotency_key)
        device = answer.body.get("device", {})
        if answer.status != 201 or "api_key" not in device:
            return answer
        self._keys.put(self._record["name"], device["api_key"])
        return Enrolled(self._record["name"], str(device["id"]), device["api_key"], self._how)

    def _resolve_duplicate(self, refusal: Answer) -> Enrolled | Answer:
        if self._on_duplicate is OnDuplicate.FAIL:
            return refusal
        saved = self._keys.get(self._record["name"]) if self._on_duplicate is OnDuplicate.REUSE else None
        if saved is not None:
            answer = self._client.status(saved)
            if answer.status == 200:
                return Enrolled(self._record["name"], str(answer.body["device"]["id"]), saved, "reused")
            if answer.status != 401:
                return answer
        self._how = "renamed"
        self._record["name"] += f"-{secrets.token_hex(3)}"
        self._idempotency_key = secrets.token_hex(16)
        return self._register()
