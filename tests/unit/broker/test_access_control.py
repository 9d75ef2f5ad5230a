"""Requests about access control lists, of which there are none."""

from typing import Any

import pytest

from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import NoHeader
from rmqnode.protocol.headers import administration as headers


@pytest.mark.parametrize(
    ("code", "header", "expected"),
    [
        (RequestCode.UPDATE_AND_CREATE_ACL_CONFIG, headers.CreateAccessConfigRequestHeader("k"), 209),
        (RequestCode.DELETE_ACL_CONFIG, headers.DeleteAccessConfigRequestHeader("k"), 210),
        (
            RequestCode.UPDATE_GLOBAL_WHITE_ADDRS_CONFIG,
            headers.UpdateGlobalWhiteAddrsConfigRequestHeader("10.0.0.*"),
            211,
        ),
        (RequestCode.GET_BROKER_CLUSTER_ACL_INFO, NoHeader(), ResponseCode.SYSTEM_ERROR),
        (RequestCode.GET_BROKER_CLUSTER_ACL_CONFIG, NoHeader(), ResponseCode.SYSTEM_ERROR),
    ],
)
def test_a_broker_without_access_control_says_so(rig: Any, code: RequestCode, header: Any, expected: int) -> None:
    reply = rig.ask(code, header)
    assert reply.code == expected
    assert "access control is off on this broker (aclEnable=false)" in reply.remark
