"""Compressed bodies: written with zlib as every client reads them, read in all forms that newer clients write.

LZ4 and ZSTD need the optional libraries of `rmqctl[compression]`, which are imported when the first such body comes.
Source: `CompressionType`, `LZ4Compressor`, `ZstdCompressor` (RocketMQ 5.3): frames of both formats.
"""

import io
import zlib
from collections.abc import Callable
from typing import Final

from rmqnode.protocol.message import MalformedMessage, StoredMessage

COMPRESS_OVER_BYTES: Final = 4096
"""Java's `compressMsgBodyOverHowmuch`."""

_LEVEL: Final = 5
"""Java's `rocketmq.message.compressLevel`."""

_BODY_SIZE_BYTES_MAX: Final = 64 * 1024 * 1024
"""As for zlib in `StoredMessage`: a small body must not fill the memory."""

_SLICE_BYTES: Final = 1024
"""So much of a ZSTD body is expanded before its size is looked at again."""


def compress_body(body: bytes) -> bytes:
    """Return a body in zlib's format."""
    return zlib.compress(body, _LEVEL)


def decompressed_body(message: StoredMessage) -> bytes:
    """Return the body as the producer gave it.

    Raises:
        MalformedMessage: It is not what its flag says, is above 64 MiB, or needs a library that is not installed.
    """
    expand = _EXPANDERS.get(message.compression or "")
    return message.decompressed_body() if expand is None else expand(message.body)


def _expand_lz4(body: bytes) -> bytes:
    try:
        import lz4.frame
    except ImportError:
        raise _missing("LZ4") from None
    decompressor = lz4.frame.LZ4FrameDecompressor()
    try:
        expanded = decompressor.decompress(body, _BODY_SIZE_BYTES_MAX)
    except (RuntimeError, EOFError) as error:
        raise MalformedMessage(f"body is no LZ4 frame: {error}") from None
    if not decompressor.eof:
        raise _incomplete()
    return bytes(expanded)


def _expand_zstd(body: bytes) -> bytes:
    try:
        import zstandard
    except ImportError:
        raise _missing("ZSTD") from None
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    expanded = io.BytesIO()
    try:
        # In slices: a frame that does not say how much it holds could hold anything.
        for start in range(0, len(body), _SLICE_BYTES):
            expanded.write(decompressor.decompress(body[start : start + _SLICE_BYTES]))
            if expanded.tell() > _BODY_SIZE_BYTES_MAX:
                raise _incomplete()
    except zstandard.ZstdError as error:
        raise MalformedMessage(f"body is no ZSTD frame: {error}") from None
    if not decompressor.eof:
        raise _incomplete()
    return expanded.getvalue()


_EXPANDERS: Final[dict[str, Callable[[bytes], bytes]]] = {"LZ4": _expand_lz4, "ZSTD": _expand_zstd}


def _missing(name: str) -> MalformedMessage:
    return MalformedMessage(f"body is compressed by {name}, which needs: pip install 'rmqctl[compression]'")


def _incomplete() -> MalformedMessage:
    return MalformedMessage(f"compressed body is cut short or above {_BODY_SIZE_BYTES_MAX} bytes")
