"""Filters of texts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from penstock_runner.expressions import java_regex, limits
from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.filters.arguments import text, text_argument, whole_argument
from penstock_runner.expressions.kinds import type_name
from penstock_runner.expressions.numbers import is_whole
from penstock_runner.expressions.text import plain, printed

TEXTS: Table = {}


@offer(TEXTS, "lower")
def lower(value: object) -> str:
    """Lower case."""
    return printed(value).lower()


@offer(TEXTS, "upper")
def upper(value: object) -> str:
    """Upper case."""
    return printed(value).upper()


@offer(TEXTS, "trim")
def trim(value: object) -> str:
    """Without white space at both ends."""
    return text(value, "trim").strip()


@offer(TEXTS, "capitalize")
def capitalize(value: object) -> str:
    """The first letter in upper case, the rest as it is."""
    whole = text(value, "capitalize")
    start = len(whole) - len(whole.lstrip())
    return whole[:start] + whole[start : start + 1].upper() + whole[start + 1 :]


@offer(TEXTS, "title")
def title(value: object) -> str:
    """The first letter of each word in upper case."""
    return re.sub(r"(^|\s)(\S)", lambda m: m[1] + m[2].upper(), text(value, "title"))


@offer(TEXTS, "string", takes_null=True)
def string(value: object) -> str:
    """The value's text."""
    return printed(value)


@offer(TEXTS, "abbreviate", "length", required=1)
def abbreviate(value: object, length: object) -> str:
    """Cut to a length, dots included."""
    whole = text(value, "abbreviate")
    limit = whole_argument(length, "abbreviate", "length")
    if len(whole) <= limit:
        return whole
    if limit < 3:
        raise ExpressionFailed("The length of 'abbreviate' must be 3 or more")
    return f"{whole[: limit - 3]}..."


@offer(TEXTS, "truncate", "length", "killwords", "end")
def truncate(value: object, length: object, _killwords: object, end: object) -> str:
    """Cut to a length (255 when none is given), an ending included."""
    whole = printed(value)
    limit = 255 if length is None else whole_argument(length, "truncate", "length")
    ending = "..." if end is None else printed(end)
    if len(whole) <= limit:
        return whole
    return whole[: max(limit - len(ending), 0)] + ending


@offer(TEXTS, "startsWith", "value", required=1, takes_null=True)
def starts_with(value: object, part: object) -> bool:
    """Whether a text starts so."""
    return text(value, "startsWith").startswith(text_argument(part, "startsWith", "value"))


@offer(TEXTS, "endsWith", "value", required=1, takes_null=True)
def ends_with(value: object, part: object) -> bool:
    """Whether a text ends so."""
    return text(value, "endsWith").endswith(text_argument(part, "endsWith", "value"))


@offer(TEXTS, "replace", "replace_pairs", "regexp", required=1, pure=False)
def replace(value: object, replace_pairs: object, regexp: object) -> object:
    """Pairs replaced one after the other, in every scalar of lists and maps."""
    if not isinstance(replace_pairs, Mapping):
        raise ExpressionFailed("The 'replace' filter takes a map: replace({'old': 'new'})")
    pairs = [(printed(old), printed(new)) for old, new in replace_pairs.items()]
    swap = java_regex.substitute if regexp is True else _swap

    def replaced(content: str) -> str:
        for old, new in pairs:
            content = swap(old, new, content)
        return content

    return _each_scalar(value, replaced)


def _swap(old: str, new: str, content: str) -> str:
    grown = len(content) + (len(new) - len(old)) * (content.count(old) if old else len(content) + 1)
    limits.check_text(grown)
    return content.replace(old, new)


def _each_scalar(
    value: object, change: Callable[[str], str], budget: limits.Budget | None = None
) -> object:
    spent = budget or limits.Budget()
    if isinstance(value, Mapping):
        return {key: _each_scalar(item, change, spent) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_each_scalar(item, change, spent) for item in value]
    if value is None:
        return None
    changed = change(printed(value))
    spent.spend(len(changed))
    return changed


@offer(TEXTS, "escapeChar", "type", required=1)
def escape_char(value: object, kind: object) -> object:
    """Quotes escaped for single-quoted, double-quoted or shell text."""
    escapes = {"single": ("'", "\\'"), "double": ('"', '\\"'), "shell": ("'", "'\\''")}
    pair = escapes.get(kind.lower()) if isinstance(kind, str) else None
    if pair is None:
        raise ExpressionFailed(
            "The 'escapeChar' filter expects the value of 'type' to be either 'single', "
            "'double', or 'shell'."
        )
    quote, escaped = pair
    return _each_scalar(value, lambda content: _swap(quote, escaped, content))


