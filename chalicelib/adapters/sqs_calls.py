"""Calls of one SQS queue, in batches of ten, of which SQS may do some entries and refuse others."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from chalicelib.adapters import aws_client
from chalicelib.adapters.sqs_messages import BATCH, Sent, chunks, entry, received, whole_seconds
from chalicelib.errors import Unavailable
from chalicelib.model import Message

ATTEMPTS = 3
"""Of entries that SQS did not take for a reason of its own."""


class SqsCalls:
    """One queue.

    Args:
        url: The queue's.
        connect: Makes clients.
    """

    def __init__(self, url: str, *, connect: Callable[[str], Any] = aws_client.client) -> None:
        self._url = url
        self._connect = connect

    @cached_property
    def _sqs(self) -> Any:
        return self._connect("sqs")

    def send(self, messages: Sequence[Sent]) -> dict[int, str]:
        """Send what fits one call; returns the ids of what SQS took, by place in *messages*.

        Raises:
            Unavailable: The call failed; any of them may have been sent all the same.
        """
        return {
            int(done["Id"]): done["MessageId"]
            for done in self._batch("send_message_batch", [entry(at, each) for at, each in enumerate(messages)])
        }

    def receive(self, *, limit: int, visibility_s: float, wait_s: int) -> list[Message]:
        """Up to *limit* messages; waits up to *wait_s* for the first. Fewer than asked: there may be more."""
        messages: list[Message] = []
        while len(messages) < limit:
            asked = min(BATCH, limit - len(messages))
            try:
                found = self._receive(asked, visibility_s, 0 if messages else wait_s)
            except Unavailable:
                if not messages:
                    raise
                return messages  # these are hidden from everybody else already
            messages += found
            if len(found) < asked:
                break
        return messages

    def delete(self, receipts: Sequence[str]) -> set[str]:
        """Delete; returns the receipts that were still good.

        Raises:
            Unavailable: Some of them are not deleted.
        """
        return self._with_receipts("delete_message_batch", receipts, {})

    def hide(self, receipts: Sequence[str], for_s: float) -> set[str]:
        """Show them again after *for_s*; returns the receipts that were still good.

        Raises:
            Unavailable: Some of them stay as they are.
        """
        change = {"VisibilityTimeout": whole_seconds(for_s)}
        return self._with_receipts("change_message_visibility_batch", receipts, change)

    def depth(self) -> tuple[int, int]:
        """Messages that wait, and those in flight or delayed; SQS calls both approximate."""
        names = [f"ApproximateNumberOfMessages{suffix}" for suffix in ("", "NotVisible", "Delayed")]
        with aws_client.answers_of("SQS"):
            found = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        waiting, hidden, delayed = (int(found.get(name, 0)) for name in names)
        return waiting, hidden + delayed

    def _receive(self, limit: int, visibility_s: float, wait_s: int) -> list[Message]:
        with aws_client.answers_of("SQS"):
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=limit,
                VisibilityTimeout=whole_seconds(visibility_s),
                WaitTimeSeconds=wait_s,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                MessageAttributeNames=["readings"],
            )
        return [received(document) for document in answer.get("Messages", [])]

    def _with_receipts(self, method: str, receipts: Sequence[str], more: dict[str, Any]) -> set[str]:
        good: set[str] = set()
        for some in chunks(receipts):
            entries = [{"Id": str(at), "ReceiptHandle": receipt, **more} for at, receipt in enumerate(some)]
            done = self._batch(method, entries)
            good.update(some[int(each["Id"])] for each in done)
        return good

    def _batch(self, method: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Do a batch; entries that failed for a reason of SQS are tried again, then left out of the answer.

        Raises:
            Unavailable: The call failed, or SQS did not do entries of receipts.
        """
        done: list[dict[str, Any]] = []
        left = entries
        for _ in range(ATTEMPTS):
            with aws_client.answers_of("SQS"):
                answer = getattr(self._sqs, method)(QueueUrl=self._url, Entries=left)
            done += answer.get("Successful", [])
            again = _ids(failure for failure in answer.get("Failed", []) if not failure.get("SenderFault"))
            left = [each for each in left if each["Id"] in again]
            if not left:
                return done
        if method != "send_message_batch":
            message = f"SQS does not do it: {len(left)} of {len(entries)} entries failed"
            raise Unavailable(message)
        return done


def _ids(entries: Iterable[dict[str, Any]]) -> set[str]:
    return {str(each["Id"]) for each in entries}
