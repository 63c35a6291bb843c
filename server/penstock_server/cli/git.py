"""`penstock git`: the Git sources of a service. Each verb is imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping

import click

from penstock_server.cli.screen import examples
from penstock_server.cli.verbs import Verbs


class GitVerbs(Verbs):
    """The verbs below `penstock git`."""

    verbs: Mapping[str, tuple[str, str]] = {
        "status": ("git_status:status", "How sources stand, and what is wrong."),
        "list": ("git_sources:listed", "Which sources there are."),
        "add": ("git_sources:add", "Declare a source, or give it other settings."),
        "plan": ("git_change:plan", "What a sync would change; nothing is applied."),
        "diff": ("git_sources:diff", "How what runs differs from the repository."),
        "sync": ("git_change:sync", "Look now, and apply what is found."),
        "history": ("git_status:history", "What was done with a source."),
        "rollback": ("git_change:rollback", "Go back to a commit, and stay there."),
        "resume": ("git_change:resume", "Follow the repository again after a rollback."),
        "doctor": ("git_doctor:doctor", "What stands between the service and its repositories."),
        "webhook": ("git_webhook:webhook", "Try the webhook of a source."),
        "remove": ("git_sources:remove", "Let go of a source."),
    }


@click.group(
    cls=GitVerbs,
    epilog=examples(
        "penstock git status", "penstock git plan main", "penstock git rollback main --to ~1"
    ),
)
def command() -> None:
    """Git sources of a running service: how they stand, what a sync would do, and doing it."""
