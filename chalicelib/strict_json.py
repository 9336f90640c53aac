"""JSON from strangers, without the surprises of JSON: what cannot be kept exactly is refused, not bent."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import NoReturn

from pydantic_core import from_json

from chalicelib.errors import InvalidInput, TooLarge
from chalicelib.limits import bytes_in_words
from chalicelib.model import MAX_INT64, MIN_INT64


def parse_json(payload: bytes, *, max_bytes: int, max_depth: int) -> object:
    """Read one JSON document whose every value can be stored exactly.

    Refused, beside what is not JSON: other encodings than UTF-8, a byte order mark, NaN and Infinity, numbers that
    overflow to infinity, integers outside 64 signed bits, a key twice in one object, text with NUL or half a
    surrogate pair, and nesting deeper than *max_depth* (the outermost object or array counts as 1).

    Raises:
        TooLarge: More than *max_bytes*.
        InvalidInput: Any of the above; names the key where there is one.
    """
    document = load(payload, max_bytes=max_bytes, max_depth=max_depth)
    _require_storable_tree(document, "")
    return document


def load(payload: bytes, *, max_bytes: int, max_depth: int) -> object:
    """`parse_json` for a caller that passes every key and value it uses to `require_storable` itself."""
    require_size(payload, max_bytes)
    if not payload:
        raise InvalidInput("The body is empty", code="malformed_json")
    document = _quickly(payload)
    if document is _DOUBT:
        document = _carefully(payload, max_depth)
    # Counting is so much cheaper than walking that single readings, nearly all traffic, never walk.
    if payload.count(b"{") + payload.count(b"[") > max_depth:
        require_depth(document, max_depth)
    return document


def _quickly(payload: bytes) -> object:
    """The document as a parser in Rust reads it, or `_DOUBT` when ours might refuse it or say why.

    It refuses whatever ours refuses, and some of what ours reads, but for one thing: of a key that comes twice it
    takes the last. So the keys are counted: each has a colon behind it, and where there are more colons than keys (one
    in a text is enough) we look with care.
    """
    try:
        document: object = from_json(payload, allow_inf_nan=False)
    except ValueError:
        return _DOUBT
    return document if _keys(document) == payload.count(b":") else _DOUBT


def _keys(document: object) -> int:
    """How many keys all objects in *document* have. Nested at most 200 deep: `from_json` sees to that."""
    if not isinstance(document, dict):
        return sum([_keys(child) for child in document if type(child) in _NESTED]) if isinstance(document, list) else 0
    count = len(document)
    for child in document.values():
        if type(child) in _NESTED:
            count += _keys(child)
    return count


def _carefully(payload: bytes, max_depth: int) -> object:
    try:
        return _DECODER.decode(payload.decode())
    except UnicodeDecodeError:
        raise InvalidInput("The body is not UTF-8", code="malformed_json") from None
    except json.JSONDecodeError as error:
        message = f"The body is not JSON from line {error.lineno}, column {error.colno} on"
        raise InvalidInput(message, code="malformed_json") from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise InvalidInput("A number in the body has too many digits", limit="64 bits") from None


def require_size(payload: bytes, max_bytes: int) -> None:
    """Refuse a payload of more than *max_bytes*.

    Raises:
        TooLarge: It is.
    """
    if len(payload) > max_bytes:
        limit = bytes_in_words(max_bytes)
        message = f"The body has {len(payload)} bytes, at most {limit} are accepted"
        raise TooLarge(message, limit=limit)


def require_depth(document: object, max_depth: int) -> None:
    """Refuse a document that nests deeper than *max_depth*; level by level, so that no depth exhausts the stack.

    Raises:
        InvalidInput: It does.
    """
    level = [document]
    for _ in range(max_depth):
        level = [child for node in level for child in _children(node) if isinstance(child, dict | list)]
        if not level:
            return
    raise _too_deep(max_depth)


def require_storable(value: object, field: str) -> None:
    """Refuse a scalar that some store cannot keep exactly.

    NUL ends text in C libraries below some stores, and half a surrogate pair is no character: no UTF-8 spells it.

    Raises:
        InvalidInput: Names *field*.
    """
    if isinstance(value, str):
        if "\0" in value or not (value.isascii() or _is_unicode(value)):
            message = f"{shown(field)} holds a NUL character or half a surrogate pair, which cannot be stored"
            raise InvalidInput(message, field=shown(field))
    elif isinstance(value, float):
        if not math.isfinite(value):
            message = f"{shown(field)} is not a finite number"
            raise InvalidInput(message, field=shown(field))
    elif isinstance(value, int) and not MIN_INT64 <= value <= MAX_INT64:
        message = f"{shown(field)} does not fit in a signed 64-bit integer"
        raise InvalidInput(message, field=shown(field), limit="64 bits")


def shown(name: str) -> str:
    """*name* made fit for an error: short, and encodable."""
    return name[:100].encode(errors="backslashreplace").decode()


def _require_storable_tree(node: object, path: str) -> None:
    if isinstance(node, dict):
        for key, child in node.items():
            require_storable(key, f"{path}{key}")
            _require_storable_tree(child, f"{path}{key}.")
    elif isinstance(node, list):
        for position, child in enumerate(node):
            _require_storable_tree(child, f"{path}{position}.")
    else:
        require_storable(node, path[:-1])


def _children(node: object) -> Iterable[object]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep(max_depth: int) -> InvalidInput:
    message = f"The body nests objects and arrays more than {max_depth} deep"
    return InvalidInput(message, limit=f"{max_depth} levels")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = shown(counts.most_common(1)[0][0])
        message = f"The key {twice} occurs twice in one object"
        raise InvalidInput(message, field=twice)
    return found


def _refuse_constant(word: str) -> NoReturn:
    message = f"{word} is not JSON: leave a value out, or send null, when nothing was measured"
    raise InvalidInput(message, code="malformed_json")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
_DOUBT = object()
_NESTED = frozenset({dict, list})
