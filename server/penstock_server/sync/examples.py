"""A Git repository of example flows in the home, for a first look: clone it, push to it, watch.

Its `post-receive` hook calls our own push webhook, signed with a secret that only lies in the home.
So a push is live at once; without the hook, polling would find it.
"""

from __future__ import annotations

import secrets
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from penstock_runner.git.seed import read_folder, seed_bare

SOURCE_ID = "examples"
SECRET_NAME = "PENSTOCK_EXAMPLES_WEBHOOK"  # noqa: S105 - the name, not the secret
HOOK = """#!{python}
# Tells Penstock that something was pushed. A push never fails because of it.
import hashlib, hmac, json, pathlib, sys, urllib.request

here = pathlib.Path(__file__).resolve().parent.parent
try:
    secret = (here / "penstock-secret").read_bytes().strip()
    url = (here / "penstock-url").read_text().strip()
except OSError as error:
    print("Penstock was not told (" + str(error) + "); it finds the push by polling")
    sys.exit(0)
for line in sys.stdin:
    before, after, ref = line.split()
    body = json.dumps({{"ref": ref, "before": before, "after": after}}).encode()
    signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    headers = {{
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": after,
        "X-Hub-Signature-256": signature,
    }}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        urllib.request.urlopen(request, timeout=5).close()
        print("Penstock looks at " + after[:7] + " now: " + url.split("/api/")[0])
    except OSError as error:
        print("Penstock was not told (" + str(error) + "); it finds the push by polling")
"""


def examples_folder() -> Path | None:
    """The example flows that come with a checkout of the project, if this is one."""
    folder = Path(__file__).resolve().parents[3] / "examples" / "flows"
    return folder if folder.is_dir() else None


def prepare_examples(home: Path, folder: Path, at: datetime) -> tuple[dict[str, Any], str]:
    """The repository, made the first time; gives the settings of its source and its secret."""
    repository = home.absolute() / "examples.git"
    if not repository.exists():
        seed_bare(
            repository,
            read_folder(folder),
            message="Add the example flows\n",
            author="Penstock <penstock@localhost>",
            at=int(at.timestamp()),
        )
    secret_file = repository / "penstock-secret"
    if not secret_file.exists():
        secret_file.touch(mode=0o600)
        secret_file.write_text(secrets.token_urlsafe(32))
    hook = repository / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK.format(python=sys.executable))
    hook.chmod(0o755)
    settings = {
        "id": SOURCE_ID,
        "url": repository.as_uri(),
        "ref": "main",
        "interval": 10,
        "webhook": {"secretSecret": SECRET_NAME, "forge": "github"},
    }
    return settings, secret_file.read_text()


def tell_address(home: Path, url: str) -> None:
    """Where the hook finds the service."""
    address = f"{url}/api/v1/main/git/webhooks/{SOURCE_ID}"
    (home.absolute() / "examples.git" / "penstock-url").write_text(address)
