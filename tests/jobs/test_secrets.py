"""Where secrets come from, and who may read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_runner.expressions.errors import ExpressionFailed, UnknownSecret
from penstock_runner.jobs.secrets import Scope, Secrets, named_in, secret_of


def test_a_file_wins_over_a_variable_and_loses_one_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from the file\n\n")
    secrets = Secrets({"TOKEN": "from the environment", "OTHER": "x"}, folder=tmp_path)
    assert secrets["TOKEN"] == "from the file\n"
    assert secrets["OTHER"] == "x"
    assert sorted(secrets) == ["OTHER", "TOKEN"]
    assert secrets.doubled() == ["TOKEN"]
    assert secrets.source("TOKEN") == str(tmp_path / "token")


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("old")
    secrets = Secrets({}, files={"TOKEN": path})
    assert secrets["TOKEN"] == "old"
    path.with_suffix(".new").write_text("new one")
    path.with_suffix(".new").replace(path)
    assert secrets["TOKEN"] == "new one"
    path.unlink()
    assert secrets.get("TOKEN") is None


def test_what_is_no_text_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "BINARY").write_bytes(b"\xff\xfe")
    (tmp_path / ".hidden").write_text("x")
    secrets = Secrets({}, folder=tmp_path)
    assert list(secrets) == ["BINARY"]
    assert secrets.get("BINARY") is None


def test_a_scope_keeps_secrets_to_its_namespaces() -> None:
    secrets = Secrets(
        {"PROD_KEY": "p", "KEY": "k"},
        scopes=[Scope(names="prod_*", namespaces=("prod", "prod.*"))],
    )
    assert secret_of(secrets, "prod_key", "prod.app") == "p"
    assert secret_of(secrets, "KEY", "team") == "k"
    with pytest.raises(ExpressionFailed, match=r"SECRET_NOT_ALLOWED.*team.*PROD_KEY"):
        secret_of(secrets, "PROD_KEY", "team")
    with pytest.raises(UnknownSecret):
        secret_of(secrets, "NONE", "team")


def test_values_are_not_shown_by_the_map_itself() -> None:
    assert "hunter2" not in repr(Secrets({"A": "hunter2"}))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("nothing", set()),
        ("{{ secret('a_b') }} and {{secret( \"C\" )|lower}}", {"A_B", "C"}),
        ("{{ secret(key='A', namespace='x') }}", {"A"}),
        (r'{"message": "{{ secret(\"A\") }}"}', {"A"}),
        ("{{ secret('A') }} {{ secret(inputs.name) }}", None),
        ("{{ secret('A' ~ inputs.name) }}", None),
    ],
)
def test_the_secrets_that_a_text_names(text: str, names: set[str] | None) -> None:
    assert named_in(text) == names


def test_a_file_that_comes_later_is_found(tmp_path: Path) -> None:
    secrets = Secrets({}, folder=tmp_path)
    assert list(secrets) == []
    (tmp_path / "token").write_text("x")
    assert secrets["TOKEN"] == "x"


def test_a_secret_of_protected_refs_is_for_flows_that_came_from_one() -> None:
    secrets = Secrets(
        {"DEPLOY_KEY": "d"}, scopes=[Scope(names="DEPLOY_*", namespaces=("*",), protected=True)]
    )
    assert secret_of(secrets, "deploy_key", "team", protected=True) == "d"
    with pytest.raises(ExpressionFailed, match=r"SECRET_NOT_ALLOWED.*protected ref"):
        secret_of(secrets, "deploy_key", "team")
