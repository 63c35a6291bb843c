"""The spellings of older tools, for scripts that use them: `flow`, `flows`, `namespace`, ...

Each is a thin way to a verb of ours, or to the call of the API that always did it.
"""

from __future__ import annotations

from collections.abc import Mapping

import click

from penstock_server.cli.verbs import Verbs


class FlowVerbs(Verbs):
    """The verbs below `penstock flow`."""

    verbs: Mapping[str, tuple[str, str]] = {
        "validate": ("older_flows:validate", "Check flow files; `penstock validate`."),
        "updates": ("older_flows:updates", "Save the flows of a folder."),
        "namespace": ("older:flow_namespace", "Save the flows of a folder in one namespace."),
        "expand": ("expand", "A flow file with what it includes; `penstock expand`."),
        "export": ("older_flows:export", "All flows of a namespace, or of all, as an archive."),
        "rollback": ("flow_holds:rollback", "Take one flow back to a revision, for a time."),
        "resume": ("flow_holds:resume", "Let the repository have its flow again."),
    }


class FlowNamespaceVerbs(Verbs):
    """The verbs below `penstock flow namespace`."""

    verbs: Mapping[str, tuple[str, str]] = {
        "update": ("older_flows:update", "Save the flows of a folder in one namespace.")
    }


class FlowsVerbs(Verbs):
    """The verbs below `penstock flows`."""

    verbs: Mapping[str, tuple[str, str]] = {
        "validate": ("older_flows:validate", "Check flow files; `penstock validate`."),
        "deploy": ("older_flows:deploy", "Save the flows of files and folders."),
    }


class NamespaceVerbs(Verbs):
    """The verbs below `penstock namespace`."""

    verbs: Mapping[str, tuple[str, str]] = {"files": ("older:files", "Files of a namespace.")}


class FileVerbs(Verbs):
    """The verbs below `penstock namespace files`."""

    verbs: Mapping[str, tuple[str, str]] = {
        "update": ("older_files:update", "Put a file or a folder into a namespace.")
    }


class UploadVerbs(Verbs):
    """The verbs below `penstock nsfiles`."""

    verbs: Mapping[str, tuple[str, str]] = {
        "upload": ("older_files:upload", "Put a file or a folder into a namespace.")
    }


@click.group(cls=FlowVerbs)
def flow() -> None:
    """Flows, in the words of older tools; see also `penstock deploy` and `penstock validate`."""


@click.group(cls=FlowNamespaceVerbs)
def flow_namespace() -> None:
    """The flows of one namespace."""


@click.group(cls=FlowsVerbs)
def flows() -> None:
    """Flows, in the words of older tools; see also `penstock deploy` and `penstock validate`."""


@click.group(cls=NamespaceVerbs)
def namespace() -> None:
    """Namespaces, in the words of older tools."""


@click.group(cls=FileVerbs)
def files() -> None:
    """Files of namespaces, in the words of older tools."""


@click.group(cls=UploadVerbs)
def nsfiles() -> None:
    """Files of namespaces, in the words of older tools."""
