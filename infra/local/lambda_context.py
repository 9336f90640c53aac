"""The context object that Lambda hands to a handler, with a deadline that is real."""

import time
from dataclasses import dataclass, field

from infra.local.proxy_event import ACCOUNT_ID


@dataclass(slots=True)
class LambdaContext:
    """What handlers may ask of their invocation.

    Attributes:
        function_name: The Lambda function that would serve it.
        aws_request_id: Names the invocation in logs.
        timeout_s: How long it may take, counted from the making of this object.
    """

    function_name: str
    aws_request_id: str
    timeout_s: float
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 128
    log_stream_name: str = "local"
    _started_s: float = field(default_factory=time.monotonic)

    @property
    def invoked_function_arn(self) -> str:
        """The ARN it would have."""
        return f"arn:aws:lambda:local:{ACCOUNT_ID}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        """The log group it would have."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation is given up."""
        return max(0, int((self._started_s + self.timeout_s - time.monotonic()) * 1000))
