"""Which folders of the machine a flow may name to tasks and triggers of the service itself.

They act as the user of the service, who may read more than the processes of jobs may: the home with
the store and the keys is never theirs, and with a user of their own for processes nothing is,
unless the settings name it.
"""

from __future__ import annotations

from pathlib import Path

from penstock_runner.jobs.settings import RunnerSettings


class NotAllowed(Exception):
    """The folder is not for flows; the message says what to do."""


def local_path(text: str, settings: RunnerSettings) -> Path:
    """The real path that a flow names, if it may."""
    named = Path(text)
    if not named.is_absolute():
        raise NotAllowed(f"{text!r} is no absolute path")
    path = named.resolve()
    homes = (settings.home, settings.storage, settings.workspaces)
    if any(path.is_relative_to(one.resolve()) for one in homes):
        raise NotAllowed(f"{text} belongs to the service itself")
    roots = [Path(one).resolve() for one in settings.folders]
    if not roots and settings.run_as is not None:
        raise NotAllowed(f"{text} may not be used by flows: name it in `runner.folders`")
    if roots and not any(path.is_relative_to(root) for root in roots):
        raise NotAllowed(f"{text} is below none of the folders that `runner.folders` names")
    return path
