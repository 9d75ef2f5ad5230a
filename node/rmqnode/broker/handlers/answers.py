"""Answers that may be long: written in slices, so that nobody else waits for them."""

from rmqnode.net.slices import InSlices, Steps, in_slices
from rmqnode.protocol.bodies import Body
from rmqnode.protocol.header_fields import Header
from rmqnode.protocol.routes import Reply


def encoded_in_slices(body: Body, header: Header | None = None) -> Reply | InSlices:
    """Answer with a body, which must not change any more; one that no client could read is refused."""
    return in_slices(_encoded(body, header))


def _encoded(body: Body, header: Header | None) -> Steps[Reply]:
    encoded = yield from body.encode_steps()
    return Reply(header=header, body=encoded)
