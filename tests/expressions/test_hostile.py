"""Files made to hurt end in faults with places, within bounds of memory and time.

Each is judged in a process of its own that may take only so much memory beside what Python and
the libraries have taken; one that is not done in time is ended. The bound on time is far above
what is needed, so that a busy machine does not fail a test.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

MORE_MEMORY = 200 * 1024 * 1024
SECONDS = 60
HEAD = "id: one\nnamespace: team\ntasks:\n  - id: it\n    type: io.kestra.plugin.core.log.Log\n"
DEEP = 100_000


def message(text: str) -> str:
    return f"{HEAD}    message: '{text}'\n"


def aliases(levels: int) -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


FILES = {
    "alias bomb": aliases(12).encode(),
    "alias of itself": b"a: &a [*a]\n",
    "deep lists": b"[" * DEEP,
    "deep maps": b"{a: " * DEEP,
    "deep indentation": "".join(f"{' ' * n}a{n}:\n" for n in range(900)).encode(),
    "keys twice": (HEAD + "    message: a\n" * 5_000).encode(),
    "tabs": b"id: one\n\tnamespace: team\n",
    "byte order mark": b"\xef\xbb\xbfid: {{\n",
    "UTF-16": HEAD.encode("utf-16"),
    "no UTF-8": HEAD.encode() + b"    message: \xff\xfe\n",
    "surrogates": HEAD.encode() + b"    message: \xed\xa0\x80\n",
    "zero bytes": b"id: one\x00\n",
    "10 MB scalar": message("x" * 10_000_000).encode(),
    "10 MB of braces": message("{{" * 5_000_000).encode(),
    "braces that open": message("{{" * 400_000).encode(),
    "braces that open, short": message("{{" * 20_000).encode(),
    "prints": message("{{ now() }}" * 80_000).encode(),
    "prints of unknowns": message("{{ x() }}" * 6_000).encode(),
    "plain prints of unknowns": message("{{ env.x }}" * 80_000).encode(),
    "unbalanced tags": message("{% if a %}" * 5_000).encode(),
    "unbalanced ends": message("{% endif %}" * 5_000).encode(),
    "raw that opens": message("{% raw %}" * 100_000).encode(),
    "raw of two names": message("{% raw %}{% endverbatim %}" * 30_000).encode(),
    "comments that open": message("{#" * 400_000).encode(),
    "spaces in a tag": message("{%" + " " * 900_000 + "x").encode(),
    "quotes that open": message('{{ "' * 15_000).encode(),
    "brackets": message("{{ " + "(" * 60_000).encode(),
    "lists": message("{{ " + "[" * 60_000 + "]" * 3).encode(),
    "dots": message("{{ a" + ".b" * 30_000 + " }}").encode(),
    "dots of a plain path": message("{{ a" + ".b" * 400_000 + " }}").encode(),
    "dots that end badly": message("{{ a" + ".b" * 400_000 + " !}}").encode(),
    "pipes": message("{{ a" + " | upper" * 8_000 + " }}").encode(),
    "minus signs": message("{{ " + "-" * 60_000 + "1 }}").encode(),
    "tildes": message("{{ a" + " ~ a" * 15_000 + " }}").encode(),
    "questions": message("{{ a" + " ? a : a" * 7_000 + " }}").encode(),
    "numbers": message("{{ " + "9" * 60_000 + " }}").encode(),
    "interpolations": message('{{ "' + "#{a}" * 15_000 + '" }}').encode(),
    "nested interpolations": message('{{ "' + '#{"' * 15_000).encode(),
    "folded faults": (HEAD + "    message: >\n" + "      {{ nope() }} and more\n" * 2_000).encode(),
    "faults everywhere": (
        "id: one\nnamespace: team\ntasks:\n"
        + "".join(
            f"  - {{id: t{n}, type: io.kestra.plugin.core.log.Log, message: '{{{{ x{n}() }}}}'}}\n"
            for n in range(5_000)
        )
    ).encode(),
    "outputs of nobody": message(
        "".join(f"{{{{ outputs.x{n}.y }}}}" for n in range(30_000))
    ).encode(),
}
RIGHT = {"dots", "tildes"}

JUDGE = """
import resource, sys
from pathlib import Path
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.findings import examine
from penstock_runner.flow.faults import Fault
from penstock_runner.flow.parse import parse_documents
from penstock_runner.flow.yaml import decode
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.validation import all_faults

examine("{{ now() | upper }}")
registry = Registry()
log = "io.kestra.plugin.core.log.Log"
right = f"id: a\\nnamespace: b\\ntasks: [{{id: c, type: {log}, message: d}}]\\n"
all_faults(parse_documents(right)[0], registry)
begun = resource.getrusage(resource.RUSAGE_SELF)
text = decode(Path(sys.argv[1]).read_bytes(), "one.yaml")
faults = [text] if isinstance(text, Fault) else [
    fault for parsed in parse_documents(text, "one.yaml") for fault in all_faults(parsed, registry)
]
ended = resource.getrusage(resource.RUSAGE_SELF)
for fault in faults:
    assert fault.line >= 1 and fault.column >= 1 and fault.message and fault.path == "one.yaml"
