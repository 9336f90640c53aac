"""Who may connect: the same keys, tokens and limits as over HTTP, told in MQTT's words."""

import hmac
import logging
from collections import Counter
from dataclasses import replace

from chalicelib import access, keys
from chalicelib.access import Principal
from chalicelib.errors import AppError, Forbidden, InvalidInput, TooMany, Unauthorized
from chalicelib.model import DEFAULT_TENANT, Device, DeviceRef, DeviceStatus, Scope
from chalicelib.ports import Decision, Limit, RateLimiter
from chalicelib.wiring import Services
from mqtt_bridge.clients import Client, Role
from mqtt_bridge.packets import Connect
from mqtt_bridge.reasons import Reason

log = logging.getLogger(__name__)


class Admission:
    """Checks addresses and credentials, and counts connections.

    Args:
        services: Credentials, devices and settings.
        limiter: In this process: asked once for every message, a shared one would cost a round trip each time.
    """

    def __init__(self, services: Services, limiter: RateLimiter) -> None:
        self._services = services
        self._limiter = limiter
        settings = services.settings
        self._message_limit = Limit(settings.device_burst, settings.device_rate_per_minute / 60)
        self._addresses: Counter[str] = Counter()
        self._owners: Counter[str] = Counter()

    @property
    def connections(self) -> int:
        """How many are open, signed in or not."""
        return self._addresses.total()

    def arrive(self, address: str, *, now_ms: int) -> bool:
        """Count a new connection; False when *address* has too many, or made too many lately."""
        self._addresses[address] += 1
        if self._addresses[address] > self._services.settings.mqtt_connections_per_address:
            return False
        limit = _per_minute(self._services.settings.address_rate_per_minute)
        return self._limiter.take(f"address:{address}", limit, now_ms=now_ms).allowed

    def forget(self, client: Client) -> None:
        """A client that had signed in was not let in after all."""
        _decrement(self._owners, client.owner)

    def depart(self, address: str, client: Client | None) -> None:
        """A connection has ended."""
        _decrement(self._addresses, address)
        if client is not None:
            _decrement(self._owners, client.owner)

    def sign_in(self, connect: Connect, address: str, *, now_ms: int) -> Client:
        """The client that *connect* is from.

        Raises:
            Unauthorized: The credential is not valid, or there is none and it takes one.
            Forbidden: Inactive, or a token that may not read telemetry.
            TooMany: Too many refusals from this address, or connections of this device.
            Unavailable: The records do not answer.
        """
        try:
            client = self._identify(connect, address, now_ms)
        except Unauthorized:
            limit = _per_minute(self._services.settings.failed_auth_per_minute)
            if not self._limiter.take(f"auth:{address}", limit, now_ms=now_ms).allowed:
                raise TooMany("Too many refused credentials from this address", retry_after_s=60) from None
            raise
        most = self._services.settings.mqtt_connections_per_device
        if client.role is Role.DEVICE and self._owners[client.owner] >= most:
            message = f"A device has at most {most} connections"
            raise TooMany(message, retry_after_s=60)
        self._owners[client.owner] += 1
        return client

    def charge(self, client: Client | None, count: int, *, now_ms: int) -> Decision:
        """Count packets of *client* against the device's limit."""
        owner = client.owner if client is not None else ""
        return self._limiter.take(owner, self._message_limit, now_ms=now_ms, cost=count)

    def allows_registration(self, address: str, *, now_ms: int) -> bool:
        """Count a registration against the limit of *address*."""
        limit = _per_minute(self._services.settings.registrations_per_minute)
        return self._limiter.take(f"register:{address}", limit, now_ms=now_ms).allowed

    def check_again(self, client: Client, *, now_ms: int) -> Client | Reason:
        """The client as he is now, or why he has to go: his key is revoked, his device inactive or gone."""
        if not client.credential_id:
            return client
        credential = self._services.credentials.get(client.credential_id)
        if credential is None or not credential.alive(now_ms):
            return Reason.NOT_AUTHORIZED
        if client.role is Role.READER:
            may_read = bool({Scope.TELEMETRY_READ, Scope.ADMIN} & credential.scopes)
            return replace(client, expires_ms=credential.expires_ms) if may_read else Reason.NOT_AUTHORIZED
        device = self._services.devices.get(DeviceRef(client.tenant, credential.device_id or 0))
        if device is None:
            return Reason.NOT_AUTHORIZED
        if device.status is DeviceStatus.INACTIVE:
            return Reason.ADMINISTRATIVE_ACTION
        return replace(client, device=device, expires_ms=credential.expires_ms)

    def _identify(self, connect: Connect, address: str, now_ms: int) -> Client:
        username, password = connect.username or "", _decoded(connect.password)
        key = next((text for text in (password, username) if keys.parse_key(text)), "")
        settings = self._services.settings
        if not key:
            role = Role.LEGACY if settings.mqtt_legacy else self._enrollee(username, password)
            return Client(role=role, owner=f"{role.value}:{address}", tenant=DEFAULT_TENANT, address=address)
        principal = access.authenticate(
            key,
            credentials=self._services.credentials,
            devices=self._services.devices,
            pepper=self._services.pepper,
            now_ms=now_ms,
        )
        if principal.device is not None and username not in {"", key, str(principal.device.id), principal.device.name}:
            raise Unauthorized("The user name is that of another device")
        parsed = keys.parse_key(key)
        credential = self._services.credentials.get(parsed.id) if parsed else None
        return Client(
            role=_role(principal),
            owner=f"{principal.tenant}/{principal.name}",
            tenant=principal.tenant,
            address=address,
            device=principal.device,
            credential_id=parsed.id if parsed else "",
            expires_ms=credential.expires_ms if credential else None,
        )

    def _enrollee(self, username: str, password: str) -> Role:
        """Without a key: only to register, where that is open or the enrolment token is the password."""
        openness = self._services.openness
        expected = openness.enrollment
        if expected and hmac.compare_digest(password.encode(), expected.encode()):
            return Role.ENROLLEE
        if openness.registration and not username and not password:
            return Role.ENROLLEE
        raise Unauthorized("The credential is not valid")


def refusal(error: AppError) -> Reason:
    """What a CONNACK says of *error*."""
    match error:
        case Unauthorized():
            return Reason.BAD_USER_OR_PASSWORD
        case Forbidden():
            return Reason.NOT_AUTHORIZED
        case TooMany():
            return Reason.CONNECTION_RATE_EXCEEDED
        case InvalidInput():
            return Reason.IMPLEMENTATION_SPECIFIC
        case _:
            return Reason.SERVER_UNAVAILABLE


def device_owner(device: Device) -> str:
    """The owner of the sessions of *device*."""
    return f"{device.tenant}/device:{device.id}"


def _role(principal: Principal) -> Role:
    if principal.device is None:
        access.permit(principal, access.READER)
        return Role.READER
    access.permit(principal, access.DEVICE)
    return Role.DEVICE


def _decoded(password: bytes | None) -> str:
    return (password or b"").decode("utf-8", "replace")


def _decrement(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


def _per_minute(calls: int) -> Limit:
    return Limit(max(1, calls), calls / 60)
