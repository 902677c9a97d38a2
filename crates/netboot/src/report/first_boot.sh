# The installed system's first word to the server that installed it: its name, its address on the node's network card, its
# public ssh host keys. It runs as root at each boot until the server has taken or refused it, or the time is over; then it
# removes itself, its unit and the URL with the token. It needs bash and ip(8) and nothing else.
#
# Set above: own_mac (of the node) and post(). PROVBUILD_ROOT is a prefix of every path, for tests; so are the pauses.
root=${PROVBUILD_ROOT:-}
folder=$root/var/lib/provbuild
pause=${PROVBUILD_PAUSE:-5} longest=${PROVBUILD_LONGEST_PAUSE:-60} limit=${PROVBUILD_LIMIT:-21600}

# The first global IPv4 address of a card with the node's MAC (a bond or a bridge may have the same one).
address() {
    local file name word before
    for file in "$root"/sys/class/net/*/address; do
        [ "$(cat "$file" 2>/dev/null)" = "$own_mac" ] || continue
        name=${file%/address}
        before=
        for word in $(ip -o -4 address show dev "${name##*/}" scope global 2>/dev/null); do
            if [ "$before" = inet ]; then
                printf '%s' "${word%/*}"
                return
            fi
            before=$word
        done
    done
}

# Each public key as a JSON string: its type and its base64, without the comment.
keys() {
    local file kind key rest comma=
    for file in "$root"/etc/ssh/ssh_host_*_key.pub; do
        read -r kind key rest 2>/dev/null <"$file" || [ -n "${key:-}" ] || continue
        case $kind$key in *[!A-Za-z0-9+/=@._-]*) continue ;; esac
        printf '%s"%s %s"' "$comma" "$kind" "$key"
        comma=,
    done
}

report() {
    local name at have
    url=$(cat "$folder/report-url") || return 1
    name=$(tr -cd 'A-Za-z0-9._-' <"$root/proc/sys/kernel/hostname")
    at=$(address)
    have=$(keys)
    [ -n "$name" ] && [ -n "$at" ] && [ -n "$have" ] || return 2
    post /first-boot "{\"hostname\":\"$name\",\"address\":\"$at\",\"ssh-host-keys\":[$have]}"
}

main() {
    shopt -s nullglob
    local verdict
    while [ "$SECONDS" -lt "$limit" ]; do
        verdict=0
        report || verdict=$?
        [ "$verdict" = 2 ] || break
        sleep "$pause"
        pause=$((pause * 2))
        [ "$pause" -le "$longest" ] || pause=$longest
    done
    rm -f "$folder/report-url" "$folder/first-boot" \
        "$root/etc/systemd/system/provbuild-first-boot.service" \
        "$root/etc/systemd/system/multi-user.target.wants/provbuild-first-boot.service"
    rmdir "$folder" 2>/dev/null
}

# On one line: the file is gone when main returns.
main; exit 0
