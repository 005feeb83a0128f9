#!/bin/sh
# Install what tests ask of the operating system, where that can be done without asking.
# Never fails: a test that lacks its tool skips itself and says so.
set -u

missing=""
for pair in strace:strace; do # command:package
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
# Debian keeps servers off the path.
command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 ||
    missing="$missing postgresql"
[ -n "$missing" ] || exit 0

if [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # a list of words
    if { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } >/dev/null 2>&1 </dev/null; then
        exit 0
    fi
fi
echo "Note: tests that need$missing will skip themselves; on Debian: sudo apt-get install$missing" >&2
exit 0
