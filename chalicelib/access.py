"""Who is calling, and what may they touch: the only place where a credential becomes a principal.

Every endpoint declares an `Access`; objects are checked here against (tenant, object), so that somebody else's
device and one that does not exist look the same.
"""

import hmac
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from chalicelib import keys
from chalicelib.errors import Forbidden, NotFound, Unauthorized
from chalicelib.model import (
    DEFAULT_TENANT,
    Credential,
    CredentialKind,
    Device,
    DeviceRef,
    DeviceStatus,
    Scope,
)
from chalicelib.ports import CredentialRepository, DeviceRepository


class Who(Enum):
    """Who may call an endpoint."""

    ANYONE = "anyone"
    ENROLLEE = "enrollee"
    DEVICE = "device"
    READER = "reader"
    OWNER = "owner"
    OPERATOR = "operator"
    TOKEN = "token"  # noqa: S105 - a kind of caller, not a secret


class Access(NamedTuple):
    """An endpoint's declared policy. `scope` is what a token needs."""

    who: Who
    scope: Scope | None = None


ANYONE = Access(Who.ANYONE)
ENROLLEE = Access(Who.ENROLLEE)
DEVICE = Access(Who.DEVICE)
READER = Access(Who.READER, Scope.TELEMETRY_READ)
OWNER = Access(Who.OWNER, Scope.COMMANDS_WRITE)
"""The device itself, or a token that may send it commands; never open."""
OPERATOR = Access(Who.OPERATOR)


def token(scope: Scope) -> Access:
    """Callers with a token of this scope."""
    return Access(Who.TOKEN, scope)


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, known.

    Attributes:
        name: For audit and idempotency: ``device:12``, ``token:ops``, ``anonymous``.
        device: The calling device itself, or None.
        scopes: What the caller's token may do.
    """

    tenant: str
    name: str
    device: Device | None = None
    scopes: frozenset[str] = frozenset()

    def may(self, scope: Scope) -> bool:
        """Whether the caller's token includes *scope*."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


ANONYMOUS = Principal(DEFAULT_TENANT, "anonymous")


class Presented(NamedTuple):
    """What came with a call: the key or token, and the enrolment token."""

    key: str = ""
    enrollment: str = ""


class Openness(NamedTuple):
    """What the stage leaves open: see `settings`. `enrollment` is the expected token, empty when none is set."""

    operator_pages: bool
    telemetry: bool
    registration: bool
    enrollment: str = ""


def presented(x_api_key: str, authorization: str, enrollment: str = "") -> Presented:
    """Pick the credential out of the headers: ``X-API-Key: K``, ``Authorization: Bearer K`` or ``admin K``."""
    if x_api_key:
        return Presented(x_api_key.strip(), enrollment)
    scheme, _, rest = authorization.partition(" ")
    return Presented(rest.strip() if scheme.lower() in {"bearer", "admin"} else "", enrollment)


def authenticate(
    key: str, *, credentials: CredentialRepository, devices: DeviceRepository, pepper: bytes, now_ms: int
) -> Principal:
    """Turn a key or token into the principal that holds it.

    Raises:
        Unauthorized: No key, a mistyped one, or one that is unknown, expired or revoked; the text is the same for all
            but the first.
    """
    if not key:
        message = "This call needs a credential: X-API-Key, or Authorization: Bearer"
        raise Unauthorized(message)
    parsed = keys.parse_key(key)
    credential = credentials.get(parsed.id) if parsed is not None else None
    matching = keys.matches(key, credential, pepper)
    if credential is None or not matching or not credential.alive(now_ms):
        raise _refused()
    return _principal(credential, devices)


def _refused() -> Unauthorized:
    message = "The credential is not valid"
    return Unauthorized(message)


def _principal(credential: Credential, devices: DeviceRepository) -> Principal:
    if credential.kind is CredentialKind.TOKEN:
        return Principal(credential.tenant, f"token:{credential.name}", scopes=credential.scopes)
    device = devices.get(DeviceRef(credential.tenant, credential.device_id or 0))
    if device is None:
        raise _refused()
    return Principal(credential.tenant, f"device:{device.id}", device=device)


def is_open(access: Access, offered: Presented, openness: Openness) -> bool:
    """Whether the endpoint can be called without a credential of one's own.

    Raises:
        Unauthorized: Registration needs an enrolment token, and none or a wrong one was offered.
    """
    match access.who:
        case Who.ANYONE:
            return True
        case Who.ENROLLEE:
            return _may_enroll(offered.enrollment, openness)
        case Who.OPERATOR:
            return openness.operator_pages and not offered.key
        case Who.READER:
            return openness.telemetry and not offered.key
        case _:
            return False


def _may_enroll(enrollment: str, openness: Openness) -> bool:
    if openness.registration or (
        openness.enrollment and hmac.compare_digest(enrollment.encode(), openness.enrollment.encode())
    ):
        return True
    message = "Registration needs the enrolment token in X-Enrollment-Token"
    raise Unauthorized(message, field="X-Enrollment-Token")


def permit(principal: Principal, access: Access) -> None:
    """Check the kind of caller and its scope.

    Raises:
        Forbidden: Known, but not for this.
    """
    device = principal.device
    if device is not None and device.status is DeviceStatus.INACTIVE:
        message = "This device is inactive; an administrator can lift that"
        raise Forbidden(message, code="device_inactive")
    if access.who is Who.DEVICE and device is None:
        message = "This call is for devices: it needs a device's key"
        raise Forbidden(message, code="device_only")
    if access.who in {Who.TOKEN, Who.OPERATOR} and device is not None:
        message = "This call needs a token, not a device's key"
        raise Forbidden(message, code="token_only")
    if device is None and access.scope is not None and not principal.may(access.scope):
        message = f"The token lacks the scope {access.scope}"
        raise Forbidden(message, code="scope_missing")


def visible_device(principal: Principal, device_id: int, *, devices: DeviceRepository) -> Device:
    """The device that *principal* may see under this id. The endpoint's `Access` has settled what may be done.

    Raises:
        NotFound: No such device, or not the caller's: the answers are the same.
    """
    own = principal.device
    device = own if own is not None else devices.get(DeviceRef(principal.tenant, device_id))
    if device is None or device.id != device_id:
        message = "There is no such device"
        raise NotFound(message, field="device_id")
    return device
