"""What runners take, as a file or a running service tells it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from penstock_runner.flow.offers import Offer
from penstock_server.cli.exits import USAGE, Stop

SHAPE = "expected a map of runners to lists of labels, or to labels, namespaces and protected"


def of_file(path: Path) -> dict[str, Offer]:
    """The runners of a YAML file: each with its labels, or with all that it says of itself."""
    try:
        found = yaml.safe_load(path.read_text("utf-8-sig"))
    except OSError as error:
        raise Stop(f"{path} cannot be read: {error.strerror}", USAGE) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Stop(f"{path} is not YAML: {error}", USAGE) from None
    if not isinstance(found, dict):
        raise Stop(f"{path}: {SHAPE}", USAGE)
    offers: dict[str, Offer] = {}
    for name, said in found.items():
        offer = _offer(said)
        if offer is None:
            raise Stop(f"{path}: {name}: {SHAPE}", USAGE)
        offers[str(name)] = offer
    return offers


def of_server(server: str) -> dict[str, Offer]:
    """The runners of a service that it has heard of lately."""
    from penstock_server.cli.connection import connected

    told = os.environ  # noqa: TID251 - who asks, as for every verb that calls a service
    user, token = told.get("PENSTOCK_USER"), told.get("PENSTOCK_TOKEN")
    found = connected(server, user, token, None).get("/api/v1/main/runners")
    return {
        str(one["name"]): _offer(one) or Offer()
        for one in found["results"]
        if one["state"] == "ALIVE"
    }


def _offer(said: Any) -> Offer | None:
    if isinstance(said, Mapping):
        labels, namespaces = said.get("labels") or (), said.get("namespaces") or ()
        protected = bool(said.get("protected"))
    else:
        labels, namespaces, protected = said, (), False
    if not all(isinstance(listed, list | tuple) for listed in (labels, namespaces)):
        return None
    return Offer(
        labels=frozenset(str(label).lower() for label in labels),
        namespaces=tuple(map(str, namespaces)),
        protected=protected,
    )
