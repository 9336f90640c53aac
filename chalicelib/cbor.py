"""The part of CBOR (RFC 8949) that SenML uses, as plain Python values.

Written here because it is small, and a library with a compiled part costs more in every Lambda than it saves.
"""

import struct
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping

from chalicelib.errors import InvalidInput
from chalicelib.strict_json import shown

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE = 31
_BREAK = 0xFF
_DECIMAL_FRACTION, _SELF_DESCRIBED = 4, 55799
_CONSTANTS: dict[int, object] = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}


def decode(payload: bytes, *, max_depth: int, labels: Mapping[int, str]) -> object:
    """Read one data item: maps, arrays, strings, integers, floats, booleans, null.

    Maps and arrays may be of indefinite length; strings may not, as RFC 8428 section 6 has it. Byte strings become
    base64url text without padding (as RFC 8949 section 6.1 has it for JSON), undefined becomes null, decimal fractions
    become floats. Floats may be NaN or infinite, integers have up to 64 bits of either sign.

    Args:
        payload: The whole of it; bytes after the item are refused.
        max_depth: How many maps and arrays may be nested.
        labels: What integer keys of maps stand for; others are refused.

    Raises:
        InvalidInput: Anything that is not this.
    """
    decoder = _Decoder(payload, labels)
    item = decoder.item(max_depth)
    if decoder.position != len(payload):
        raise _malformed("there are bytes after its end")
    return item


class _Decoder:
    def __init__(self, payload: bytes, labels: Mapping[int, str]) -> None:
        self._payload = payload
        self._labels = labels
        self.position = 0

    def item(self, depth: int) -> object:
        kind, info = divmod(self._take(1)[0], 32)
        if kind == _SIMPLE:
            return self._simple(info)
        if kind in (_ARRAY, _MAP):
            return self._container(kind, info, depth - 1)
        if kind in (_BYTES, _TEXT):
            return self._string(kind, info)
        number = self._argument(info)
        if kind == _TAG:
            return self._tagged(number, depth)
        return number if kind == _UNSIGNED else -1 - number

    def _take(self, count: int) -> bytes:
        taken = self._payload[self.position : self.position + count]
        if len(taken) != count:
            raise _malformed("it ends too early")
        self.position += count
        return taken

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise _malformed("a length is not one")
        return int.from_bytes(self._take(1 << (info - 24)))

    def _rounds(self, info: int) -> Iterator[None]:
        """Once for every element of the container that begins here."""
        if info != _INDEFINITE:
            for _ in range(self._argument(info)):
                yield
            return
        while self._payload[self.position : self.position + 1] != bytes([_BREAK]):
            yield
        self.position += 1

    def _container(self, kind: int, info: int, depth: int) -> object:
        if depth < 0:
            raise _malformed("it nests too deep")
        if kind == _ARRAY:
            return [self.item(depth) for _ in self._rounds(info)]
        found: dict[str, object] = {}
        for _ in self._rounds(info):
            key = self._key(depth)
            if key in found:
                message = f"The key {shown(key)} occurs twice in one map"
                raise InvalidInput(message, field=shown(key))
            found[key] = self.item(depth)
        return found

    def _key(self, depth: int) -> str:
        key = self.item(depth)
        if type(key) is int:
            key = self._labels.get(key)
        if not isinstance(key, str):
            raise _malformed("a key of a map is neither text nor a SenML label")
        return key

    def _string(self, kind: int, info: int) -> str:
        content = self._take(self._argument(info))
        if kind == _BYTES:
            return urlsafe_b64encode(content).rstrip(b"=").decode()
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise _malformed("a text is not UTF-8") from None

    def _simple(self, info: int) -> object:
        if info in _CONSTANTS:
            return _CONSTANTS[info]
        if info not in _FLOATS:
            raise _malformed("a simple value has no meaning here")
        number: float = struct.unpack(_FLOATS[info], self._take(2 << (info - 25)))[0]
        return number

    def _tagged(self, tag: int, depth: int) -> object:
        if depth <= 0:
            raise _malformed("it nests too deep")
        item = self.item(depth - 1)
        if tag == _SELF_DESCRIBED:
            return item
        if tag == _DECIMAL_FRACTION and isinstance(item, list) and [type(part) for part in item] == [int, int]:
            exponent, mantissa = item
            return float(f"{mantissa}e{exponent}")
        message = f"tag {tag} has no meaning here"
        raise _malformed(message)


def _malformed(reason: str) -> InvalidInput:
    message = f"The body is not CBOR that is read here: {reason}"
    return InvalidInput(message, code="malformed_cbor")
