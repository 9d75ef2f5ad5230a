"""JSON bodies and config files in the dialect of fastjson, the library in Apache's nodes and clients.

Reading: strict JSON goes to msgspec; what msgspec refuses goes to a reader of the dialect (`reader`), and
`decode` makes typed structs of either (`convert`). Writing: the compact form of bodies and the pretty form of
`config/*.json` (`writer`). What the members of a body are is not known here.
Source: fastjson 1.2.51 as used by `RemotingSerializable` (RocketMQ 4.5.2).
"""

from rmqnode.protocol.fastjson.convert import decode, decode_request
from rmqnode.protocol.fastjson.reader import loads
from rmqnode.protocol.fastjson.values import FastjsonError, ObjectKey, TextTooLarge
from rmqnode.protocol.fastjson.writer import dump_steps, dumps

__all__ = [
    "FastjsonError",
    "ObjectKey",
    "TextTooLarge",
    "decode",
    "decode_request",
    "dump_steps",
    "dumps",
    "loads",
]
