#!/usr/bin/env bash
# Runs `penstock validate` with the inputs of the action, which come as variables and never as text.
set -euo pipefail

escaped() {
  local text="${1//'%'/%25}"
  text="${text//$'\r'/%0D}"
  printf '%s' "${text//$'\n'/%0A}"
}

stop() {
  printf '::error title=Validate::%s\n' "$(escaped "$1")"
  exit 2
}

truth() {
  case "$2" in
    true) return 0 ;;
    false | "") return 1 ;;
    *) stop "$1: '$2' is neither true nor false" ;;
  esac
}

if [[ -n "${OLD_DIRECTORY:-}" ]]; then
  printf '::notice title=Validate::input directory is called path here\n' >&2
fi
path="${OLD_DIRECTORY:-$INPUT_PATH}"
options=()
if truth strict "$INPUT_STRICT"; then options+=(--strict); fi
if truth annotations "$INPUT_ANNOTATIONS"; then annotations=true; else annotations=false; fi
if truth fail "$INPUT_FAIL"; then fail=true; else fail=false; fi
[[ -z "$INPUT_SARIF" ]] || options+=("--sarif=$INPUT_SARIF")

if [[ -n "$INPUT_WORKING_DIRECTORY" ]]; then
  cd -- "$INPUT_WORKING_DIRECTORY" 2>/dev/null ||
    stop "working-directory: there is no folder $INPUT_WORKING_DIRECTORY"
fi
report="$(mktemp "${RUNNER_TEMP:-/tmp}/penstock-report.XXXXXX")"
code=0
said="$("$PENSTOCK_COMMAND" validate --format=github "--report=$report" "${options[@]}" -- "$path")" || code=$?
if [[ "$annotations" == true && -n "$said" ]]; then
  printf '%s\n' "$said"
fi
if [[ "$code" == 1 && "$fail" == false ]]; then
  code=0
fi
exit "$code"
