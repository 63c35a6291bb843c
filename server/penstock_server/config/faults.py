"""What is wrong with settings."""

from __future__ import annotations


class BadSettings(Exception):
    """The settings cannot be used; `faults` says all that is wrong, one line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
