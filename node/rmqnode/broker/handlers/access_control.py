"""Access control lists: there are none here, and every request about them is told so.

A broker of 4.5.2 with `aclEnable=false` answers changes with these codes too, without a word why, and does not answer
queries at all, so that tools wait for their timeout.
Source: `AdminBrokerProcessor#updateAndCreateAccessConfig` and the like (RocketMQ 4.5.2, 4.9.7).
"""

from typing import Final

from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.headers import NoHeader
from rmqnode.protocol.headers.administration import (
    CreateAccessConfigRequestHeader,
    DeleteAccessConfigRequestHeader,
    UpdateGlobalWhiteAddrsConfigRequestHeader,
)
from rmqnode.protocol.routes import Reply, Request

_OFF: Final = "access control is off on this broker (aclEnable=false)"


def update_and_create_acl_config(broker: Broker, request: Request[CreateAccessConfigRequestHeader]) -> Reply:
    """Refuse to store an access key."""
    remark = f"The accesskey[{request.header.access_key}] was not stored: {_OFF}"
    raise RequestError(ResponseCode.UPDATE_AND_CREATE_ACL_CONFIG_FAILED, remark)


def delete_acl_config(broker: Broker, request: Request[DeleteAccessConfigRequestHeader]) -> Reply:
    """Refuse to delete an access key."""
    remark = f"The accesskey[{request.header.access_key}] was not deleted: {_OFF}"
    raise RequestError(ResponseCode.DELETE_ACL_CONFIG_FAILED, remark)


def update_global_white_addrs_config(
    broker: Broker, request: Request[UpdateGlobalWhiteAddrsConfigRequestHeader]
) -> Reply:
    """Refuse to store addresses that need no key."""
    remark = f"The globalWhiteAddresses[{request.header.global_white_addrs}] were not stored: {_OFF}"
    raise RequestError(ResponseCode.UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED, remark)


def get_broker_cluster_acl(broker: Broker, request: Request[NoHeader]) -> Reply:
    """Say that there is nothing to show: version (52) or content (54, since 4.7) of the lists."""
    raise RequestError(ResponseCode.SYSTEM_ERROR, _OFF)
