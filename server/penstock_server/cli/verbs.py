"""The verbs of `penstock`. Each is a module here, imported only when it is used.

So `validate` and `run` start without Flask and SQLAlchemy, and `--help` of the whole costs nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import click

from penstock_server.cli.exits import INTERRUPTED
from penstock_server.cli.screen import examples

VERBS: Mapping[str, tuple[str, str]] = {
    "server": ("server", "Run the service: Git sync, scheduler, runner, API and page."),
    "run": ("run", "Run one flow file here and now, without a server."),
    "validate": ("validate", "Check flow files; every fault with its file, line and column."),
    "deploy": ("deploy", "Send the flow files of a folder to a server, all or nothing."),
    "plan": ("plan", "What a deploy of a folder would change."),
    "watch": ("watch", "Send the flow files of a folder each time they are saved."),
    "git": ("git", "Git sources of a server: status, plan, sync, roll back."),
    "executions": ("executions", "List, show, follow and kill executions of a server."),
    "backfill": ("backfill", "Run the dates of a schedule that are past."),
    "doctor": ("doctor", "Look for what is wrong with secrets."),
    "secrets": ("secrets", "Encode secrets for the server's environment."),
    "db": ("database", "Upgrade or back up the store."),
    "schema": ("schema", "Print the JSON Schema of the flow language."),
    "expand": ("expand", "Print a flow file with what it includes."),
    "init": ("init", "Set up an editor and a commit hook for a folder of flows."),
}
# The words of older tools work, and are not advertised.
OLDER: Mapping[str, tuple[str, str]] = {
    name: (f"older:{name}", "") for name in ("flow", "flows", "namespace", "nsfiles")
}


class Verbs(click.Group):
    """A group whose commands are imported when they are asked for; `verbs` are those it has.

    Each has a module, whose `command` it is unless another name follows a colon.
    """

    verbs: Mapping[str, tuple[str, str]] = VERBS
    older: Mapping[str, tuple[str, str]] = MappingProxyType({})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The verbs, in the order in which a newcomer meets them."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a verb."""
        found = self.verbs.get(cmd_name) or self.older.get(cmd_name)
        if found is None:
            return None
        name, _, attribute = found[0].partition(":")
        module = importlib.import_module(f"penstock_server.cli.{name}")
        command: click.Command = getattr(module, attribute or "command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; Ctrl-C ends it with the exit code that shells expect."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of verbs, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.verbs.items()])


class AllVerbs(Verbs):
    """All verbs, those of older tools among them."""

    older: Mapping[str, tuple[str, str]] = OLDER


@click.group(
    cls=AllVerbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "penstock server --examples",
        "penstock run hello.yml -i name=Ada",
        "penstock validate flows/",
        "penstock VERB --help",
    ),
)
@click.option("--no-color", is_flag=True, help="Write without colours, also to a terminal.")
@click.version_option(package_name="penstock", message="penstock %(version)s")
@click.pass_context
def penstock(context: click.Context, *, no_color: bool) -> None:
    """Push a flow to Git and watch it run."""
    if no_color:
        context.color = False
