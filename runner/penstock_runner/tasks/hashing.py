"""The hash in addresses of the internal storage: MurmurHash3 with 128 bits."""

from __future__ import annotations

_MASK = (1 << 64) - 1
_FIRST = 0x87C37B91114253D5
_SECOND = 0x4CF5AD432745937F


def murmur3_128(text: str) -> str:
    """The hash of a text as 32 hexadecimal digits."""
    data = text.encode()
    low = high = 0
    whole = len(data) - len(data) % 16
    for at in range(0, whole, 16):
        low = _rotate(low ^ _mix_low(_word(data, at)), 27)
        low = (low + high) * 5 + 0x52DCE729 & _MASK
        high = _rotate(high ^ _mix_high(_word(data, at + 8)), 31)
        high = (high + low) * 5 + 0x38495AB5 & _MASK
    high ^= _mix_high(_word(data, whole + 8))
    low ^= _mix_low(_word(data, whole))
    low, high = low ^ len(data), high ^ len(data)
    low = low + high & _MASK
    high = high + low & _MASK
    low, high = _avalanche(low), _avalanche(high)
    low = low + high & _MASK
    high = high + low & _MASK
    return low.to_bytes(8, "little").hex() + high.to_bytes(8, "little").hex()


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & _MASK


def _mix_low(word: int) -> int:
    return _rotate(word * _FIRST & _MASK, 31) * _SECOND & _MASK


def _mix_high(word: int) -> int:
    return _rotate(word * _SECOND & _MASK, 33) * _FIRST & _MASK


def _avalanche(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & _MASK
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return value ^ value >> 33
