"""Which errors of a broker pass by themselves, so that trying again is sensible."""

from typing import Final

from rmqctl.client.errors import BrokerUnreachable, ClientError, NoMaster, RequestRefused, RequestTimedOut
from rmqnode.protocol.codes import ResponseCode

_PASSING_REFUSALS: Final = frozenset(
    {
        int(ResponseCode.SYSTEM_ERROR),
        int(ResponseCode.SYSTEM_BUSY),
        int(ResponseCode.SERVICE_NOT_AVAILABLE),
        int(ResponseCode.TOPIC_NOT_EXIST),
        int(ResponseCode.FLOW_CONTROL),
    }
)
"""Codes of a broker that starts, stops, is busy, or lost a queue which the next route will not have any more."""


def is_passing(error: ClientError) -> bool:
    """Whether a broker that starts, stops, moves or is busy may have caused the error."""
    if isinstance(error, RequestRefused):
        return error.response_code in _PASSING_REFUSALS
    return isinstance(error, (BrokerUnreachable, RequestTimedOut, NoMaster))
