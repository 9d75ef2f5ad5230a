"""Commands: the decoded header of a frame, in JSON and in the binary ROCKETMQ form. No I/O.

`Command` is the general form that clients and rare requests use. Servers decode the frequent requests
straight into typed headers instead, see `rmqnode.protocol.routes`.
Source: `RemotingCommand`, `RocketMQSerializable` (RocketMQ 4.5.2).
"""

import re
import struct
from typing import Final

import msgspec

from rmqnode.protocol.codes import LANGUAGE, VERSION_4_5_2, LanguageCode
from rmqnode.protocol.errors import MalformedHeader
from rmqnode.protocol.frame import Frame, Serialization, encode_frame

FLAG_RESPONSE: Final = 1
FLAG_ONEWAY: Final = 2

EXT_FIELDS_MAX: Final = 4096
"""Ext fields of a binary header, which are read one by one; requests have 20 at most."""

_FIXED: Final = struct.Struct(">hBhiii")
_I32: Final = struct.Struct(">i")
_I16: Final = struct.Struct(">h")
_ENDS_BYTES: Final = 1024
_NUMBERS: Final = re.compile(rb'"(code|opaque|flag)"\s*+:\s*+"?(-?[0-9]{1,10})(?![0-9])')
_EXT_FIELDS: Final = b'"extFields"'
_CODE: Final = re.compile(rb'"code"\s*+:\s*+"?(-?[0-9]{1,9})')
assert _FIXED.size == 17


class Command(msgspec.Struct, kw_only=True):
    """One request or response.

    `ext_fields` is None when the command has no custom header and `{}` when it has one without values;
    Java keeps the two apart. `opaque` ties a response to its request. An empty `body` is no body.
    """

    code: int
    opaque: int = 0
    flag: int = 0
    language: str = LANGUAGE
    version: int = VERSION_4_5_2
    remark: str | None = None
    ext_fields: dict[str, str] | None = None
    body: bytes = b""
    serialization: Serialization = Serialization.JSON

    @property
    def is_response(self) -> bool:
        """Whether this answers a request of the receiver."""
        return bool(self.flag & FLAG_RESPONSE)

    @property
    def is_oneway(self) -> bool:
        """Whether the sender wants no answer."""
        return bool(self.flag & FLAG_ONEWAY)


class _JsonHeader(msgspec.Struct, rename="camel", gc=False):
    """What we write: members in alphabetical order and null members left out, as Java does."""

    code: int
    ext_fields: dict[str, str] | msgspec.UnsetType
    flag: int
    language: str
    opaque: int
    remark: str | msgspec.UnsetType
    serialize_type: str = msgspec.field(name="serializeTypeCurrentRPC")
    version: int


class JsonHeaderUntrusted(msgspec.Struct, rename="camel", gc=False):
    """What we accept in a JSON header: unknown members, numbers as text, languages by ordinal or unknown."""

    code: int
    opaque: int = 0
    flag: int = 0
    language: str | int | None = None
    version: int = 0
    remark: str | None = None
    ext_fields: dict[str, str | int | float | bool | None] | None = None


_encode_json: Final = msgspec.json.Encoder().encode
_decode_json: Final = msgspec.json.Decoder(JsonHeaderUntrusted, strict=False).decode


def encode_header(
    serialization: int,
    code: int,
    opaque: int,
    flag: int,
    remark: str | None,
    ext_fields: dict[str, str] | None,
    *,
    language: str = LANGUAGE,
    version: int = VERSION_4_5_2,
) -> bytes:
    """Write a frame header in the given serialization.

    Raises:
        MalformedHeader: A value does not fit the binary form (a code above 32 767, a key above 32 767 bytes).
    """
    if serialization == Serialization.JSON:
        return _encode_json(
            _JsonHeader(
                code,
                msgspec.UNSET if ext_fields is None else ext_fields,
                flag,
                language,
                opaque,
                msgspec.UNSET if remark is None else remark,
                "JSON",
                version,
            )
        )
    return _encode_binary(code, opaque, flag, remark, ext_fields, language, version)


def encode_command(command: Command) -> bytes:
    """Write a whole frame, length prefix included."""
    header = encode_header(
        command.serialization,
        command.code,
        command.opaque,
        command.flag,
        command.remark,
        command.ext_fields,
        language=command.language,
        version=command.version,
    )
    return encode_frame(command.serialization, header, command.body)


