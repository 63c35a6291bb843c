from __future__ import annotations

import pytest

from penstock_server.sync.asked import Look
from penstock_server.sync.configuration import git_settings
from penstock_server.sync.look import remote_for
from penstock_server.sync.requests import look_request, proxy_for
from penstock_server.sync.state import SourceState

PROXIES = {"https": "http://proxy:3128", "http": "proxy:3128", "no": "localhost,.inside.example"}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://git.example.org/x.git", "http://proxy:3128"),
        ("http://git.example.org/x.git", "http://proxy:3128"),
        ("https://git.inside.example/x.git", None),
        ("https://localhost:8443/x.git", None),
        ("ssh://git@git.example.org/x.git", None),
        ("file:///srv/x.git", None),
    ],
)
def test_the_proxy_of_the_environment_is_for_hosts_that_it_does_not_leave_out(
    url: str, proxy: str | None
) -> None:
    assert proxy_for(url, PROXIES) == proxy


def request(environment: dict[str, str] | None = None, **source: object) -> dict[str, object]:
    described = {"id": "main", "url": "https://git.example.org/x.git", **source}
    git = git_settings({"sources": [described], "allow_private": False}, environment)
    secrets = {"TOKEN": "s3cret"}
    asked: dict[str, object] = look_request(
        git.sources[0],
        SourceState(id="main"),
        {},
        secrets=secrets.get,
        git=git,
        observed=None,
        reread=False,
        look=Look(),
    )["source"]
    return asked


def test_what_a_source_says_of_its_proxy_wins_over_the_environment() -> None:
    environment = {"HTTPS_PROXY": "http://one:1", "https_proxy": "http://two:2", "NO_PROXY": "x"}
    assert request(environment)["proxy"] == "http://two:2"
    assert request(environment, proxy="none")["proxy"] == "none"
    assert request()["proxy"] is None


def test_a_request_becomes_a_remote_with_all_that_its_source_says() -> None:
    remote = remote_for(
        request(auth={"tokenSecret": "TOKEN"}, tls={"caFile": "/ca.pem", "clientCert": "/own.pem"})
    )
    assert (remote.ca_file, remote.client_cert) == ("/ca.pem", "/own.pem")
    assert (remote.credentials.password, remote.private_hosts) == ("s3cret", False)
    assert "s3cret" not in repr(remote)
