#!/usr/bin/env bash
# Makes the command `penstock` available in a virtual environment of its own; says where it is.
#
# PENSTOCK_COMMAND       a command that is there already; nothing is installed then
# PENSTOCK_INSTALL_FROM  a folder or wheel to install
# PENSTOCK_VERSION       a version to install
# With none of them, the sources that this action came with are installed.
set -euo pipefail

say() {
  local mark="end_${RANDOM}${RANDOM}${RANDOM}${RANDOM}"
  printf '%s<<%s\n%s\n%s\n' "$1" "$mark" "$2" "$mark" >>"$GITHUB_OUTPUT"
}

stop() {
  local text="${1//'%'/%25}"
  text="${text//$'\r'/%0D}"
  printf '::error title=Penstock::%s\n' "${text//$'\n'/%0A}"
  exit 2
}

command="${PENSTOCK_COMMAND:-}"
from="${PENSTOCK_INSTALL_FROM:-}"
version="${PENSTOCK_VERSION:-}"

if [[ -n "$command" ]]; then
  [[ "$command" == /* && -x "$command" ]] || stop "command: no program $command (an absolute path is needed)"
  say command "$command"
  exit 0
fi

if [[ -n "$version" ]]; then
  [[ "$version" =~ ^[0-9][0-9A-Za-z.+!-]*$ ]] || stop "version: '$version' is no version, such as 0.1.0"
  wanted="penstock==$version"
elif [[ -n "$from" ]]; then
  [[ -e "$from" ]] || stop "install-from: there is no $from"
  wanted="$(cd -- "$(dirname -- "$from")" && pwd)/$(basename -- "$from")"
else
  wanted="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)"
fi

python=python3
command -v python3 >/dev/null || python=python
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  stop "Python 3.11 or newer is needed: use actions/setup-python before"

name="$(printf '%s' "$wanted" | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')"
venv="$RUNNER_TEMP/penstock-$name"
if [[ ! -e "$venv/ready" ]]; then
  "$python" -m venv --clear "$venv"
  bin="$venv/bin"
  [[ -d "$bin" ]] || bin="$venv/Scripts"
  "$bin/python" -m pip install --disable-pip-version-check --quiet -- "$wanted"
  touch "$venv/ready"
fi
bin="$venv/bin"
[[ -d "$bin" ]] || bin="$venv/Scripts"
say command "$bin/penstock"
