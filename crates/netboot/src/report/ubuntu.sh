# What Ubuntu's installer reports beside its webhook: that it has ended, or why it has failed. For bash.
#
# Set above: post(). The URL is in the file beside this one, so that no command's line has the token.
# usage: report failed | installed
root=${PROVBUILD_ROOT:-}
folder=$root/run/provbuild logs=$root/var/log/installer
url=$(cat "$folder/url") || exit 0

# The reason in one line, then the ends of the logs: 256 KiB of them.
failure() {
    local reason=
    [ ! -r "$folder/reason" ] || reason=$(tr -s '[:space:]' ' ' <"$folder/reason")
    [ -n "$reason" ] || reason=$(grep -a -E 'ERROR|CRITICAL|FAIL' "$logs/subiquity-server-debug.log" | tail -n 1)
    reason=$(printf '%s' "${reason:-the installer has failed, and its log does not say why}" | tr -cd '[:print:]')
    printf '%s\n' "${reason:0:1000}"
    if [ -r "$logs/curtin-install.log" ]; then
        printf '%s\n' '--- curtin-install.log'
        tail -c 65536 "$logs/curtin-install.log"
    fi
    printf '%s\n' '--- subiquity-server-debug.log'
    tail -c 196608 "$logs/subiquity-server-debug.log"
}

case $1 in
    failed) path=/failed body=$(failure 2>/dev/null | tr -d '\0') ;;
    installed) path=/installed body= ;;
    *) exit 0 ;;
esac
for pause in 2 5 10 20 0; do
    verdict=0
    post "$path" "$body" || verdict=$?
    [ "$verdict" = 2 ] || exit 0
    sleep "${PROVBUILD_PAUSE:-$pause}"
done
exit 0