taken = (ended.ru_maxrss - begun.ru_maxrss) * 1024
print(len(faults), taken, round(ended.ru_utime - begun.ru_utime, 2), faults[0] if faults else "")
"""


def bounded() -> None:
    """In the child: far more memory than it may take ends it, rather than the machine."""
    resource.setrlimit(resource.RLIMIT_AS, (2 * 1024**3, 2 * 1024**3))


@pytest.mark.parametrize("name", FILES)
def test_a_file_made_to_hurt_ends_in_faults(name: str, tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_bytes(FILES[name])
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, str(path)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        preexec_fn=bounded,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, taken = done.stdout.split()[:2]
    assert int(taken) < MORE_MEMORY
    assert int(count) <= 600
    assert int(count) > 0 or name in RIGHT


TEMPLATES = {
    "catastrophic pattern": "{{ '%s' | replace({'(a+)+$': ''}, regexp=true) }}" % ("a" * 40 + "!"),
    "catastrophic split": "{{ '%s' | split('(x+x+)+y') }}" % ("x" * 40),
    "catastrophic match": "{{ '%s!' | regexMatch('^(a|a)*$') }}" % ("a" * 40),
    "range of a billion": "{{ range(1, 1000000000) }}",
    "span of a billion": "{{ 1..1000000000 }}",
    "loops in loops": "{% for a in 1..9999 %}{% for b in 1..9999 %}{{ b }}{% endfor %}{% endfor %}",
    "doubling": "{% set a = 'xxxxxxxx' %}{% for n in 1..60 %}{% set a = a ~ a %}{% endfor %}",
    "doubling lists": "{% set a = [1] %}{% for n in 1..60 %}{% set a = [a, a] %}{% endfor %}"
    "{{ a }}",
    "merging": "{% set a = [1, 2] %}{% for n in 1..60 %}{% set a = a | merge(a) %}{% endfor %}",
    "large join": "{{ range(1, 99999) | join('%s') }}" % ("x" * 1000),
    "indentation": "{{ '%s' | indent(1000000000) }}" % ("\\n" * 9),
    "padding": "{{ 'x' | abbreviate(1000000000) }}{{ 1 | numberFormat('%s') }}" % ("0" * 5000),
    "render of itself": "{% set a = '{{ render(a) }}' %}{{ render(a) }}",
    "macro of itself": "{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}",
    "powers": "{{ 9999999999 * 9999999999 * 9999999999 }}" + "{{ 2 * 2 }}" * 10,
    "attributes": "{{ ''.__class__.__mro__ }}",
    "attributes of functions": "{{ now.__globals__ }}",
    "attributes by filter": "{{ [''] | selectattr('__class__') | list }}",
    "attributes by index": "{{ ''['__class__'] }}",
    "methods": "{{ 'x'.format('y') }}{{ 'x'.encode() }}",
    "dates": "{{ '99999-01-01' | date }}{{ now() | dateAdd(99999999999999, 'YEARS') }}",
    "pipes": "{{ 'a'" + " | upper" * 8_000 + " }}",
    "tildes": "{{ 'a'" + " ~ 'a'" * 9_000 + " }}",
}
RENDERED = {"catastrophic pattern", "catastrophic split", "indentation", "tildes"}
RENDERED |= {"attributes by filter"}

RENDERER = """
import resource, sys
from pathlib import Path
from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.expressions.errors import ExpressionFailed
expressions = Expressions()
for warm in ("{{ 'a' | upper }}", "{{ 'a' | replace({'b': 'c'}, regexp=true) }}"):
    expressions.render(warm, {}, NoServices())
begun = resource.getrusage(resource.RUSAGE_SELF)
try:
    said = expressions.render(Path(sys.argv[1]).read_text(), {}, NoServices())
    assert "class" not in said, said
    print("rendered", end=" ")
except ExpressionFailed as error:
    assert str(error)
    print("failed", end=" ")
    sys.stderr.write(str(error)[:200])
ended = resource.getrusage(resource.RUSAGE_SELF)
print((ended.ru_maxrss - begun.ru_maxrss) * 1024, round(ended.ru_utime - begun.ru_utime, 2))
"""


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_made_to_hurt_renders_or_fails(name: str, tmp_path: Path) -> None:
    path = tmp_path / "template"
    path.write_text(TEMPLATES[name])
    done = subprocess.run(
        [sys.executable, "-c", RENDERER, str(path)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        preexec_fn=bounded,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    how, taken, _ = done.stdout.split()
    assert int(taken) < MORE_MEMORY
    assert how == ("rendered" if name in RENDERED else "failed"), done.stderr
