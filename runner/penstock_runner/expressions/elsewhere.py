"""Names of filters and functions that other installations know, and what to write here instead."""

from __future__ import annotations

INSTEAD = {
    "appLink": "apps are not part of this installation",
    "assets": "assets are not part of this installation",
    "boundedRange": "write range(start, end)",
    "condenseString": "write regexReplace('\\s+', ' ')",
    "credential": "write secret('NAME')",
    "currentOutput": "write currentEachOutput(outputs.task)",
}
"""Names that exist elsewhere: a flow that has one is right, but fails here when it is reached."""

MEANT = {"secrets": "write secret('NAME')", "kv": "write kv('KEY')"}
"""Names that exist nowhere, but that many write."""
