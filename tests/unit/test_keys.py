"""Keys: what they look like, what they refuse, and what is kept of them."""

import base64
import hashlib
import re
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.keys import (
    NewKey,
    ParsedKey,
    broker_hash,
    derived_key,
    digest,
    matches,
    new_key,
    new_seed,
    parse_key,
)
from chalicelib.model import Credential, CredentialKind

PEPPER = b"a pepper of thirty-two bytes ..."
ALPHABET = string.digits + string.ascii_letters

kinds = st.sampled_from(CredentialKind)
entropies = st.binary(min_size=48, max_size=48)


def key_of(raw: bytes, kind: CredentialKind = CredentialKind.DEVICE_KEY) -> NewKey:
    return new_key(kind, pepper=PEPPER, entropy=lambda size: raw[:size])


def credential_of(key: NewKey) -> Credential:
    return Credential(
        id=key.id, kind=CredentialKind.DEVICE_KEY, digest=key.digest, device_id=1, created_ms=1_700_000_000_000
    )


@given(raw=entropies, kind=kinds)
def test_key_comes_back_from_its_text(raw: bytes, kind: CredentialKind) -> None:
    key = key_of(raw, kind)
    assert parse_key(key.text) == ParsedKey(kind, key.id)
    assert matches(key.text, credential_of(key), PEPPER)


@pytest.mark.parametrize(
    ("kind", "prefix"), [(CredentialKind.DEVICE_KEY, "iotf_dev_"), (CredentialKind.TOKEN, "iotf_adm_")]
)
def test_key_has_the_published_shape(kind: CredentialKind, prefix: str) -> None:
    key = new_key(kind, pepper=PEPPER)
    assert re.fullmatch(prefix + r"[0-9A-Za-z]{12}_[0-9A-Za-z]{38}", key.text)


def test_key_format_stays_as_it_is() -> None:
    """Keys that were handed out must be understood for ever: this one is a fixed example."""
    key = key_of(bytes(range(48)))
    assert key.text == "iotf_dev_xkEgOGusQGwp_7u7ED6UzpF5eHPrBI5AHumY7UBpOQIJz2XCdqL"
    assert parse_key(key.text) == ParsedKey(CredentialKind.DEVICE_KEY, "xkEgOGusQGwp")
    assert key.digest == "0db4e8719da91fe9b46f02faf623a400222df17519632ff135048014a885802f"


@given(raw=entropies, kind=kinds, data=st.data())
def test_key_with_one_changed_character_is_refused(raw: bytes, kind: CredentialKind, data: st.DataObject) -> None:
    text = key_of(raw, kind).text
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(ALPHABET + "_-é \n").filter(lambda char: char != text[place]))
    assert parse_key(text[:place] + other + text[place + 1 :]) is None


@given(raw=entropies, data=st.data())
def test_key_with_two_swapped_neighbours_is_refused(raw: bytes, data: st.DataObject) -> None:
    text = key_of(raw).text
    place = data.draw(st.integers(0, len(text) - 2).filter(lambda at: text[at] != text[at + 1]))
    assert parse_key(text[:place] + text[place + 1] + text[place] + text[place + 2 :]) is None


@given(st.text(st.characters()))
def test_text_that_is_no_key_is_refused(text: str) -> None:
    """Lone surrogates included: JSON can bring them."""
    assert parse_key(text) is None
    assert not matches(text, credential_of(key_of(bytes(48))), PEPPER)
    assert not matches(text, None, PEPPER)


def test_lone_surrogate_in_a_key_is_refused_not_an_error() -> None:
    assert parse_key("iotf_dev_\ud800") is None
    assert not matches("\ud800", None, PEPPER)
    assert derived_key(CredentialKind.TOKEN, pepper=PEPPER, seed="\udfff").id


@pytest.mark.parametrize("change", [" {}", "{} ", "{}\n", "{}0", "Bearer {}", ""])
def test_key_with_something_around_it_is_refused(change: str) -> None:
    assert parse_key(change.format(key_of(bytes(48)).text)) is None


@given(raw=entropies)
def test_digest_and_repr_do_not_contain_the_secret(raw: bytes) -> None:
    key = key_of(raw)
    secret = key.text.rsplit("_", 1)[1]
    assert key.digest == digest(key.text, PEPPER)
    assert re.fullmatch(r"[0-9a-f]{64}", key.digest)
    assert secret not in key.digest
    assert secret not in repr(key)
    assert secret not in repr(parse_key(key.text))


def test_two_keys_differ_in_every_part() -> None:
    one, other = (new_key(CredentialKind.DEVICE_KEY, pepper=PEPPER) for _ in range(2))
    assert one.id != other.id
    assert one.text.rsplit("_", 1)[1] != other.text.rsplit("_", 1)[1]


def test_key_characters_are_all_used_evenly() -> None:
    """No part of the alphabet is missing, and no character comes twice as often as it should."""
    keys = [new_key(CredentialKind.DEVICE_KEY, pepper=PEPPER).text for _ in range(1000)]
    counts = {char: sum(text[22:54].count(char) for text in keys) for char in ALPHABET}
    fair = 1000 * 32 / 62
    assert all(fair / 2 < count < fair * 2 for count in counts.values())


@given(seed=st.text(), other=st.text())
def test_derived_key_depends_on_seed_kind_and_pepper_only(seed: str, other: str) -> None:
    key = derived_key(CredentialKind.DEVICE_KEY, pepper=PEPPER, seed=seed)
    assert derived_key(CredentialKind.DEVICE_KEY, pepper=PEPPER, seed=seed) == key
    assert parse_key(key.text) == ParsedKey(CredentialKind.DEVICE_KEY, key.id)
    assert derived_key(CredentialKind.TOKEN, pepper=PEPPER, seed=seed).id != key.id
    assert derived_key(CredentialKind.DEVICE_KEY, pepper=b"another pepper", seed=seed).id != key.id
    assert (derived_key(CredentialKind.DEVICE_KEY, pepper=PEPPER, seed=other) == key) == (seed == other)


def test_key_does_not_match_another_secret_pepper_or_nobody() -> None:
    key, other = key_of(bytes(48)), key_of(bytes(16) + bytes([1]) * 32)
    credential = credential_of(key)
    assert key.id == other.id
    assert not matches(other.text, credential, PEPPER)
    assert not matches(key.text, credential, b"another pepper")
    assert not matches(key.text, replace(credential, digest=""), PEPPER)
    assert not matches(key.text, None, PEPPER)


def test_broker_hash_is_salted_pbkdf2_as_mosquitto_keeps_it() -> None:
    first, second = broker_hash("iotf_dev_key"), broker_hash("iotf_dev_key")
    assert first != second, "a salt of its own"
    assert "iotf" not in first
    kind, iterations, salt, derived = first.removeprefix("$").split("$")
    expected = hashlib.pbkdf2_hmac("sha512", b"iotf_dev_key", base64.b64decode(salt), int(iterations))
    assert (kind, len(base64.b64decode(salt)), base64.b64decode(derived)) == ("7", 12, expected)


def test_new_seeds_make_different_keys_and_the_same_seed_the_same() -> None:
    seeds = {new_seed() for _ in range(100)}
    made = {derived_key(CredentialKind.DEVICE_KEY, pepper=PEPPER, seed=seed).id for seed in seeds}
    assert len(made) == 100
    seed = seeds.pop()
    again = [derived_key(CredentialKind.DEVICE_KEY, pepper=PEPPER, seed=seed).text for _ in range(2)]
    assert again[0] == again[1]
