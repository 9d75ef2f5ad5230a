"""What is wrong with a message."""

from rmqnode.protocol.errors import ProtocolError


class MalformedMessage(ProtocolError):
    """Bytes are no message and no batch, or a body can't be decompressed."""
