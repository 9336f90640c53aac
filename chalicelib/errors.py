"""Every failure a caller can meet, sorted by what the caller may do about it.

    AppError
    ├── InvalidInput      400  never acceptable: change the request
    │   ├── TooLarge      413
    │   ├── WrongType     415
    │   └── Unprocessable 422
    ├── Unauthorized      401  no credential, or a wrong one
    ├── Forbidden         403  known caller, not allowed
    ├── NotFound          404  no such thing, or not the caller's
    ├── WrongMethod       405
    ├── Conflict          409  taken, or changed meanwhile
    ├── Gone              410  was here once, will not be again
    ├── TooMany           429  over a limit: retry after `retry_after_s`
    └── Unavailable       503  a backend is silent: retry after `retry_after_s`

Each edge (HTTP, queue consumer, MQTT) translates these in one place; statuses are plain integers, so
the core knows no web framework. Anything that is not an AppError is a bug.
"""

from typing import ClassVar


class AppError(Exception):
    """A failure with a published meaning.

    Args:
        message: One sentence for the caller; never a secret, never a foreign exception's text.
        field: The parameter or JSON key at fault.
        limit: The limit that was passed, with its unit, for example ``"64 kB"``.
        code: Machine word; the class's own when omitted.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, field: str | None = None, limit: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.limit = limit
        self.code = code or self.default_code


class InvalidInput(AppError):
    """The request can never be accepted as it is."""

    status = 400
    title = "Invalid input"
    default_code = "invalid_input"


class TooLarge(InvalidInput):
    """The body, or a part of it, is over a size limit."""

    status = 413
    title = "Too large"
    default_code = "too_large"


class WrongType(InvalidInput):
    """The content type is not one that the endpoint reads."""

    status = 415
    title = "Unsupported media type"
    default_code = "unsupported_media_type"


class Unprocessable(InvalidInput):
    """Well-formed, but in contradiction to an earlier request."""

    status = 422
    title = "Unprocessable"
    default_code = "unprocessable"


class Unauthorized(AppError):
    """No credential, or one that is wrong, expired or revoked."""

    status = 401
    title = "Unauthorized"
    default_code = "unauthorized"


class Forbidden(AppError):
    """The caller is known and may not do this."""

    status = 403
    title = "Forbidden"
    default_code = "forbidden"


class NotFound(AppError):
    """No such thing, or not one of the caller's."""

    status = 404
    title = "Not found"
    default_code = "not_found"


class WrongMethod(AppError):
    """The path exists, the method does not.

    Args:
        allow: The methods that exist, for the ``Allow`` header.
    """

    status = 405
    title = "Method not allowed"
    default_code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class Conflict(AppError):
    """The name is taken, or the thing changed meanwhile."""

    status = 409
    title = "Conflict"
    default_code = "conflict"


class Gone(AppError):
    """An operation of the predecessor that does not exist any more."""

    status = 410
    title = "Gone"
    default_code = "gone"


class TooMany(AppError):
    """Over a rate limit.

    Args:
        retry_after_s: Whole seconds after which one more call is accepted, at least 1.
        limit: Calls allowed per window, for example ``"1200"``.
        window_s: The window of that limit, in seconds.
    """

    status = 429
    title = "Too many requests"
    default_code = "too_many_requests"
    retryable = True

    def __init__(
        self, message: str, *, retry_after_s: int, limit: str | None = None, window_s: int | None = None
    ) -> None:
        super().__init__(message, limit=limit)
        self.retry_after_s = retry_after_s
        self.window_s = window_s


class Unavailable(AppError):
    """A backend did not answer; the same call may work later.

    Args:
        retry_after_s: Whole seconds to wait, at least 1.
    """

    status = 503
    title = "Service unavailable"
    default_code = "unavailable"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
