# shellcheck shell=bash
# Sourced by the other scripts: named steps with their times, and what failed.

failed_steps=()

# step NAME COMMAND …: runs it, says how long it took, and goes on either way.
# Status 77 says that the machine could not do it, and that this is accepted.
step() {
    local name=$1 started=$SECONDS status=0
    shift
    printf '\n==> %s\n' "$name"
    # Not as a condition: `set -e` would be off inside.
    set +e
    (
        set -euo pipefail
        "$@"
    )
    status=$?
    set -e
    if [ "$status" -eq 0 ]; then
        printf '<== %s: ok in %s s\n' "$name" "$((SECONDS - started))"
    elif [ "$status" -eq 77 ]; then
        printf '<== %s: SKIPPED, see above\n' "$name"
    else
        failed_steps+=("$name")
        printf '<== %s: FAILED (status %s) in %s s\n' "$name" "$status" "$((SECONDS - started))"
    fi
}

# loudly TEXT …: a box that nobody scrolls past.
loudly() {
    printf '\n%s\n' '********************************************************************************'
    printf '** %s\n' "$@"
    printf '%s\n\n' '********************************************************************************'
}

# steps_ended: status 0 if every step went well, else names those that did not.
steps_ended() {
    [ ${#failed_steps[@]} -eq 0 ] && return 0
    printf '\nfailed steps:\n'
    printf '  %s\n' "${failed_steps[@]}"
    return 1
}
