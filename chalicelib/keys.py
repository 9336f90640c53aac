"""Keys of devices and tokens of people: made, checked for typos, and compared by digest.

    iotf_dev_4fJq0ZkWm2Xa_<32 characters of secret><6 characters of checksum>

The id part is public: logs and look-ups use it. The checksum is the CRC-32 of everything before it, so a typo is
refused without a look-up, and scanners of source code can tell a key from noise. A secret of 190 bits needs no
slow hash: HMAC-SHA256 under the server's pepper is what is kept.

Source: the format is that of GitHub's tokens (prefix, base 62, CRC-32 in six characters).
"""

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from chalicelib.model import Credential, CredentialKind

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 12
_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 6
_ID_BYTES, _SECRET_BYTES = 16, 32
"""Random bytes for each part: so many more than the characters hold that no character is likelier than another."""

_PREFIXES = {CredentialKind.DEVICE_KEY: "iotf_dev_", CredentialKind.TOKEN: "iotf_adm_"}
_KINDS = {prefix: kind for kind, prefix in _PREFIXES.items()}
_KEY = re.compile(
    rf"(iotf_(?:dev|adm)_)([0-9A-Za-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}"
)
_NOBODYS_DIGEST = "0" * 64
_SEED_BYTES = 32
_BROKER_ITERATIONS = 101


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh key. `text` is shown to its holder once and never kept; `id` and `digest` go into a `Credential`."""

    text: str = field(repr=False)
    id: str
    digest: str


class ParsedKey(NamedTuple):
    """The public half of a well-formed key. That it is well-formed proves nothing: see `matches`."""

    kind: CredentialKind
    id: str


def new_key(kind: CredentialKind, *, pepper: bytes, entropy: Callable[[int], bytes] = secrets.token_bytes) -> NewKey:
    """Make a random key.

    Args:
        kind: Decides the prefix.
        pepper: The server's secret under which digests are made.
        entropy: Gives the asked number of random bytes.
    """
    return _key(kind, entropy(_ID_BYTES + _SECRET_BYTES), pepper)


def derived_key(kind: CredentialKind, *, pepper: bytes, seed: str) -> NewKey:
    """Make the one key that belongs to *pepper* and *seed*: the same call gives the same key again.

    A registration that is repeated under its idempotency key can so be answered again with the key that nobody
    stored, and a broker that was away can be told a key: see `BrokerOutbox`. Two keys must never share a seed: put the
    caller and the idempotency key into it, or take a new one.
    """
    # SHA-512 gives enough bytes for both parts, and can never coincide with a digest, which is SHA-256.
    stream = hmac.digest(pepper, _bytes(f"{kind}:{seed}"), "sha512")
    return _key(kind, stream[: _ID_BYTES + _SECRET_BYTES], pepper)


def new_seed() -> str:
    """A seed of `derived_key` that nobody can guess."""
    return secrets.token_urlsafe(_SEED_BYTES)


def broker_hash(text: str) -> str:
    """A key as Mosquitto keeps passwords: ``$7$ITERATIONS$SALT$HASH``, PBKDF2 with SHA-512 and a salt of 12 bytes.

    So few iterations are for secrets that cannot be guessed: 190 bits are safe with one.

    Source: mosquitto_passwd(1).
    """
    salt = secrets.token_bytes(12)
    derived = hashlib.pbkdf2_hmac("sha512", _bytes(text), salt, _BROKER_ITERATIONS)
    return f"$7${_BROKER_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"


def parse_key(text: str) -> ParsedKey | None:
    """The kind and the public id of a key, or None when it is none of ours or has a typo.

    Any change of one character is found, and of several all but one in four thousand million.
    """
    match = _KEY.fullmatch(text)
    if match is None or _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
        return None
    return ParsedKey(_KINDS[match[1]], match[2])


def digest(text: str, pepper: bytes) -> str:
    """HMAC-SHA256 of the whole key under *pepper*, in hex: what is kept instead of the key."""
    return hmac.digest(pepper, _bytes(text), "sha256").hex()


def matches(text: str, credential: Credential | None, pepper: bytes) -> bool:
    """Whether *text* is the key of *credential*; False for None, the answer of a look-up that found nothing.

    Takes the same time in every case, so that an answer does not tell which ids exist. Whether the credential is
    still alive is not asked here.
    """
    expected = _NOBODYS_DIGEST if credential is None else credential.digest
    same = hmac.compare_digest(digest(text, pepper), expected)
    return same and credential is not None


def _key(kind: CredentialKind, raw: bytes, pepper: bytes) -> NewKey:
    key_id = _base62(int.from_bytes(raw[:_ID_BYTES]), _ID_LENGTH)
    secret = _base62(int.from_bytes(raw[_ID_BYTES:]), _SECRET_LENGTH)
    body = f"{_PREFIXES[kind]}{key_id}_{secret}"
    text = body + _checksum(body)
    return NewKey(text=text, id=key_id, digest=digest(text, pepper))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _bytes(text: str) -> bytes:
    """UTF-8 of any text: what a stranger sends as a key may hold lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def _base62(number: int, length: int) -> str:
    """The last *length* digits of *number*."""
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
