"""Secrets with scopes in what the web process renders: keys and signatures of webhooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.api.building import HandClock

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_server.app.web import WebExpressions
from penstock_server.config import read_settings


def test_a_webhook_key_is_a_secret_that_its_namespace_may_read(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text(
        "secret: {scopes: [{names: 'PROD_*', namespaces: [prod]}]}\n"
    )
    told = read_settings(environment={"SECRET_PROD_KEY": "aHVudGVyMjI="}, folder=tmp_path)
    expressions = WebExpressions(told, HandClock())  # type: ignore[arg-type]
    key = "{{ secret('PROD_KEY') }}"
    assert expressions.render(key, {"flow": {"namespace": "prod"}}) == "hunter22"
    with pytest.raises(ExpressionFailed, match="SECRET_NOT_ALLOWED"):
        expressions.render(key, {"flow": {"namespace": "team"}})
