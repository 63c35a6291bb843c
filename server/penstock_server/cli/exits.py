"""The exit codes of all verbs, and the way to leave with one and a sentence."""

from __future__ import annotations

import click

FINE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
UNAUTHORISED = 4
REFUSED = 5
SKIPPED = 6
CHANGES = 10
INTERRUPTED = 130


class Stop(click.ClickException):
    """The verb ends here: a sentence for the person, and the exit code for the program."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Say it on stderr, one line for each thing that is wrong."""
        for line in self.message.splitlines():
            click.echo(f"penstock: {line}", err=True)
