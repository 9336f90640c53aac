"""REDIS_URL is understood or refused in words that keep the password."""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.memory_limiter import MemoryLimiter
from chalicelib.adapters.redis_connection import parse_url
from chalicelib.adapters.redis_limiter import RedisLimiter


@pytest.mark.parametrize(
    ("url", "scheme", "arguments"),
    [
        ("redis://localhost", "redis", {"host": "localhost", "port": 6379, "db": 0}),
        ("redis://10.0.0.5:6380/2", "redis", {"host": "10.0.0.5", "port": 6380, "db": 2}),
        ("redis://[::1]:6380/", "redis", {"host": "::1", "port": 6380, "db": 0}),
        ("redis://cache?db=3", "redis", {"host": "cache", "port": 6379, "db": 3}),
        (
            "redis://:p%40ss%2F@my_cache",
            "redis",
            {"host": "my_cache", "port": 6379, "db": 0, "password": "p@ss/"},
        ),
        (
            "rediss://user:pass@cache.example.org:6380/0?ssl_cert_reqs=none",
            "rediss",
            {
                "host": "cache.example.org",
                "port": 6380,
                "db": 0,
                "username": "user",
                "password": "pass",
                "ssl_cert_reqs": "none",
            },
        ),
        ("unix:///run/redis/redis.sock?db=1", "unix", {"path": "/run/redis/redis.sock", "db": 1}),
        ("unix://:pass@/run/redis.sock", "unix", {"path": "/run/redis.sock", "db": 0, "password": "pass"}),
    ],
)
def test_redis_url_is_understood(url: str, scheme: str, arguments: dict[str, str | int]) -> None:
    assert parse_url(url) == (scheme, arguments)
    RedisLimiter(url, MemoryLimiter())


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must start with"),
        ("localhost:6379", "must start with"),
        ("http://:s3cret@localhost", "must start with"),
        ("redis://", "host is missing"),
        ("redis://:s3cret@", "host is missing"),
        ("redis://:s3cret@localhost:port", "malformed"),
        ("redis://:s3cret@localhost:99999", "malformed"),
        ("redis://:s3cret/slash@localhost", "malformed"),
        ("redis://:s3cret#hash@localhost", "malformed"),
        ("redis://localhost/0#s3cret", "has a #"),
        ("redis://:s3cret@[::1", "malformed"),
        ("redis://:s3cret@\u2100.example", "malformed"),
        ("redis://:s3cret@a..b", "not a host name"),
        ("redis://:s3cret@%00", "not a host name"),
        ("redis://:s3cret@" + "x" * 70, "not a host name"),
        ("redis://:s3cret@localhost/one", "database must be a number"),
        ("redis://:s3cret@localhost/-1", "database must be a number"),
        ("redis://:s3cret@localhost?db=", "database must be a number"),
        ("redis://:s3cret@localhost?socket_timeout=600", "known options are db, ssl_ca_certs, ssl_cert_reqs"),
        ("redis://localhost?password=s3cret", "known options"),
        ("redis://:s3cret@localhost?ssl_cert_reqs=none", "need rediss://"),
        ("rediss://:s3cret@localhost?ssl_cert_reqs=maybe", "none, optional or required"),
        ("unix://", "unix:///PATH"),
        ("unix://:s3cret@host/path", "unix:///PATH"),
        ("unix:///path%00s3cret", "unix:///PATH"),
    ],
)
def test_redis_url_that_is_wrong_is_refused_without_showing_the_password(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match="REDIS_URL is wrong") as caught:
        RedisLimiter(url, MemoryLimiter())
    assert reason in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@given(st.text(max_size=40), st.sampled_from(["redis://", "rediss://", "unix://", "redis://:s3cret@", ""]))
def test_redis_url_of_any_text_is_taken_or_refused_with_a_value_error(text: str, start: str) -> None:
    message = "REDIS_URL is wrong"
    try:
        RedisLimiter(start + text, MemoryLimiter())
    except ValueError as error:
        message = str(error)
    assert message.startswith("REDIS_URL is wrong")
    assert "s3cret" not in message
