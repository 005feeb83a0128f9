#!/bin/sh
# Make the environment named $1 with the first Python on this machine that is new enough.
set -eu

for python in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        "$python" -m venv "$1"
        exit 0
    fi
done

echo "Trivet needs Python 3.11 or newer with its venv module." >&2
echo "Install it (Debian and Ubuntu: apt install python3 python3-venv), or name it: make setup PYTHON=/path/to/python" >&2
exit 1