@offer(TEXTS, "sh")
def shell_quoted(value: object) -> str:
    """One word of a shell command, quoted when it needs to be."""
    import shlex

    return shlex.quote(printed(value))


@offer(TEXTS, "indent", "amount", "prefix", required=1)
def indent(value: object, amount: object, prefix: object) -> str:
    """Each line but the first moved in."""
    whole = printed(value)
    return _indented(whole, amount, prefix, "indent") if whole else ""


@offer(TEXTS, "nindent", "amount", "prefix", required=1)
def nindent(value: object, amount: object, prefix: object) -> str:
    """A new line first, then every line moved in."""
    whole = printed(value)
    if not whole:
        return ""
    return _indented(f"{_newline(whole)}{whole}", amount, prefix, "nindent")


def _indented(whole: str, amount: object, prefix: object, name: str) -> str:
    count = whole_argument(amount, name, "amount")
    if count < 0:
        raise ExpressionFailed(f"The amount of '{name}' must not be negative")
    sign = " " if prefix is None else printed(prefix)
    newline = _newline(whole)
    breaks = whole.count(newline)
    if not breaks:
        return whole
    limits.check_text(len(whole) + breaks * len(sign) * count)
    return whole.replace(newline, newline + sign * count)


def _newline(whole: str) -> str:
    if "\r\n" in whole:
        return "\r\n"
    return "\r" if "\r" in whole and "\n" not in whole else "\n"


@offer(TEXTS, "split", "delimiter", "limit", required=1, pure=False)
def split(value: object, delimiter: object, limit: object) -> list[str]:
    """The parts between the matches of a regular expression."""
    count = None if limit is None else whole_argument(limit, "split", "limit")
    parts = java_regex.split(
        text_argument(delimiter, "split", "delimiter"), text(value, "split"), count
    )
    limits.check_items(len(parts))
    return parts


@offer(TEXTS, "slugify")
def slugify(value: object) -> str:
    """Lower-case words joined by hyphens."""
    flat = unicodedata.normalize("NFD", re.sub(r"\s", "-", printed(value)))
    kept = re.sub(r"[^A-Za-z0-9_-]", "", flat).replace("_", "-")
    return re.sub(r"-{2,}", "-", kept).strip("-").lower()


def _cut(name: str, take: Callable[[str, str], str]) -> None:
    @offer(TEXTS, name, "separator", required=1)
    def cut(value: object, separator: object) -> str:
        return take(text(value, name), text_argument(separator, name, "separator"))


_cut("substringBefore", lambda whole, sign: whole.partition(sign)[0] if sign else whole)
_cut(
    "substringBeforeLast",
    lambda whole, sign: whole.rpartition(sign)[0] if sign and sign in whole else whole,
)
_cut("substringAfter", lambda whole, sign: whole.partition(sign)[2] if sign else whole)
_cut(
    "substringAfterLast",
    lambda whole, sign: whole.rpartition(sign)[2] if sign and sign in whole else "",
)


@offer(TEXTS, "regexMatch", "regex", required=1, pure=False)
def regex_match(value: object, pattern: object) -> bool:
    """Whether a regular expression matches somewhere in a text."""
    return java_regex.found(text_argument(pattern, "regexMatch", "regex"), printed(value))


@offer(TEXTS, "regexReplace", "regex", "replacement", required=2, pure=False)
def regex_replace(value: object, pattern: object, replacement: object) -> str:
    """Every match of a regular expression replaced."""
    expression = text_argument(pattern, "regexReplace", "regex")
    return java_regex.substitute(expression, plain(replacement), printed(value))


@offer(TEXTS, "regexExtract", "regex", "group", required=1, pure=False)
def regex_extract(value: object, pattern: object, group: object) -> str | None:
    """The first match of a regular expression, or one group of it."""
    number = group if is_whole(group) else 0
    return java_regex.extract(
        text_argument(pattern, "regexExtract", "regex"), printed(value), number
    )


@offer(TEXTS, "className")
def class_name(value: object) -> str:
    """The class of a value, as flows written for Java expect its name."""
    return type_name(value)
