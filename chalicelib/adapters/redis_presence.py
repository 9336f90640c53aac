"""Presence in Redis, one for all hosts."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from chalicelib.adapters.redis_connection import PAUSE_S, RedisConnection, Script
from chalicelib.model import DeviceRef, Sighting

_Item = TypeVar("_Item")

CHUNK = 500
"""Devices a script call: Redis does nothing else meanwhile, for about 1 ms."""

# A tenant's devices are in one of two sorted sets, by the time of their newest sighting: those that were there, and
# those that said goodbye.
_MARK = Script("""
for i = 1, #ARGV, 3 do
    local id, at, online = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2] == '1'
    local here, left = redis.call('ZSCORE', KEYS[1], id), redis.call('ZSCORE', KEYS[2], id)
    local known = tonumber(here or left) or -math.huge
    if at > known or (at == known and not online) then
        redis.call('ZADD', online and KEYS[1] or KEYS[2], ARGV[i + 1], id)
        redis.call('ZREM', online and KEYS[2] or KEYS[1], id)
    end
end
""")
_READ = Script("""
local scores = {}
for i = 1, #ARGV do
    scores[2 * i - 1] = redis.call('ZSCORE', KEYS[1], ARGV[i])
    scores[2 * i] = redis.call('ZSCORE', KEYS[2], ARGV[i])
end
return scores
""")
_ONLINE = Script("return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf')")
_FORGET = Script("""
for i = 1, #ARGV do
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
end
""")


class RedisPresence:
    """The newest sighting of every device. At the same millisecond the goodbye wins, whatever the order.

    Every method raises `Unavailable` while Redis is away, at once when it failed less than *pause_s* ago; presence is
    worth little enough that callers go on without it.

    Args:
        url: See `RedisConnection`.
        pause_s: How long Redis is left alone after it failed.

    Raises:
        ValueError: The URL is wrong.
    """

    def __init__(self, url: str, *, pause_s: float = PAUSE_S) -> None:
        self._redis = RedisConnection(url, purpose="Presence", pause_s=pause_s)

    def mark(self, sightings: Sequence[Sighting]) -> None:
        by_tenant: defaultdict[str, list[Sighting]] = defaultdict(list)
        for sighting in sightings:
            by_tenant[sighting.device.tenant].append(sighting)
        for tenant, of_tenant in by_tenant.items():
            for chunk in _chunks(of_tenant):
                arguments = [value for seen in chunk for value in (seen.device.id, seen.at_ms, int(seen.online))]
                self._redis.run(_MARK, _keys(tenant), arguments)

    def read(self, devices: Sequence[DeviceRef]) -> dict[DeviceRef, Sighting]:
        found = {}
        for tenant, ids in _by_tenant(devices).items():
            for chunk in _chunks(ids):
                scores = self._redis.run(_READ, _keys(tenant), chunk)
                for device_id, here, left in zip(chunk, scores[::2], scores[1::2], strict=True):
                    if here is not None or left is not None:
                        device = DeviceRef(tenant, device_id)
                        found[device] = Sighting(device, int(float(here or left)), here is not None)
        return found

    def online(self, tenant: str, *, since_ms: int) -> frozenset[int]:
        return frozenset(map(int, self._redis.run(_ONLINE, _keys(tenant), [since_ms])))

    def forget(self, devices: Iterable[DeviceRef]) -> None:
        for tenant, ids in _by_tenant(devices).items():
            for chunk in _chunks(ids):
                self._redis.run(_FORGET, _keys(tenant), chunk)

    def check(self) -> None:
        self._redis.check()

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._redis.close()


def _keys(tenant: str) -> list[str]:
    """The braces keep both keys of a tenant on one node of a cluster."""
    return [f"iotflow:presence:{{{tenant}}}:here", f"iotflow:presence:{{{tenant}}}:left"]


def _by_tenant(devices: Iterable[DeviceRef]) -> dict[str, list[int]]:
    by_tenant: defaultdict[str, list[int]] = defaultdict(list)
    for device in devices:
        by_tenant[device.tenant].append(device.id)
    return by_tenant


def _chunks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
