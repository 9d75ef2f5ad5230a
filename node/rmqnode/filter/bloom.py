"""Which bits of Apache's bloom filter stand for a subscription, as `config/consumerFilter.json` stores them.

Only the bits are here, for the file: the filter itself works on the extended consume queue, which we do not have.
Source: `BloomFilter` (RocketMQ 4.5.2), with Guava's `Hashing.murmur3_128` (x64, seed 0).
"""

import math
from typing import Final

_MASK: Final = 2**64 - 1
_MASK_32: Final = 2**32 - 1
_BLOCK_SIZE: Final = 16
_C1: Final = 0x87C37B91114253D5
_C2: Final = 0x4CF5AD432745937F


class BloomFilter:
    """Sizes of a filter for about `expected` subscriptions with an error rate in percent."""

    def __init__(self, error_rate_percent: int, expected: int) -> None:
        rate = error_rate_percent / 100
        self.hash_count = math.ceil(math.log(rate) / math.log(0.5))
        bits = math.ceil(expected * (math.log(1 / rate) / math.log(2)) * (1 / math.log(2)))
        self.bit_count = 8 * math.ceil(bits / 8)

    def bit_positions(self, text: str) -> list[int]:
        """The bits of a text: for a group's subscription of a topic, `group#topic`."""
        hash_64 = murmur3_128_low(text.encode())
        low, high = _signed(hash_64), _signed(hash_64 >> 32)
        positions = []
        for index in range(1, self.hash_count + 1):
            combined = _signed(low + index * high)
            positions.append((~combined if combined < 0 else combined) % self.bit_count)
        return positions


def murmur3_128_low(data: bytes) -> int:
    """The first 64 bits of MurmurHash3 (x64, 128 bits, seed 0), unsigned."""
    h1 = h2 = 0
    whole = len(data) - len(data) % _BLOCK_SIZE
    for start in range(0, whole, _BLOCK_SIZE):
        k1 = int.from_bytes(data[start : start + 8], "little")
        k2 = int.from_bytes(data[start + 8 : start + 16], "little")
        h1 = (_rotated(h1 ^ _mix_k1(k1), 27) + h2) * 5 + 0x52DCE729 & _MASK
        h2 = (_rotated(h2 ^ _mix_k2(k2), 31) + h1) * 5 + 0x38495AB5 & _MASK
    h1 ^= _mix_k1(int.from_bytes(data[whole : whole + 8], "little"))
    h2 ^= _mix_k2(int.from_bytes(data[whole + 8 :], "little"))
    h1 ^= len(data)
    h2 ^= len(data)
    h1 = h1 + h2 & _MASK
    h2 = h2 + h1 & _MASK
    return _final_mix(h1) + _final_mix(h2) & _MASK


def _mix_k1(k1: int) -> int:
    return _rotated(k1 * _C1 & _MASK, 31) * _C2 & _MASK


def _mix_k2(k2: int) -> int:
    return _rotated(k2 * _C2 & _MASK, 33) * _C1 & _MASK


def _final_mix(k: int) -> int:
    k = (k ^ k >> 33) * 0xFF51AFD7ED558CCD & _MASK
    k = (k ^ k >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return k ^ k >> 33


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & _MASK


def _signed(value: int) -> int:
    """The low 32 bits as Java's int."""
    value &= _MASK_32
    return value - 2**32 if value & 2**31 else value
