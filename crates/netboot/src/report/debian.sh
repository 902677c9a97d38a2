# What debian-installer reports: it has no reporter of its own. For its busybox, and its wget, which is GNU's (wget-udeb).
#
# usage: report step TEXT | failed REASON | installed
root=${PROVBUILD_ROOT:-}
folder=$root/run/provbuild
url=$(cat "$folder/url") || exit 0
body=$folder/body.$$

# An installation never waits long for it, and never fails by it.
post() {
    wget -q -O /dev/null --no-proxy -T 10 -t "$2" --waitretry="${PROVBUILD_PAUSE:-10}" --retry-connrefused \
        --retry-on-http-error=500,502,503,504 --post-file="$body" "$url/$1" </dev/null >/dev/null 2>&1
}

umask 077
case $1 in
    step)
        printf '%s\n' "$2" >"$body"
        post step 2
        ;;
    installed)
        : >"$body"
        post installed 5
        ;;
    failed)
        # The reason in one line, then the end of the log.
        printf '%s' "$2" | tr '\n' ' ' >"$body"
        printf '\n' >>"$body"
        tail -c 262144 "$root/var/log/syslog" >>"$body" 2>/dev/null
        post failed 5
        ;;
esac
rm -f "$body"
exit 0
