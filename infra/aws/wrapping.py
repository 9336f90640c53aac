"""The one way in which chalice's methods are changed here."""

from collections.abc import Callable
from typing import Any


def wrap(owner: type, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace a method by *wrapper*, which is called with the original, the object, and the arguments.

    Raises:
        AttributeError: There is no such method: another version of chalice.
    """
    original = getattr(owner, name)

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        return wrapper(original, self, *arguments, **named)

    setattr(owner, name, method)
