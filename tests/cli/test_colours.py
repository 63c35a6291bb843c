"""Colours in a terminal, folds of logs there, and a terminal that is to have none."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock_server.cli.log_text import log_text
from penstock_server.cli.verbs import penstock

FLOW = """
id: say
namespace: team
tasks:
  - {id: hello, type: io.kestra.plugin.core.log.Log, message: "::group::Greetings"}
  - {id: more, type: io.kestra.plugin.core.log.Log, message: "hello"}
  - {id: end, type: io.kestra.plugin.core.log.Log, message: "::endgroup::"}
"""


@pytest.mark.parametrize(("options", "coloured"), [((), True), (("--no-color",), False)])
def test_a_terminal_has_colours_unless_told_otherwise(
    tmp_path: Path, options: tuple[str, ...], coloured: bool
) -> None:
    file = tmp_path / "say.yaml"
    file.write_text(FLOW)
    told = CliRunner().invoke(penstock, [*options, "run", str(file)], color=True)
    assert told.exit_code == 0, told.output
    assert ("\x1b[" in told.output) is coloured
    assert "▾ Greetings" in told.output
    assert "endgroup" not in told.output


def test_a_message_is_text_the_title_of_a_fold_or_nothing() -> None:
    assert log_text("plain") == "plain"
    assert log_text("::endgroup::") is None
    assert log_text("section_end:1:x\r") is None
    assert "Build" in (log_text("section_start:1:x[collapsed=true]\rBuild") or "")
