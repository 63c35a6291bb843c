from __future__ import annotations

import pytest

from penstock_server.web.forge_links import file_link, web_address

SHA = "4f2c9d1"


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://github.com/acme/flows.git", "https://github.com/acme/flows/blob/4f2c9d1/a b.yml"),
        ("git@github.com:acme/flows.git", "https://github.com/acme/flows/blob/4f2c9d1/a b.yml"),
        (
            "https://gitlab.example.org/x/y/flows",
            "https://gitlab.example.org/x/y/flows/-/blob/4f2c9d1/a b.yml",
        ),
        (
            "ssh://git@codeberg.org/acme/flows.git",
            "https://codeberg.org/acme/flows/src/commit/4f2c9d1/a b.yml",
        ),
        ("https://bitbucket.org/w/r", "https://bitbucket.org/w/r/src/4f2c9d1/a b.yml"),
    ],
)
def test_a_fault_links_to_its_line_at_the_forge(url: str, link: str) -> None:
    found = file_link(url, SHA, "a b.yml", 7)
    assert found is not None
    place, _, line = found.partition("#")
    assert (place, line.lstrip("lines-L")) == (link.replace(" ", "%20"), "7")


@pytest.mark.parametrize(
    "url", ["file:///srv/flows.git", "deploy:ci", "https://git.example.org/x", "http://[::1", ""]
)
def test_an_unknown_forge_gets_no_link(url: str) -> None:
    assert file_link(url, SHA, "a.yml") is None


def test_no_password_gets_into_a_link() -> None:
    assert (
        web_address("https://ana:secret@github.com/acme/flows") == "https://github.com/acme/flows"
    )
