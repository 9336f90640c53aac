"""Items, keys and conditional writes of DynamoDB in plain Python.

Expressions name attributes as ``#attribute`` and values as ``:value``; the tables that DynamoDB wants beside them are
made from the text. Values are texts, numbers, booleans, None, lists, and sets of texts; an empty set is left out, as
DynamoDB has none.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

Item = Mapping[str, Any]

ITSELF = "-"
"""The sort key of what stands alone in its partition."""
LIST, PLACE = "list", "place"
"""Keys of the index: which list an item is in, and where."""


class Key(NamedTuple):
    """Names one item."""

    pk: str
    sk: str = ITSELF


def path(*parts: str | int) -> str:
    """One key of several parts, whatever is in them."""
    return "#".join(str(part).replace("%", "%25").replace("#", "%23") for part in parts)


def ordered(number: int) -> str:
    """A number of at most 63 bits, 0 or more, as text that sorts like it."""
    return f"{number:020d}"


def put(key: Key, values: Item, condition: str = "", **named: Any) -> dict[str, Any]:
    """Write a whole item."""
    return {"Put": {"Item": encoded({**key._asdict(), **values}), **expressions(named, ConditionExpression=condition)}}


def update(key: Key, change: str, condition: str = "", **named: Any) -> dict[str, Any]:
    """Change attributes of an item; without a condition it is made when it is not there."""
    both = expressions(named, UpdateExpression=change, ConditionExpression=condition)
    return {"Update": {"Key": encoded(key._asdict()), **both}}


def delete(key: Key, condition: str = "", **named: Any) -> dict[str, Any]:
    """Delete an item."""
    return {"Delete": {"Key": encoded(key._asdict()), **expressions(named, ConditionExpression=condition)}}


def expressions(named: Mapping[str, Any], **texts: str) -> dict[str, Any]:
    """Those of *texts* that are not empty, with the names and values in them."""
    given = {option: text for option, text in texts.items() if text}
    all_text = " ".join(given.values())
    names = {f"#{name}": name for name in re.findall(r"#(\w+)", all_text)}
    values = {f":{name}": _encoded(named[name]) for name in re.findall(r":(\w+)", all_text)}
    return {
        **given,
        **({"ExpressionAttributeNames": names} if names else {}),
        **({"ExpressionAttributeValues": values} if values else {}),
    }


def encoded(item: Item) -> dict[str, Any]:
    """The item as DynamoDB writes it."""
    return {name: _encoded(value) for name, value in item.items() if value != frozenset()}


def decoded(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The item in plain Python."""
    return {name: _decoded(value) for name, value in item.items()}


def _encoded(value: Any) -> dict[str, Any]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": str(value)}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    if isinstance(value, frozenset):
        return {"SS": sorted(value)}
    return {"L": [_encoded(each) for each in value]}


def _decoded(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return int(content) if content.lstrip("-").isdecimal() else float(content)
        case "SS":
            return frozenset(content)
        case "L":
            return [_decoded(each) for each in content]
        case _:
            return content
