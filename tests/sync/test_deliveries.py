from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock_server.sync.deliveries import FORGES, signed_delivery
from penstock_server.sync.webhooks import Push, Rejected, read_push

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://git.example.org/acme/flows.git"


@pytest.mark.parametrize("forge", FORGES)
def test_what_we_sign_ourselves_is_believed_as_a_push_of_its_forge(forge: str) -> None:
    made = signed_delivery(
        forge,
        "s3cret",
        identity="d1",
        url=URL,
        ref="refs/heads/main",
        commit="a" * 40,
        now=NOON,
    )
    push = read_push(made.headers, made.body, ["s3cret"], now=NOON)
    assert isinstance(push, Push), push
    assert (push.forge, push.ref, push.after) == (forge, "refs/heads/main", "a" * 40)
    assert URL.removesuffix(".git") in " ".join(push.addresses)
    assert isinstance(read_push(made.headers, made.body, ["other"], now=NOON), Rejected)
    assert "s3cret" not in str(made)
