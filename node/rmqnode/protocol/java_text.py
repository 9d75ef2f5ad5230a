"""Numbers, booleans and hashes of texts by Java's rules: what the JDK methods behind RocketMQ return.

Not responsible for where such a text comes from (header fields, properties files, message properties) nor for
what happens when it can't be read: the parsers return None where Java throws a NumberFormatException.
"""

import math
import re
import sys
from functools import lru_cache
from typing import Final

_INT_MAX: Final = 2**31 - 1
_LONG_MAX: Final = 2**63 - 1

_FAST_DIGITS_MAX: Final = 640
"""Longest text handed to `int()`: the smallest limit that an interpreter can be configured to."""

_HASHED_LENGTH_MAX: Final = 128
"""Longest text kept by the cache of hashes, so that a peer with huge tags can't fill the memory."""

_JAVA_BLANKS: Final = "".join(map(chr, range(0x21)))
"""What `String.trim` removes: everything up to the blank."""

# Possessive: a long run of digits with something else behind it must not be tried once for each of its digits.
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?[fFdD]?")
_HEXADECIMAL: Final = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]++\.?[0-9a-fA-F]*+|\.[0-9a-fA-F]++)[pP][+-]?[0-9]++[fFdD]?")
_NOT_FINITE: Final = re.compile(r"[+-]?(?:NaN|Infinity)")


def parse_int(text: str) -> int | None:
    """Read a decimal 32-bit integer as `Integer.parseInt` does; None when it is not one."""
    return _parse_integer(text, _INT_MAX)


def parse_long(text: str) -> int | None:
    """Read a decimal 64-bit integer as `Long.parseLong` does; None when it is not one."""
    return _parse_integer(text, _LONG_MAX)


def _parse_integer(text: str, maximum: int) -> int | None:
    digits = text[1:] if text[:1] in ("+", "-") else text
    # `isdecimal` is Character.digit's idea of a digit, but Java looks at UTF-16 units: none beyond the BMP.
    if not digits.isdecimal() or not (digits.isascii() or max(digits) <= "\uffff"):
        return None
    value = int(digits) if len(digits) <= _FAST_DIGITS_MAX else _long_magnitude(digits, maximum + 1)
    if text[0] == "-":
        value = -value
    return value if -maximum - 1 <= value <= maximum else None


def _long_magnitude(digits: str, limit: int) -> int:
    """Return the value of a long run of digits (zeros in front are legal), or something above the limit."""
    value = 0
    for digit in digits:
        value = value * 10 + int(digit)
        if value > limit:
            break
    return value


def parse_boolean(text: str) -> bool:
    """Read a boolean as `Boolean.parseBoolean` does: `true` in any case, everything else is false."""
    return len(text) == 4 and text.lower() == "true"


def parse_double(text: str) -> float | None:
    """Read a floating point number as `Double.parseDouble` does; None when it is not one.

    Blanks around it, the suffixes f and d, `NaN`, `Infinity` and hexadecimal forms are legal in Java.
    """
    text = text.strip(_JAVA_BLANKS)
    if _NOT_FINITE.fullmatch(text):
        return float(text)
    if _DECIMAL.fullmatch(text):
        return float(text.rstrip("fFdD"))
    if not _HEXADECIMAL.fullmatch(text):
        return None
    mantissa, exponent_mark, exponent = text.replace("P", "p").partition("p")
    try:
        return float.fromhex(mantissa + exponent_mark + exponent.rstrip("fFdD"))
    except OverflowError:
        return -math.inf if text[0] == "-" else math.inf


def format_double(value: float) -> str:
    """Write a floating point number as `Double.toString` does: `1.0`, `2.5E-5`, `1.0E10`, `NaN`, `-Infinity`.

    The digits are the shortest that read back as the same number, at least two. JDKs before 19 print a digit
    more for a few numbers.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = _decimal_digits(value)
    if value == 0:
        return sign + "0.0"
    if exponent < -3 or exponent >= 7:
        return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    digits = digits.ljust(exponent + 1, "0")
    return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :] or '0'}"


def _decimal_digits(value: float) -> tuple[str, str, int]:
    """Return sign, significant digits and decimal exponent of the first digit."""
    text = repr(value)
    mantissa, _, exponent_text = text.lstrip("-").partition("e")
    if len(mantissa) == 1:
        # Of several numbers with two digits Java takes the nearest: 4.9E-324 where Python says 5e-324.
        two_digits = f"{value:.1e}"
        if float(two_digits) == value:
            mantissa, _, exponent_text = two_digits.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading_zeros = len(whole + fraction) - len(digits)
    exponent = int(exponent_text or 0) + len(whole) - 1 - leading_zeros
    return "-" * text.startswith("-"), digits.rstrip("0") or "0", exponent


def string_hash(text: str) -> int:
    """Return `String.hashCode` of a text: h = 31·h + unit over its UTF-16 code units, signed 32 bit."""
    if text.isascii():
        units: bytes | memoryview = text.encode("ascii")
    else:
        encoding = "utf-16-le" if sys.byteorder == "little" else "utf-16-be"
        units = memoryview(text.encode(encoding, "surrogatepass")).cast("H")
    value = 0
    for unit in units:
        value = (31 * value + unit) & 0xFFFFFFFF
    return value - 0x100000000 if value > _INT_MAX else value


def tag_hash(text: str) -> int:
    """Return `string_hash` of a message tag, from memory for the tags seen last: topics have few."""
    return _remembered_hash(text) if len(text) <= _HASHED_LENGTH_MAX else string_hash(text)


_remembered_hash: Final = lru_cache(maxsize=4096)(string_hash)
