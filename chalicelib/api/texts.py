"""Kinds of text in device records: how long, and which characters."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic.fields import FieldInfo

PLAIN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
"""No control characters and no line breaks of any kind: such text is fit for one line of a log or a table."""
PROSE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
"""Tabs and line breaks, but no other control characters."""
VISIBLE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*[^\x00-\x20\x7f-\xa0\u2028\u2029][^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"


def _matching(pattern: str, complaint: str) -> tuple[AfterValidator, FieldInfo]:
    """A check with words for people instead of the pattern, which programs find in the schema."""
    compiled = re.compile(pattern[:-1] + r"\Z")

    def check(text: str) -> str:
        if compiled.match(text) is None:
            raise ValueError(complaint)
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": pattern})


_PLAIN = _matching(PLAIN, "control characters and line breaks are not accepted")
_PROSE = _matching(PROSE, "control characters are not accepted")
_VISIBLE = _matching(VISIBLE, "a visible character is needed, control characters and line breaks are not accepted")
_TAG = _matching(r"^[A-Za-z0-9_.:-]+$", "only letters, digits and _ . : - are accepted")

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), *_VISIBLE]
Label = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), *_PLAIN]
Prose = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), *_PROSE]
Version = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), *_PLAIN]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64), *_TAG]
ConfigKey = Annotated[str, StringConstraints(min_length=1, max_length=100), *_PLAIN]
