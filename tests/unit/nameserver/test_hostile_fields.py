"""Each request of the nameserver's table with hostile fields: an answer, and no traceback in the log."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from rmqnode.config import NameserverConfig
from rmqnode.nameserver.routes import ROUTES
from rmqnode.nameserver.state import Nameserver
from rmqnode.net import slices
from rmqnode.net.dispatch import Dispatcher
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.routes import Reply, Request, Route
from tests.hostile import hostile_requests

TOPIC = {"topicName": "t", "readQueueNums": 4, "writeQueueNums": 2, "perm": 6, "topicSysFlag": 1, "order": False}
WRAPPER = {"dataVersion": {"timestamp": 5, "counter": 1}, "topicConfigTable": {"t": TOPIC}}
BODIES = {
    RequestCode.REGISTER_BROKER: json.dumps({"filterServerList": ["f"], "topicConfigSerializeWrapper": WRAPPER}),
    RequestCode.QUERY_DATA_VERSION: json.dumps(WRAPPER["dataVersion"]),
    RequestCode.UPDATE_NAMESRV_CONFIG: "orderMessageEnable=true\n",
}


class Peer:
    """A connection that counts its answers."""

    peer = "10.0.0.1:1"

    def __init__(self) -> None:
        self.answers = 0

    def reply(self, request: Request[Any], reply: Reply) -> None:
        self.answers += 1

    def send(self, command: Any) -> None:
        self.answers += 1


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.code.name)
def test_a_request_with_hostile_fields_is_answered_and_no_defect_of_ours(
    tmp_path: Path, caplog: Any, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 60)  # no loop turns here
    config = NameserverConfig(kv_config_path=tmp_path / "kv.json", config_store_path=tmp_path / "nameserver.conf")
    nameserver, peer = Nameserver(config, lambda: 0.0), Peer()
    dispatch = Dispatcher(ROUTES, nameserver)
    frames = list(hostile_requests(route, BODIES.get(route.code, "").encode()))
    with caplog.at_level(logging.ERROR):
        for frame in frames:
            dispatch(peer, frame)  # type: ignore[arg-type]
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert peer.answers == len(frames)
