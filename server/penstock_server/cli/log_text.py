"""Log messages as a terminal shows them."""

from __future__ import annotations

import click

from penstock_runner.executor.links import in_words
from penstock_runner.jobs.utterances import read_fold


def log_text(message: str) -> str | None:
    """The message in words, the title of a fold; None for what only ends one."""
    fold = read_fold(message)
    if fold is None:
        return in_words(message)
    return None if fold.title is None else click.style(f"\u25be {fold.title}", bold=True)
