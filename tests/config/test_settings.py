"""Settings from files, configuration texts, the environment and options."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from penstock_server.config import (
    BadSettings,
    decoded_secret,
    read_env_file,
    read_settings,
)

COMPOSE = """
datasources:
  postgres:
    url: jdbc:postgresql://postgres:5432/kestra
    driverClassName: org.postgresql.Driver
    username: kestra
    password: k3str4
kestra:
  server:
    basicAuth:
      enabled: true
      username: "admin@kestra.io"
      password: kestra
  repository:
    type: postgres
  storage:
    type: local
    local:
      basePath: "/app/storage"
  queue:
    type: postgres
  tasks:
    tmpDir:
      path: /tmp/kestra-wd/tmp
  url: http://localhost:8080/
  encryption:
    secret-key: c2VjcmV0
  variables:
    globals:
      env: prod
  plugins:
    defaults:
      - type: io.kestra.plugin.core.log.Log
        values: {level: WARN}
    configurations:
      - type: io.kestra.plugin.core.trigger.Schedule
        values: {recoverMissedSchedules: NONE}
      - type: io.kestra.plugin.core.flow.Other
        values: {some: thing}
  anonymous-usage-report:
    enabled: false
micronaut:
  server:
    port: 9090
"""


def settings_of(**environment: str):
    return read_settings(environment=environment, folder=Path("/nonexistent")).settings


def test_nothing_said_gives_a_service_on_loopback_with_sqlite_in_its_home() -> None:
    settings = settings_of()
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.database.startswith("sqlite:///")
    assert settings.database.endswith("/.penstock/penstock.db")


def test_variables_go_before_files_and_options_before_variables(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text("port: 1111\nhost: localhost\nweb: 2\n")
    told = read_settings(
        {"port": 3333}, environment={"PENSTOCK_PORT": "2222", "PENSTOCK_WEB": "3"}, folder=tmp_path
    )
    assert (told.settings.port, told.settings.host, told.settings.web) == (3333, "localhost", 3)


def test_a_compose_file_written_for_kestra_is_understood() -> None:
    told = read_settings(environment={"KESTRA_CONFIGURATION": COMPOSE}, folder=Path("/nonexistent"))
    settings = told.settings
    assert settings.database == "postgresql://kestra:k3str4@postgres:5432/kestra"
    assert settings.port == 9090
    assert settings.url == "http://localhost:8080/"
    assert settings.basic_auth is not None
    assert settings.basic_auth.username == "admin@kestra.io"
    assert settings.storage == Path("/app/storage")
    assert settings.runner.workspaces == Path("/tmp/kestra-wd/tmp")
    assert settings.globals == {"env": "prod"}
    assert settings.encryption_key == "c2VjcmV0"
    assert settings.plugin_defaults[0]["type"] == "io.kestra.plugin.core.log.Log"
    assert settings.recover_missed_schedules == "NONE"


def test_keys_that_mean_nothing_here_are_named_and_known_ones_ignored_in_silence() -> None:
    told = read_settings(environment={"KESTRA_CONFIGURATION": COMPOSE}, folder=Path("/nonexistent"))
    said = "\n".join(told.notes)
    assert "kestra.anonymousUsageReport.enabled" in said
    assert "the configuration of plugin `io.kestra.plugin.core.flow.Other`" in said
    assert "core.trigger.Schedule" not in said
    assert "repository" not in said
    assert "queue" not in said
    assert "driverClassName" not in said


def test_our_own_configuration_variable_wins_over_the_foreign_one() -> None:
    told = read_settings(
        environment={"PENSTOCK_CONFIGURATION": "port: 7000", "KESTRA_CONFIGURATION": COMPOSE},
        folder=Path("/nonexistent"),
    )
    assert told.settings.port == 7000
    assert told.settings.database_url is None


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(BadSettings) as bad:
        read_settings(
            environment={"PENSTOCK_PORT": "eighty", "PENSTOCK_WEB": "0"},
            folder=Path("/nonexistent"),
        )
    said = "\n".join(bad.value.faults)
    assert "port" in said
    assert "web" in said


def test_an_unknown_setting_of_our_own_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text("prot: 80\n")
    with pytest.raises(BadSettings, match="`prot` is no setting"):
        read_settings(environment={}, folder=tmp_path)


def test_broken_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text("port: 80\ngit: [\n")
    with pytest.raises(BadSettings, match=r"penstock\.yaml:\d+:\d+: is not YAML"):
        read_settings(environment={}, folder=tmp_path)


def test_an_address_that_others_reach_needs_a_user() -> None:
    with pytest.raises(BadSettings, match=r"0\.0\.0\.0 can be reached by others"):
        settings_of(PENSTOCK_HOST="0.0.0.0")
    settings = settings_of(PENSTOCK_HOST="0.0.0.0", PENSTOCK_BASIC_AUTH="ada:secret")
    assert settings.basic_auth is not None


def test_a_password_is_in_no_fault_and_no_repr() -> None:
    told = read_settings(
        environment={"PENSTOCK_BASIC_AUTH": "ada:s3cret-word"}, folder=Path("/nonexistent")
    )
    assert "s3cret-word" not in repr(told)
    with pytest.raises(BadSettings) as bad:
        settings_of(KESTRA_CONFIGURATION=COMPOSE.replace("9090", "nine"))
    assert "k3str4" not in "\n".join(bad.value.faults)


def test_secrets_are_base64_in_any_alphabet_with_or_without_padding() -> None:
    plain = "päss?>wörd"
    encoded = base64.b64encode(plain.encode()).decode()
    for form in (encoded, encoded.rstrip("="), base64.urlsafe_b64encode(plain.encode()).decode()):
        assert decoded_secret(form) == plain
    assert decoded_secret("not base64!") is None


def test_a_secret_that_does_not_decode_is_skipped_and_named_without_its_value() -> None:
    told = read_settings(
        environment={"SECRET_GOOD": "aGVsbG8=", "SECRET_BAD": "%%value%%"},
        folder=Path("/nonexistent"),
    )
    assert told.secrets == {"GOOD": "hello"}
    [note] = told.notes
    assert "SECRET_BAD" in note
    assert "%%value%%" not in note


def test_a_misspelt_variable_of_ours_is_named() -> None:
    told = read_settings(environment={"PENSTOCK_PROT": "80"}, folder=Path("/nonexistent"))
    assert any("PENSTOCK_PROT" in note for note in told.notes)


def test_envs_lose_their_prefix_and_their_case() -> None:
    told = read_settings(
        environment={"ENV_REGION": "eu", "KESTRA_STAGE": "dev"}, folder=Path("/nonexistent")
    )
    assert told.envs == {"region": "eu", "stage": "dev"}


def test_an_env_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# comment\nexport A=1\nB='two words'\n\nC=x=y\n")
    assert read_env_file(path) == {"A": "1", "B": "two words", "C": "x=y"}
    path.write_text("A=1\nnonsense\n")
    with pytest.raises(BadSettings, match=r"\.env:2: expected NAME=value"):
        read_env_file(path)


def test_secrets_may_be_plain_or_in_files_and_what_is_wrong_is_told(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text(
        f"secret: {{encoding: plain, dir: {tmp_path}/run, scopes: "
        "[{names: 'PROD_*', namespaces: [prod]}]}\n"
    )
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "db_password").write_text("from a file\n")
    (tmp_path / "token").write_text("of a path")
    given = {
        "SECRET_API": "as it is",
        "SECRET_SHORT": "ab",
        "SECRETFILE_TOKEN": str(tmp_path / "token"),
        "SECRETFILE_GONE": str(tmp_path / "gone"),
    }
    told = read_settings(environment=given, folder=tmp_path)
    assert told.secrets["API"] == "as it is"
    assert told.secrets["DB_PASSWORD"] == "from a file"
    assert told.secrets["TOKEN"] == "of a path"
    assert told.environment == {}
    assert [note for note in told.notes if "GONE" in note]
    assert [note for note in told.notes if "SHORT" in note and "not masked" in note]
    assert not any(value in note for value in ("as it is", "of a path") for note in told.notes)
