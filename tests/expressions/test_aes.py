"""AES-GCM against the published vectors of its specification."""

from __future__ import annotations

import pytest

from penstock_runner.expressions.aes import WrongTag, seal, unseal

PLAIN = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)
KEY = "feffe9928665731c6d6a8f9467308308"
START = bytes.fromhex("cafebabefacedbaddecaf888")


@pytest.mark.parametrize(
    ("key", "start", "plain", "sealed"),
    [
        ("00" * 16, bytes(12), b"", "58e2fccefa7e3061367f1d57a4e7455a"),
        (
            "00" * 16,
            bytes(12),
            bytes(16),
            "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
        ),
        (
            KEY,
            START,
            PLAIN,
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
            "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
            "4d5c2af327cd64a62cf35abd2ba6fab4",
        ),
        (
            "00" * 24,
            bytes(12),
            bytes(16),
            "98e7247c07f0fe411c267e4384b0f6002ff58d80033927ab8ef4d4587514f0fb",
        ),
        (
            "00" * 32,
            bytes(12),
            bytes(16),
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ),
    ],
)
def test_the_published_vectors_hold(key: str, start: bytes, plain: bytes, sealed: str) -> None:
    secret = bytes.fromhex(key)
    assert seal(secret, start, plain).hex() == sealed
    assert unseal(secret, start, bytes.fromhex(sealed)) == plain


def test_a_changed_text_is_refused() -> None:
    sealed = bytearray(seal(bytes(32), bytes(12), b"text"))
    sealed[0] ^= 1
    with pytest.raises(WrongTag):
        unseal(bytes(32), bytes(12), bytes(sealed))
