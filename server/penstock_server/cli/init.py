"""`penstock init`: an editor and a commit hook that know flows, for the present folder."""

from __future__ import annotations

import json
from pathlib import Path

import click

from penstock_server.cli.exits import USAGE, Stop
from penstock_server.cli.screen import examples

SCHEMA = ".vscode/penstock-flow.schema.json"
SETTINGS = ".vscode/settings.json"
HOOK = ".pre-commit-config.yaml"
FLOWS = ("**/_flows/**/*.yml", "**/_flows/**/*.yaml", "**/*.flow.yml", "**/*.flow.yaml")
EXAMPLE = "flows/hello.yml"
HELLO = f"""# yaml-language-server: $schema=../{SCHEMA}
id: hello
namespace: company.team
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: Hello!
"""
HOOKS = """repos:
  - repo: local
    hooks:
      - id: penstock-validate
        name: penstock validate
        entry: penstock validate
        language: system
        files: ^(_flows|flows)/.*\\.ya?ml$
"""


@click.command(epilog=examples("penstock init", "penstock init my-flows"))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
def command(folder: Path) -> None:
    """Write the schema of flows, settings of the editor that name it, a hook and a first flow.

    A file that is there stays; only the settings of the editor get one key more, when they are
    plain JSON.

    Exit codes: 0 fine, 2 a file cannot be written.
    """
    from penstock_runner.flow.schema import flow_schema
    from penstock_runner.tasks.registry import Registry

    schema = json.dumps(flow_schema(Registry()), ensure_ascii=False, separators=(",", ":"))
    _write(folder / SCHEMA, schema + "\n", anew=True)
    _settings(folder / SETTINGS)
    _write(folder / HOOK, HOOKS)
    if not any(folder.glob("flows/*.y*ml")) and not any(folder.glob("_flows/**/*.y*ml")):
        _write(folder / EXAMPLE, HELLO)


def _settings(path: Path) -> None:
    """Have the editor take the schema for flows, beside all that it does already."""
    patterns = ["flows/**/*.yml", "flows/**/*.yaml", *FLOWS]
    try:
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict):
        click.echo(f"{path} stays: add `yaml.schemas` with {SCHEMA!r} by hand", err=True)
        return
    schemas = {**known.get("yaml.schemas", {}), f"./{SCHEMA}": patterns}
    _write(path, json.dumps({**known, "yaml.schemas": schemas}, indent=2) + "\n", anew=True)


def _write(path: Path, text: str, *, anew: bool = False) -> None:
    if path.exists() and not anew:
        click.echo(f"{path} is there and stays", err=True)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Stop(f"{path} cannot be written: {error.strerror}", USAGE) from None
    click.echo(f"{path} is written")
