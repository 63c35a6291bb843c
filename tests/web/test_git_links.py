from __future__ import annotations

from penstock_server.web.pages import git_link


def test_only_what_a_source_has_brought_leads_to_its_page() -> None:
    assert git_link("main") == "/git/main"
    assert git_link("task-0123456789ab") == "/git"
    assert git_link(None) == "/git"
