"""After 24 hours an idempotency key is forgotten, and so is everything that followed from it."""

from tests.api.in_process import serving
from tests.builders import memory_services

REGISTER = "/api/v1/devices/register"


def test_a_forgotten_key_of_a_registration_gives_nobody_the_first_device() -> None:
    """Keys are often short, addresses are often shared: the next user of one must not become the first device."""
    services = memory_services()
    with serving(services) as nobody:
        first = nobody.post(REGISTER, {"name": "first", "device_type": "sensor"}, Idempotency_Key="1")
        services.idempotency.expire(before_ms=2**60)
        second = nobody.post(REGISTER, {"name": "second", "device_type": "sensor"}, Idempotency_Key="1")

    assert (first.status, second.status) == (201, 201)
    assert second.json["device"]["name"] == "second"
    assert second.json["device"]["api_key"] != first.json["device"]["api_key"]


def test_a_registration_repeated_after_its_key_was_forgotten_is_a_taken_name() -> None:
    services = memory_services()
    body = {"name": "first", "device_type": "sensor"}
    with serving(services) as nobody:
        nobody.post(REGISTER, body, Idempotency_Key="1")
        services.idempotency.expire(before_ms=2**60)
        again = nobody.post(REGISTER, body, Idempotency_Key="1")

    assert (again.status, again.json["code"]) == (409, "name_taken")
