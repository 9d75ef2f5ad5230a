"""What is answered once a message is stored: where it is, and region and trace switch, which clients do not check for.

Source: `SendMessageProcessor#handlePutMessageResult` (RocketMQ 4.5.2).
"""

from rmqnode.config import BrokerConfig
from rmqnode.protocol.headers import SendMessageResponseHeader
from rmqnode.protocol.reply_form import ReplyForm
from rmqnode.protocol.routes import Reply


class SendReplies:
    """The answers under one configuration; a changed one needs others."""

    def __init__(self, config: BrokerConfig) -> None:
        self._region_id = config.region_id
        self._trace_on = config.trace_on
        self._form = ReplyForm(self._header("0", 0, 0), "msg_id", "queue_id", "queue_offset")

    def stored(self, message_id: str, queue_id: int, queue_offset: int) -> Reply:
        """Tell where a message is; of a batch `message_id` has all ids, separated by commas."""
        return Reply(0, None, self._header(message_id, queue_id, queue_offset), b"", self._form)

    def _header(self, message_id: str, queue_id: int, queue_offset: int) -> SendMessageResponseHeader:
        return SendMessageResponseHeader(
            msg_id=message_id,
            queue_id=queue_id,
            queue_offset=queue_offset,
            msg_region=self._region_id,
            trace_on=self._trace_on,
        )
