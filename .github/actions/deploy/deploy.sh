#!/usr/bin/env bash
# Runs `penstock deploy` with the inputs of the action, which come as variables and never as text.
set -euo pipefail

escaped() {
  local text="${1//'%'/%25}"
  text="${text//$'\r'/%0D}"
  printf '%s' "${text//$'\n'/%0A}"
}

for secret in "${PENSTOCK_TOKEN:-}" "${PENSTOCK_PASSWORD:-}" "${OLD_API_TOKEN:-}"; do
  if [[ -n "$secret" ]]; then
    printf '::add-mask::%s\n' "$(escaped "$secret")"
  fi
done

stop() {
  printf '::error title=Deploy::%s\n' "$(escaped "$1")"
  exit 2
}

# Workflows written for other deploy actions use other names of the same things.
renamed() {
  if [[ -n "$2" ]]; then
    printf '::notice title=Deploy::input %s is called %s here\n' "$1" "$3" >&2
  fi
}

renamed directory "${OLD_DIRECTORY:-}" path
renamed apiToken "${OLD_API_TOKEN:-}" token
renamed user "${OLD_USER:-}" username
renamed delete "${OLD_DELETE:-}" prune
path="${OLD_DIRECTORY:-$INPUT_PATH}"
prune="${OLD_DELETE:-$INPUT_PRUNE}"
export PENSTOCK_TOKEN="${PENSTOCK_TOKEN:-${OLD_API_TOKEN:-}}"
export PENSTOCK_USER="${PENSTOCK_USER:-${OLD_USER:-}}"

options=()
flag() {
  case "$2" in
    true) options+=("--$1") ;;
    false | "") ;;
    *) stop "$1: '$2' is neither true nor false" ;;
  esac
}

flag prune "$prune"
flag dry-run "$INPUT_DRY_RUN"
flag strict "$INPUT_STRICT"

[[ -n "$PENSTOCK_SERVER" ]] || stop "server: give the address of the service"
source="$INPUT_SOURCE"
if [[ -z "$source" ]]; then
  source="$(printf '%s' "${GITHUB_REPOSITORY:-ci}" | tr '[:upper:]' '[:lower:]' | tr -c 'a-z0-9-' '-')"
  source="${source:0:63}"
fi
options+=("--source=$source")
[[ -z "$INPUT_NAMESPACE" ]] || options+=("--namespace=$INPUT_NAMESPACE")
[[ -z "$INPUT_TIMEOUT" ]] || options+=("--timeout=$INPUT_TIMEOUT")

if [[ -n "$INPUT_WORKING_DIRECTORY" ]]; then
  cd -- "$INPUT_WORKING_DIRECTORY" 2>/dev/null ||
    stop "working-directory: there is no folder $INPUT_WORKING_DIRECTORY"
fi
plan="$(mktemp "${RUNNER_TEMP:-/tmp}/penstock-plan.XXXXXX")"
exec "$PENSTOCK_COMMAND" deploy --format=github "--report=$plan" "${options[@]}" -- "$path"
