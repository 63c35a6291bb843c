"""How SECRET inputs and outputs are kept: encrypted with the key of the service."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field

from penstock_runner.expressions import crypt

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Cipher:
    """Encrypts and decrypts short texts with one key, base64 of 16, 24 or 32 bytes."""

    key: str = field(repr=False)

    def encrypt(self, text: str) -> str:
        """The text as it is stored."""
        return crypt.encrypt(self.key, text, os.urandom(crypt.IV_BYTES))

    def decrypt(self, text: str) -> str:
        """The text that was encrypted; raises `ExpressionFailed` when it was not, or otherwise."""
        return crypt.decrypt(self.key, text)


def passing_cipher() -> Cipher:
    """A cipher for what ends with this process."""
    return Cipher(base64.b64encode(os.urandom(KEY_BYTES)).decode())
