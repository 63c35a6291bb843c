# The "application" of the push example: one function, tested by test.sh and packed by build.sh.
greet() {
  printf 'Hello, %s!\n' "${1:-world}"
}
