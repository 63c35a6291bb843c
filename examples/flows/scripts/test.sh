#!/bin/sh
# Tests greet.sh; the first failure ends it.
set -eu
here=$(dirname "$0")
. "$here/greet.sh"

expect() {
  if [ "$2" != "$3" ]; then
    echo "$1: expected '$3', got '$2'" >&2
    exit 1
  fi
  echo "ok: $1"
}

expect "greets by name" "$(greet Ada)" "Hello, Ada!"
expect "greets the world without a name" "$(greet)" "Hello, world!"