def decode_command(frame: Frame) -> Command:
    """Read the header of a frame.

    Raises:
        MalformedHeader: The header is not valid in its serialization; close the connection.
    """
    if frame.serialization == Serialization.ROCKETMQ:
        return _decode_binary(frame)
    try:
        header = _decode_json(frame.header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedHeader(f"a JSON header can't be read: {error}") from None
    ext_fields = header.ext_fields
    return Command(
        code=header.code,
        opaque=header.opaque,
        flag=header.flag,
        language=language_name(header.language),
        version=header.version,
        remark=header.remark,
        ext_fields=None if ext_fields is None else _texts(ext_fields),
        body=frame.body,
    )


def decode_without_fields(frame: Frame) -> Command:
    """Read what the answer to a header of any size needs, without reading the rest of it.

    A JSON header says it in its first or its last bytes, around the ext fields. These may have the same names: `flag`
    of a SEND_MESSAGE is that of the message.

    Raises:
        MalformedHeader: It does not say it there.
    """
    header = frame.header
    if frame.serialization == Serialization.ROCKETMQ:
        if len(header) < _FIXED.size:
            raise MalformedHeader(f"a binary header of {len(header)} bytes is too short")
        code, _, version, opaque, flag, _ = _FIXED.unpack_from(header)
        return Command(code=code, version=version, opaque=opaque, flag=flag, serialization=Serialization.ROCKETMQ)
    before = header[:_ENDS_BYTES].partition(_EXT_FIELDS)[0]
    behind = header[-_ENDS_BYTES:].rstrip()[:-1].rpartition(b"}")[2]
    numbers = {name: int(number) for name, number in _NUMBERS.findall(before + behind)}
    if not {b"code", b"opaque"} <= numbers.keys():
        raise MalformedHeader(f"a JSON header of {len(header)} bytes begins and ends without code and opaque")
    return Command(code=numbers[b"code"], opaque=numbers[b"opaque"], flag=numbers.get(b"flag", 0))


def code_of_frame(frame: Frame) -> int:
    """Return the code of a frame without reading the rest of its header; -1 when there is none to be seen."""
    if frame.serialization == Serialization.ROCKETMQ:
        return _I16.unpack_from(frame.header)[0] if len(frame.header) >= _I16.size else -1
    found = _CODE.search(frame.header, 0, 4096)
    return int(found[1]) if found is not None else -1


def _texts(ext_fields: dict[str, str | int | float | bool | None]) -> dict[str, str]:
    """Coerce as fastjson does for a map of strings: numbers and booleans as text, null is no entry."""
    return {
        key: value
        if isinstance(value, str)
        else ("true" if value else "false")
        if isinstance(value, bool)
        else str(value)
        for key, value in ext_fields.items()
        if value is not None
    }


def language_name(language: str | int | None) -> str:
    """Return the name in `LanguageCode` for what a header says, OTHER for what is not in it."""
    if isinstance(language, str) and language in LanguageCode.__members__:
        return language
    if isinstance(language, int) and 0 <= language < len(LanguageCode):
        return LanguageCode(language).name
    return LanguageCode.OTHER.name


def _encode_binary(
    code: int,
    opaque: int,
    flag: int,
    remark: str | None,
    ext_fields: dict[str, str] | None,
    language: str,
    version: int,
) -> bytes:
    remark_bytes = remark.encode("utf-8", "surrogatepass") if remark else b""
    parts: list[bytes] = []
    try:
        for name, value in (ext_fields or {}).items():
            name_bytes, value_bytes = name.encode(), value.encode()
            parts += (_I16.pack(len(name_bytes)), name_bytes, _I32.pack(len(value_bytes)), value_bytes)
        fixed = _FIXED.pack(
            code,
            LanguageCode.__members__.get(language, LanguageCode.OTHER),
            version,
            opaque,
            flag,
            len(remark_bytes),
        )
    except (struct.error, UnicodeEncodeError) as error:
        raise MalformedHeader(f"a value does not fit the binary header: {error}") from None
    ext_block = b"".join(parts)
    return b"".join((fixed, remark_bytes, _I32.pack(len(ext_block)), ext_block))


def _decode_binary(frame: Frame) -> Command:
    header = frame.header
    if len(header) < _FIXED.size + 4:
        raise MalformedHeader(f"a binary header of {len(header)} bytes is too short")
    code, language, version, opaque, flag, remark_size = _FIXED.unpack_from(header)
    position = _FIXED.size
    try:
        remark, position = _take_text(header, position, remark_size)
        (ext_size,) = _I32.unpack_from(header, position)
        position += 4
        if ext_size < 0 or position + ext_size != len(header):
            raise MalformedHeader(f"the ext fields of a binary header announce {ext_size} bytes")
        ext_fields = _decode_ext_block(header, position) if ext_size else None
    except (struct.error, UnicodeDecodeError) as error:
        raise MalformedHeader(f"a binary header can't be read: {error}") from None
    return Command(
        code=code,
        opaque=opaque,
        flag=flag,
        language=language_name(language),
        version=version,
        remark=remark or None,
        ext_fields=ext_fields,
        body=frame.body,
        serialization=Serialization.ROCKETMQ,
    )


def _decode_ext_block(header: bytes, position: int) -> dict[str, str]:
    ext_fields: dict[str, str] = {}
    while position < len(header):
        if len(ext_fields) >= EXT_FIELDS_MAX:
            raise MalformedHeader(f"a binary header has more than {EXT_FIELDS_MAX} ext fields")
        (name_size,) = _I16.unpack_from(header, position)
        name, position = _take_text(header, position + 2, name_size)
        (value_size,) = _I32.unpack_from(header, position)
        ext_fields[name], position = _take_text(header, position + 4, value_size)
    return ext_fields


def _take_text(header: bytes, position: int, size: int) -> tuple[str, int]:
    end = position + size
    if size < 0 or end > len(header):
        raise MalformedHeader(f"a text of {size} bytes runs past the end of a binary header")
    return header[position:end].decode(), end
