"""Where the settings put the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_runner.tasks import object_storage
from penstock_runner.tasks.object_storage import Bucket
from penstock_runner.tasks.storage import LocalStorage
from penstock_server.app.faults import CannotStart
from penstock_server.app.runners import runners_of
from penstock_server.config import BadSettings, Told, read_settings
from penstock_server.config.storages import bucket, open_storage


def told(text: str, **environment: str) -> Told:
    return read_settings(
        environment={"PENSTOCK_CONFIGURATION": text, **environment}, folder=Path("/nonexistent")
    )


def test_a_folder_is_a_folder() -> None:
    for text, folder in (
        ("{}", Path.cwd() / ".penstock/storage"),
        ("storage: /srv/x", Path("/srv/x")),
    ):
        found = told(text)
        assert found.settings.storage_root == folder
        assert bucket(found.settings, found.environment) is None
        assert isinstance(open_storage(found.settings, found.environment), LocalStorage)


def test_a_bucket_is_reached_by_the_variables_of_the_service() -> None:
    found = told("storage: s3://files/below", AWS_REGION="eu-west-1", AWS_PROFILE="x")
    assert bucket(found.settings, found.environment) == Bucket(
        url="s3://files/below", options={"aws_region": "eu-west-1"}
    )


def test_any_other_address_is_refused() -> None:
    with pytest.raises(BadSettings, match="s3://BUCKET/PREFIX"):
        told("storage: ftp://files")


def test_a_service_does_not_start_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "find_spec", lambda _: None)
    with pytest.raises(CannotStart, match=r"penstock\[object-storage\]"):
        runners_of(told("storage: s3://files"), 8080)
