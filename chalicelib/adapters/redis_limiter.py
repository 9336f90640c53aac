"""Token buckets in Redis, one for all hosts."""

from chalicelib.adapters.memory_limiter import describe
from chalicelib.adapters.redis_connection import PAUSE_S, RedisConnection, Script
from chalicelib.errors import Unavailable
from chalicelib.ports import Decision, Limit, RateLimiter

_PREFIX = "iotflow:limit:"

# The state of a bucket is "owed:at": the microseconds that it needs to be full, counted at the instant `at`. When the
# server's clock runs back nothing is paid, and `at` follows it. The microsecond of grace is for rounding.
_TAKE = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local capacity, price = tonumber(ARGV[1]), tonumber(ARGV[2])
local owed, at = 0, now
local state = redis.call('GET', KEYS[1])
if state then
    local separator = string.find(state, ':', 1, true)
    owed, at = tonumber(string.sub(state, 1, separator - 1)), tonumber(string.sub(state, separator + 1))
end
owed = math.max(0, owed - math.max(0, now - at))
local short = owed + price - capacity
local allowed = short <= 1
if allowed then owed = owed + price end
if (allowed and price > 0) or now < at then
    redis.call('SET', KEYS[1], string.format('%.3f:%.0f', owed, now), 'PX', math.ceil(owed / 1000) + 1)
end
return {allowed and 1 or 0, string.format('%.3f', owed), string.format('%.3f', short)}
""")


class RedisLimiter:
    """Token buckets that all hosts share; when Redis is away, those of *fallback*: never open, never closed.

    Time is the server's (``TIME``), not the caller's `now_ms`, so that hosts whose clocks differ agree; only the
    fallback looks at `now_ms`. A bucket that is full again is not kept.

    Args:
        url: See `RedisConnection`.
        fallback: Decides while Redis is away.
        pause_s: How long Redis is left alone after it failed.

    Raises:
        ValueError: The URL is wrong.
    """

    def __init__(self, url: str, fallback: RateLimiter, *, pause_s: float = PAUSE_S) -> None:
        self._redis = RedisConnection(url, purpose="Rate limits", pause_s=pause_s)
        self._fallback = fallback

    def take(self, key: str, limit: Limit, *, now_ms: int, cost: int = 1) -> Decision:
        if cost < 0 or limit.per_s <= 0:
            message = "a rate limit needs a rate above 0 and a cost of 0 or more"
            raise ValueError(message)
        capacity_us, price_us = limit.burst / limit.per_s * 1e6, cost / limit.per_s * 1e6
        try:
            allowed, owed_us, short_us = self._redis.run(_TAKE, [_PREFIX + key], [capacity_us, price_us])
        except Unavailable:
            return self._fallback.take(key, limit, now_ms=now_ms, cost=cost)
        retry_after_s = 0.0 if allowed else float(short_us) / 1e6
        return describe(float(owed_us) / 1e6, limit, retry_after_s=retry_after_s)

    def check(self) -> None:
        self._redis.check()

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._redis.close()
