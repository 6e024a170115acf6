#!/bin/sh
# Load with oha (a crate), as a second opinion on wrk and openloop.
#
#   loadtest/oha.sh http://127.0.0.1:8080 [CONNECTIONS] [SECONDS] [plain|stream] [RATE]
#
# With a RATE the latency counts from the intended send time.
# INSTALL=1 installs oha with cargo when it is missing; that takes minutes.

set -eu
url=${1:?usage: loadtest/oha.sh URL [CONNECTIONS] [SECONDS] [plain|stream] [RATE]}
connections=${2:-64}
seconds=${3:-10}
rate=${5:-}
here=$(dirname "$0")

case ${4:-plain} in
plain) body=$here/chat.json ;;
stream) body=$here/chat-stream.json ;;
*) echo "oha.sh: the fourth word is plain or stream" >&2; exit 2 ;;
esac
if ! command -v oha >/dev/null; then
    [ "${INSTALL:-}" = 1 ] || { echo "oha.sh: cargo install oha (or INSTALL=1)" >&2; exit 2; }
    cargo install --locked oha
fi

set -- --no-tui -c "$connections" -z "${seconds}s" -m POST -T application/json -D "$body"
[ -z "$rate" ] || set -- "$@" -q "$rate" --latency-correction
exec oha "$@" "${url%/}/v1/chat/completions"
