#!/bin/sh
# Closed-loop load with wrk: how many requests a second a server can do.
# Its latency figures hide stalls (it stops asking when the server stops
# answering); for latency use openloop.
#
#   loadtest/wrk.sh http://127.0.0.1:8080 [CONNECTIONS] [SECONDS] [plain|stream]
#
# wrk takes a streamed answer as one answer: its rate is then streams, not events.

set -eu
url=${1:?usage: loadtest/wrk.sh URL [CONNECTIONS] [SECONDS] [plain|stream]}
connections=${2:-64}
seconds=${3:-10}
here=$(dirname "$0")

case ${4:-plain} in
plain) body=$here/chat.json ;;
stream) body=$here/chat-stream.json ;;
*) echo "wrk.sh: the last word is plain or stream" >&2; exit 2 ;;
esac
command -v wrk >/dev/null || { echo "wrk.sh: apt-get install wrk" >&2; exit 2; }

CHAT_BODY=$body exec wrk -t1 -c"$connections" -d"${seconds}s" --latency \
    -s "$here/chat.lua" "${url%/}/v1/chat/completions"
