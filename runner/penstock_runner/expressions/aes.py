"""AES-GCM (NIST SP 800-38D) without a library, for the short texts that flows encrypt.

The standard library has no cipher, and a few secrets a day do not pay for a dependency.
It takes about 50 us a block, and its time depends on the data: it is for values of flows on
one's own server, not for a service that strangers can time.
"""

from __future__ import annotations

import hmac
from functools import cache, lru_cache

TAG_BYTES = 16
_BLOCK = 16
_REDUCTION = 0xE1 << 120


class WrongTag(ValueError):
    """The text was changed, or encrypted with another key."""


def seal(key: bytes, start: bytes, plain: bytes) -> bytes:
    """The cipher text with its tag; `start` is 12 bytes that are never used twice."""
    cipher = _counted(key, start, plain)
    return cipher + _tag(key, start, cipher)


def unseal(key: bytes, start: bytes, sealed: bytes) -> bytes:
    """The plain text, or `WrongTag`."""
    cipher, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(key, start, cipher)):
        raise WrongTag("Tag mismatch")
    return _counted(key, start, cipher)


def _counted(key: bytes, start: bytes, data: bytes) -> bytes:
    """Counter mode, from counter 2 as GCM has it."""
    words = _schedule(key)
    pad = bytearray()
    for counter in range(2, 2 + (len(data) + _BLOCK - 1) // _BLOCK):
        pad += _encrypt(words, start + counter.to_bytes(4, "big"))
    return bytes(a ^ b for a, b in zip(data, pad, strict=False))


def _tag(key: bytes, start: bytes, cipher: bytes) -> bytes:
    words = _schedule(key)
    factor = int.from_bytes(_encrypt(words, bytes(_BLOCK)), "big")
    total = 0
    lengths = (len(cipher) * 8).to_bytes(_BLOCK, "big")
    padded = cipher + bytes(-len(cipher) % _BLOCK) + lengths
    for at in range(0, len(padded), _BLOCK):
        total = _multiplied(total ^ int.from_bytes(padded[at : at + _BLOCK], "big"), factor)
    mask = _encrypt(words, start + (1).to_bytes(4, "big"))
    return (total ^ int.from_bytes(mask, "big")).to_bytes(_BLOCK, "big")


def _multiplied(left: int, right: int) -> int:
    """The product in GCM's field of 2^128 elements."""
    product = 0
    for bit in range(127, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = right >> 1 ^ (_REDUCTION if right & 1 else 0)
    return product


def _doubled(value: int) -> int:
    return (value << 1 ^ 0x11B) & 0xFF if value & 0x80 else value << 1


@cache
def _boxes() -> tuple[bytes, bytes]:
    """The substitution box, and the doubles of all bytes."""
    box = bytearray(256)
    p = q = 1
    while True:
        p = p ^ _doubled(p)
        q ^= q << 1
        q ^= q << 2
        q = (q ^ q << 4) & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        turned = q ^ _turned(q, 1) ^ _turned(q, 2) ^ _turned(q, 3) ^ _turned(q, 4)
        box[p] = turned ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return bytes(box), bytes(map(_doubled, range(256)))


def _turned(value: int, count: int) -> int:
    return (value << count | value >> (8 - count)) & 0xFF


@lru_cache(maxsize=8)
def _schedule(key: bytes) -> tuple[bytes, ...]:
    """The round keys of a key of 16, 24 or 32 bytes."""
    box, _ = _boxes()
    size = len(key) // 4
    words = [key[at : at + 4] for at in range(0, len(key), 4)]
    constant = 1
    for index in range(size, 4 * (size + 7)):
        word = words[-1]
        if index % size == 0:
            word = bytes(box[b] for b in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _doubled(constant)
        elif size > 6 and index % size == 4:
            word = bytes(box[b] for b in word)
        words.append(bytes(a ^ b for a, b in zip(words[index - size], word, strict=True)))
    return tuple(b"".join(words[at : at + 4]) for at in range(0, len(words), 4))


_SHIFT = (0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11)


def _encrypt(rounds: tuple[bytes, ...], block: bytes) -> bytes:
    box, double = _boxes()
    state = bytes(a ^ b for a, b in zip(block, rounds[0], strict=True))
    for key in rounds[1:-1]:
        state = _mixed(bytes(box[state[at]] for at in _SHIFT), key, double)
    last = (box[state[at]] for at in _SHIFT)
    return bytes(a ^ b for a, b in zip(last, rounds[-1], strict=True))


def _mixed(state: bytes, key: bytes, double: bytes) -> bytes:
    out = bytearray(_BLOCK)
    for at in (0, 4, 8, 12):
        a, b, c, d = state[at : at + 4]
        whole = a ^ b ^ c ^ d
        out[at] = a ^ whole ^ double[a ^ b] ^ key[at]
        out[at + 1] = b ^ whole ^ double[b ^ c] ^ key[at + 1]
        out[at + 2] = c ^ whole ^ double[c ^ d] ^ key[at + 2]
        out[at + 3] = d ^ whole ^ double[d ^ a] ^ key[at + 3]
    return bytes(out)
