"""Who may read which secrets, as the settings say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_runner.jobs.secrets import Scope, Secrets
from penstock_server.config import BadSettings, read_settings


def secrets(folder: Path, scopes: str) -> Secrets:
    (folder / "penstock.yaml").write_text(f"secret: {{scopes: [{scopes}]}}\n")
    return read_settings(environment={}, folder=folder).secrets


def test_a_scope_is_of_namespaces_or_of_protected_refs_or_both(tmp_path: Path) -> None:
    text = "{names: A, namespaces: [a]}, {names: B, protected: true}, {names: C, namespaces: ['*']}"
    assert secrets(tmp_path, text).scopes == (
        Scope(names="A", namespaces=("a",)),
        Scope(names="B", namespaces=("*",), protected=True),
        Scope(names="C", namespaces=("*",)),
    )


def test_a_scope_that_keeps_nothing_from_anybody_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="protected: true"):
        secrets(tmp_path, "{names: A}")
