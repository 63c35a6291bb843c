"""Where a forge shows a line of a file of a commit, when its address tells which forge it is."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

_SCP = re.compile(r"(?:[^@/]+@)?([^:/]+):(?!//)(.+)")
_PATTERNS = (
    ("github", "{base}/blob/{sha}/{path}#L{line}"),
    ("gitlab", "{base}/-/blob/{sha}/{path}#L{line}"),
    ("bitbucket.org", "{base}/src/{sha}/{path}#lines-{line}"),
    ("codeberg.org", "{base}/src/commit/{sha}/{path}#L{line}"),
    ("gitea", "{base}/src/commit/{sha}/{path}#L{line}"),
    ("forgejo", "{base}/src/commit/{sha}/{path}#L{line}"),
)


def file_link(url: str, sha: str | None, path: str, line: int = 1) -> str | None:
    """The page of a line; None for a forge that is not known."""
    base = web_address(url)
    if base is None or not sha or not path:
        return None
    host = urlsplit(base).hostname or ""
    for name, pattern in _PATTERNS:
        if name in host:
            return pattern.format(base=base, sha=quote(sha), path=quote(path), line=line)
    return None


def web_address(url: str) -> str | None:
    """The address of a repository for browsers; None when it has none."""
    found = _SCP.fullmatch(url)
    if found is not None and "://" not in url:
        return f"https://{found[1]}/{found[2].removesuffix('.git').strip('/')}"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in {"http", "https", "ssh"} or not host:
        return None
    port = f":{parts.port}" if parts.scheme != "ssh" and parts.port else ""
    scheme = "https" if parts.scheme == "ssh" else parts.scheme
    return f"{scheme}://{host}{port}/{parts.path.removesuffix('/').removesuffix('.git').strip('/')}"
