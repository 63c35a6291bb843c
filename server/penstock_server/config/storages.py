"""Where the files of executions and namespaces are: a folder, or a bucket."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.tasks.object_storage import Bucket, bucket_of, open_bucket
from penstock_runner.tasks.storage import LocalStorage, Storage
from penstock_server.config.settings import Settings


def bucket(settings: Settings, environment: Mapping[str, str]) -> Bucket | None:
    """The bucket of the settings, None for a folder; `environment` says how to reach it."""
    return bucket_of(settings.storage, environment) if isinstance(settings.storage, str) else None


def open_storage(settings: Settings, environment: Mapping[str, str]) -> Storage:
    """The storage of this installation; raises `ExtraMissing` for a bucket without its extra."""
    place = bucket(settings, environment)
    return LocalStorage(settings.storage_root) if place is None else open_bucket(place)
