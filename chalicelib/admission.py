"""Who is let in: identification under a declared policy, rate limits, and the record of refusals."""

import logging

from chalicelib import access
from chalicelib.access import Access, Who
from chalicelib.calls import Call
from chalicelib.declare import Endpoint, limit_key
from chalicelib.errors import AppError, Forbidden, TooMany, Unauthorized, Unavailable
from chalicelib.model import AuditEntry
from chalicelib.ports import Limit
from chalicelib.wiring import services

log = logging.getLogger("iotflow.http")


def require(call: Call, policy: Access) -> None:
    """Identify the caller under *policy* and refuse him if it is not met.

    Raises:
        Unauthorized: No credential, or one that is not valid.
        Forbidden: Known, but not for this.
        TooMany: Too many refused credentials from this address.
    """
    current = services()
    offered = call.presented
    try:
        if access.is_open(policy, offered, current.openness):
            return
        call.principal = access.authenticate(
            offered.key,
            credentials=current.credentials,
            devices=current.devices,
            pepper=current.pepper,
            now_ms=call.now_ms,
        )
    except Unauthorized:
        _take(f"auth:{call.address}", _per_minute(current.settings.failed_auth_per_minute), call)
        raise
    access.permit(call.principal, policy)


def limit_address(call: Call) -> None:
    """Count the call against its address, before anything is known of the caller.

    Raises:
        TooMany: Over the limit.
    """
    _take(f"address:{call.address}", _per_minute(services().settings.address_rate_per_minute), call)


def limit_caller(declared: Endpoint, call: Call) -> None:
    """Count the call against the endpoint's own limit, and tell the caller what is left of it.

    Raises:
        TooMany: Over the limit.
    """
    if declared.limit is None:
        return
    device = call.principal.device
    key = limit_key(declared.limit, device.ref if device else None, call.address)
    _take(key, declared.limit.pick(services().settings), call, told=True)


def audit_refusal(declared: Endpoint, call: Call, error: AppError) -> None:
    """Keep who tried what they may not: refused identities and rights, not every anonymous call without a key."""
    known = call.principal is not access.ANONYMOUS
    if not isinstance(error, Forbidden | Unauthorized) or (declared.access.who is Who.READER and not known):
        return
    if not known and not call.presented.key:
        return
    who = call.principal
    entry = AuditEntry(who.tenant, call.now_ms, who.name, declared.name, "", error.code, call.address)
    try:
        services().audit.append(entry)
    except Unavailable:
        log.warning("The audit log does not answer; a refusal of %s is not recorded", declared.name)


def _per_minute(calls: int) -> Limit:
    return Limit(max(1, calls), calls / 60)


def _take(key: str, limit: Limit, call: Call, *, told: bool = False) -> None:
    decision = services().limiter.take(key, limit, now_ms=call.now_ms)
    if told or not decision.allowed:
        call.answer_headers["RateLimit-Limit"] = str(limit.burst)
        call.answer_headers["RateLimit-Remaining"] = str(decision.remaining if decision.allowed else 0)
        call.answer_headers["RateLimit-Reset"] = str(int(decision.reset_s) + 1)
    if not decision.allowed:
        message = "Too many requests; slow down"
        window_s = max(1, round(limit.burst / limit.per_s))
        raise TooMany(message, retry_after_s=int(decision.retry_after_s) + 1, limit=str(limit.burst), window_s=window_s)
