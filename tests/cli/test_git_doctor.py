"""`penstock git doctor` against a service with one source that works and one that does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cli.command import penstock
from tests.git_http import Repository
from tests.live import Service, live_service
from tests.sync.world import flow

CONFIG = """git:
  fileRoots: [{folder}]
  sources:
    - {{id: fine, url: "file://{folder}/flows.git"}}
    - {{id: lost, url: "https://no-such-host.invalid/x.git"}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("live")
    Repository(folder / "flows.git").commit({"a.yml": flow("a")})
    (folder / "home").mkdir()
    (folder / "home" / "penstock.yaml").write_text(CONFIG.format(folder=folder))
    with live_service(folder) as running:
        yield running


@pytest.mark.e2e
def test_the_doctor_says_what_is_wrong_with_which_source(service: Service) -> None:
    told = penstock("git", "doctor", "--server", service.url)
    assert told.code == 1, told.err
    assert "no-such-host.invalid has no address" in told.out
    found = penstock("git", "doctor", "--format", "json", "--server", service.url)
    assert found.code == 1
    assert {one["source"]: one["ok"] for one in found.json["sources"]} == {
        "fine": True,
        "lost": False,
    }


@pytest.mark.e2e
def test_a_source_that_works_ends_with_zero_and_an_unknown_one_is_named(service: Service) -> None:
    told = penstock("git", "doctor", "fine", "--server", service.url)
    assert told.code == 0, told.out
    assert "is at" in told.out
    unknown = penstock("git", "doctor", "other", "--server", service.url)
    assert unknown.code == 2
    assert "it has fine, lost" in unknown.err
