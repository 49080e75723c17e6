#!/bin/sh
# Runs $MIZZEN_SUPERVISED (a quoted command) and starts it again whenever it ends, until SIGTERM comes or it ends well.
# What fails by itself at its very first start is not tried again: whoever started it waits for what it has to say.
# A shell, for it weighs a tenth of what an interpreter would.

restarts=${MIZZEN_RESTARTED:-0} pause=0 ending='' child=''
MIZZEN_SUPERVISOR=$$
export MIZZEN_SUPERVISOR MIZZEN_RESTARTED MIZZEN_ENDED
trap 'ending=1; [ "$child" ] && kill -TERM "$child" 2>/dev/null' TERM INT

while :; do
    read -r began _ </proc/uptime
    eval "exec $MIZZEN_SUPERVISED" &
    child=$!
    [ "$ending" ] && kill -TERM "$child"
    while :; do # a signal ends the wait, not the child
        wait "$child"
        status=$?
        kill -0 "$child" 2>/dev/null || break
    done
    child=''
    if [ "$ending" ] || [ "$status" -eq 0 ]; then
        exit 0
    fi
    read -r now _ </proc/uptime
    lasted=$((${now%.*} - ${began%.*}))
    if [ "$restarts" -eq 0 ] && [ "$status" -lt 128 ] && [ "$lasted" -lt 10 ]; then
        exit "$status"
    fi
    if [ "$lasted" -ge 60 ]; then
        pause=0
    fi
    if [ "$pause" -gt 0 ]; then
        sleep "$pause" &
        child=$!
        wait "$child"
        [ "$ending" ] && exit 0
        child=''
    fi
    pause=$((pause ? pause * 2 : 1))
    if [ "$pause" -gt 30 ]; then
        pause=30
    fi
    restarts=$((restarts + 1))
    MIZZEN_RESTARTED=$restarts MIZZEN_ENDED=$status
done
