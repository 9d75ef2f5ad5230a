"""Requests to a node, made from its own table of requests and from frames that official clients sent.

Three kinds, mixed: a request whose fields are plausible, one with hostile fields or a hostile body, and the bytes of
either with damage. A code of the table that is added later is asked for without a line here.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import FLAG_ONEWAY, Command, encode_command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.frame import Serialization
from rmqnode.protocol.header_fields import fields_of
from rmqnode.protocol.message.batch import BatchPart, encode_batch
from rmqnode.protocol.properties import encode_properties
from rmqnode.protocol.routes import Route
from tests.fuzz import values

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "frames"

_SUBSCRIPTION: Final = {
    "topic": "fuzz-0",
    "subString": "a || b",
    "tagsSet": ["a", "b"],
    "codeSet": [97, 98],
    "subVersion": 1,
    "expressionType": "TAG",
    "classFilterMode": False,
    "filterClassSource": None,
}
_QUEUE: Final = {"topic": "fuzz-0", "brokerName": "broker-a", "queueId": 0}
_TOPIC: Final = {
    "topicName": "fuzz-0",
    "readQueueNums": 4,
    "writeQueueNums": 4,
    "perm": 6,
    "order": False,
    "topicFilterType": "SINGLE_TAG",
    "topicSysFlag": 0,
}
_GROUP: Final = {
    "groupName": "fuzz-group-0",
    "consumeEnable": True,
    "consumeFromMinEnable": True,
    "consumeBroadcastEnable": True,
    "retryQueueNums": 1,
    "retryMaxTimes": 16,
    "brokerId": 0,
    "whichBrokerWhenConsumeSlowly": 1,
    "notifyConsumerIdsChangedEnable": True,
}
_SQL: Final = {**_SUBSCRIPTION, "expressionType": "SQL92", "subString": "a > 5 AND b IN ('x', 'y') OR c IS NOT NULL"}

BODIES: Final[dict[RequestCode, tuple[Any, ...]]] = {
    RequestCode.HEART_BEAT: (
        {
            "clientID": "10.0.0.1@1",
            "producerDataSet": [{"groupName": "fuzz-group-1"}],
            "consumerDataSet": [
                {
                    "groupName": "fuzz-group-0",
                    "consumeType": "CONSUME_PASSIVELY",
                    "messageModel": "CLUSTERING",
                    "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET",
                    "subscriptionDataSet": [_SUBSCRIPTION, _SQL],
                    "unitMode": False,
                }
            ],
        },
    ),
    RequestCode.CHECK_CLIENT_CONFIG: (
        {"clientId": "10.0.0.1@1", "group": "fuzz-group-0", "subscriptionData": _SQL, "namespace": ""},
    ),
    RequestCode.LOCK_BATCH_MQ: ({"consumerGroup": "fuzz-group-0", "clientId": "10.0.0.1@1", "mqSet": [_QUEUE]},),
    RequestCode.UNLOCK_BATCH_MQ: ({"consumerGroup": "fuzz-group-0", "clientId": "10.0.0.1@1", "mqSet": [_QUEUE]},),
    RequestCode.UPDATE_AND_CREATE_TOPIC_LIST: ({"topicConfigList": [_TOPIC]},),
    RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP: (_GROUP,),
    RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST: ({"groupConfigList": [_GROUP]},),
    RequestCode.QUERY_CONSUME_QUEUE: (_SUBSCRIPTION,),
    RequestCode.REGISTER_BROKER: (
        {
            "topicConfigSerializeWrapper": {
                "dataVersion": {"timestamp": 1, "counter": 1},
                "topicConfigTable": {"fuzz-0": _TOPIC, "TBW102": _TOPIC},
            },
            "filterServerList": [],
        },
    ),
    RequestCode.QUERY_DATA_VERSION: ({"timestamp": 1, "counter": 1},),
}

_CONFIGURATION: Final = (
    b"traceOn=true\n",
    b"fileReservedTime=72\nlongPollingEnable=true\n",
    b"filterServerNums=1\nrocketmqHome=/tmp\n",
    b"maxMessageSize=2147483647\n",
    b"storePathRootDir=/tmp/x\n",
    b"kvConfigPath=/tmp/x\n",
    b"defaultQueryMaxNum=32\n",
    b"\\u000a=\n",
    b"aclEnable=false\n",
)
"""Bodies of UPDATE_BROKER_CONFIG and UPDATE_NAMESRV_CONFIG. What would end the service for good reasons, such as
`brokerPermission=0`, is left out: after it nothing else is tried.
"""

_PROPERTIES: Final = (
    {},
    {"TAGS": "a"},
    {"KEYS": "k1 k2"},
    {"DELAY": "1"},
    {"DELAY": "99"},
    {"TRAN_MSG": "true", "PGROUP": "fuzz-group-1", "UNIQ_KEY": "U"},
    {"REAL_TOPIC": "fuzz-1", "REAL_QID": "0"},
    {"RETRY_TOPIC": "fuzz-0"},
    {"MSG_TYPE": "reply", "REPLY_TO_CLIENT": "10.0.0.1@1"},
    {"WAIT": "false"},
    {"a": "1", "b": "x"},
    {"x" * 300: "y" * 300},
)


class RequestMaker:
    """Makes frames for one node.

    Args:
        chance: Decides everything.
        routes: The node's table of requests.
        asked: The role in the golden captures whose frames are damaged: `broker` or `nameserver`.
    """

    def __init__(self, chance: Random, routes: Sequence[Route], asked: str) -> None:
        self._chance = chance
        self._routes = routes
        self._golden = golden_requests(asked)
        self.offsets = list(range(0, 40_000, 777))
        """Physical offsets that are asked for; a campaign adds real ones."""

    def frame(self) -> bytes:
        """One request, whole or damaged."""
        draw = self._chance.random()
        if draw < 0.1:
            return values.changed_bytes(self._chance, self._chance.choice(self._golden))
        frame = self._request(is_hostile=draw > 0.45)
        if draw > 0.97:
            frame = values.changed_bytes(self._chance, frame, 2)
        return frame

    def is_in_step(self, frame: bytes) -> bool:
        """Whether what follows this frame on a connection is read as a frame again, by the frame's own length."""
        return len(frame) >= 8 and int.from_bytes(frame[:4], "big") == len(frame) - 4

    def _request(self, *, is_hostile: bool) -> bytes:
        route = self._chance.choice(self._routes)
        fields = {
            field.wire_name: self._field(field.wire_name, field.parse) for field in fields_of(route.request_header)
        }
        if is_hostile and fields:
            for _ in range(self._chance.randint(1, 2)):
                self._spoil(fields)
        command = Command(
            code=route.code if self._chance.random() > 0.01 else self._chance.randrange(-5, 5000),
            opaque=self._chance.randrange(1 << 31),
            flag=FLAG_ONEWAY if self._chance.random() < 0.2 else self._chance.choice((0, 0, 0, 0, 0, 1)),
            version=self._chance.choice((317, 317, 317, 401, 0, -1)),
            ext_fields=fields,
            body=self._body(route.code, is_hostile),
            serialization=self._chance.choice((Serialization.JSON, Serialization.JSON, Serialization.ROCKETMQ)),
        )
        try:
            return encode_command(command)
        except (ProtocolError, UnicodeEncodeError):
            return encode_command(msgspec.structs.replace(command, code=route.code, serialization=Serialization.JSON))

    def _field(self, name: str, parse: Callable[[str], object]) -> str:
        chance = self._chance
        lowered = name.lower()
        if "topic" in lowered or name == "b":
            return chance.choice(values.TOPICS)
        if "group" in lowered or name == "a":
            return chance.choice(values.GROUPS)
        if "client" in lowered:
            return chance.choice(values.CLIENTS)
        if "offset" in lowered:
            return str(chance.choice(self.offsets))
        if name in ("properties", "i"):
            return encode_properties(chance.choice(_PROPERTIES))
        if "timestamp" in lowered or "time" in lowered:
            return str(chance.choice((0, 1, 1_700_000_000_000, 1 << 62)))
        if "queueid" in lowered or name == "e":
            return str(chance.choice((0, 0, 1, 2, 3, 4, -1, 65_535)))
        if "address" in lowered or "addr" in lowered:
            return chance.choice(("127.0.0.1:1", "10.0.0.1:10911", "", "nonsense"))
        return chance.choice(("0", "1", "2", "4", "true", "false", "32", "TAG", "SQL92", "fuzz-0"))

    def _spoil(self, fields: dict[str, str]) -> None:
        chance = self._chance
        name = chance.choice(list(fields) or ["topic"])
        match chance.randrange(5):
            case 0:
                fields.pop(name, None)
            case 1 | 2:
                fields[name] = str(values.integer(chance))
            case 3:
                fields[name] = values.text(chance)
            case _:
                fields[values.text(chance)] = values.text(chance)

    def _body(self, code: RequestCode, is_hostile: bool) -> bytes:
        chance = self._chance
        if code in (RequestCode.UPDATE_BROKER_CONFIG, RequestCode.UPDATE_NAMESRV_CONFIG):
            return chance.choice(_CONFIGURATION)
        if code == RequestCode.SEND_BATCH_MESSAGE:
            parts = [
                BatchPart(
                    flag=0,
                    body=chance.randbytes(chance.randrange(40)),
                    properties=encode_properties(chance.choice(_PROPERTIES)).encode(),
                )
                for _ in range(chance.choice((0, 1, 2, 30)))
            ]
            batch = encode_batch(parts)
            return values.changed_bytes(chance, batch) if is_hostile else batch
        documents = BODIES.get(code)
        if documents is None:
            return chance.randbytes(chance.choice((0, 0, 1, 10, 200, 5000)))
        document = chance.choice(documents)
        for _ in range(chance.randrange(1, 4) if is_hostile else 0):
            document = values.changed_json(chance, document)
        encoded = json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
        return values.changed_bytes(chance, encoded) if is_hostile and chance.random() < 0.2 else encoded


def golden_requests(asked: str) -> list[bytes]:
    """The request frames of the golden captures that went to a role."""
    return [
        bytes.fromhex(exchange["request"])
        for path in sorted(GOLDEN.glob("*.json"))
        for exchange in json.loads(path.read_text())["exchanges"]
        if exchange["to"] == asked
    ]
