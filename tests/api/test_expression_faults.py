"""What is wrong in expressions is told by the validation of the API, and refused when saved."""

from __future__ import annotations

from tests.api.building import Web

LOG = "io.kestra.plugin.core.log.Log"
BROKEN = f"""\
id: a
namespace: team
tasks:
  - id: t
    type: {LOG}
    message: |
      fine
      {{{{ inputs.a | uper }}}}
  - id: u
    type: {LOG}
    message: "{{{{ outputs.nobody.value }}}}"
"""
YAML = "application/x-yaml"


def test_validation_tells_the_line_inside_of_a_text(web: Web) -> None:
    answer = web.client.post("/api/v1/main/flows/validate", data=BROKEN, content_type=YAML)
    [judged] = answer.json
    [error] = judged["errors"]
    assert (error["code"], error["line"], error["column"]) == ("UNKNOWN_FUNCTION", 8, 21)
    assert (error["pointer"], error["hint"]) == ("/tasks/0/message", "did you mean 'upper'?")
    assert "there is no filter 'uper'" in judged["constraints"]
    assert judged["warnings"] == ["no task of this flow is called 'nobody'"]


def test_a_flow_that_can_never_render_is_not_saved(web: Web) -> None:
    answer = web.client.post("/api/v1/main/flows", data=BROKEN, content_type=YAML)
    assert answer.status_code == 422
    right = BROKEN.replace("uper", "upper")
    assert web.client.post("/api/v1/main/flows", data=right, content_type=YAML).status_code == 200
