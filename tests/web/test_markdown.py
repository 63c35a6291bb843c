"""Markdown of tasks on a page: what it becomes, and what it cannot bring in."""

from __future__ import annotations

import re

import pytest

from penstock_server.web.markdown import LONGEST_LINE, html

ALLOWED = re.compile(
    r"</?(?:p|h[3-6]|ul|ol|li|pre|code|blockquote|table|thead|tbody|tr|th|td|strong|em|s)>"
    r"|<br>|<hr>|</a>"
    r'|<a href="https?://[^"<>]*" rel="nofollow noopener noreferrer">'
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Done", "<h3>Done</h3>"),
        ("a *b* **c** `d<e`", "<p>a <em>b</em> <strong>c</strong> <code>d&lt;e</code></p>"),
        ("one\ntwo\n\nthree", "<p>one<br>two</p>\n<p>three</p>"),
        ("- a\n- b\n  - c", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        ("```sh\n<b> *x*\n```", "<pre><code>&lt;b&gt; *x*</code></pre>"),
        ("> so", "<blockquote><p>so</p></blockquote>"),
        ("---", "<hr>"),
        (
            "| a | b |\n|---|:-:|\n| 1 | **2** |",
            "<table><thead><tr><th>a</th><th>b</th></tr></thead>"
            "<tbody><tr><td>1</td><td><strong>2</strong></td></tr></tbody></table>",
        ),
        ("a_b_c 2*3*4", "<p>a_b_c 2*3*4</p>"),
        ("# ******\n******", "<h3>******</h3>\n<p>******</p>"),
        ("a **bold *and* more** ******", "<p>a <strong>bold <em>and</em> more</strong> ******</p>"),
    ],
)
def test_markdown_becomes_html(text: str, expected: str) -> None:
    assert html(text) == expected


def test_a_link_leads_to_the_web_and_nowhere_else() -> None:
    assert html('[x](https://a.org/?b="c)') == (
        '<p><a href="https://a.org/?b=&#34;c" rel="nofollow noopener noreferrer">x</a></p>'
    )
    assert html("[x](javascript:alert)") == "<p>x</p>"
    assert "<img" not in html("![a picture](https://a.org/b.png)")


HOSTILE = [
    "<script>alert(1)</script>",
    "[<img src=x onerror=y>](https://a.org)",
    "`<b>`<i>**<u>**",
    "[x](data:text/html,<script>)",
    'https://a.org/"onmouseover="x',
    "| <b> | <i> |\n|-|-|\n| <u> | [a](JAVASCRIPT:b) |",
    "```\n</code></pre><script>",
    "> > > > > > > > <b>",
    "- <b>\n    - <i>\n        - <u>\n            - <s>\n                - <a>\n"
    + "  " * 99
    + "- x",
    "*" * 999 + "`" * 999,
    "x" * (LONGEST_LINE + 1) + "<b>",
    "|" * 500 + "\n" + "|-" * 400,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_but_a_few_elements_comes_out(text: str) -> None:
    assert "<" not in ALLOWED.sub("", str(html(text)))


@pytest.mark.parametrize(
    "text",
    ["# a{spaces}b", "a|b\n{spaces}x|", "a|b\n|--{spaces}x", "- {spaces}x", "> {spaces}x"],
)
def test_a_line_of_many_spaces_takes_no_longer_than_others(text: str) -> None:
    spaces = " " * 120_000
    assert "x" in html(text.format(spaces=spaces)) or "b" in html(text.format(spaces=spaces))


@pytest.mark.parametrize(
    ("text", "words"),
    [("# a #", "a"), ("## a ##  ", "a"), ("# a#", "a#"), ("# a # b", "a # b"), ("# #", "")],
)
def test_marks_that_close_a_heading_are_no_words_of_it(text: str, words: str) -> None:
    assert re.fullmatch(rf"<h\d>{re.escape(words)}</h\d>", html(text))
