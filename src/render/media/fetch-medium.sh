#!/bin/sh
# Fetches one installer's medium, verifies it, and takes kernel and initrd out of it.
#
#   fetch-medium FILE DIRECTORY
#
# FILE says which medium (NAME, URL, SHA256, KIND, KERNEL, INITRD, IDENTITY, SAYS). The result is DIRECTORY/NAME with vmlinuz,
# initrd, sha256 and, of an ISO, NAME.iso. That name exists only for a complete, verified medium; a broken download is continued.
set -eu
umask 022
. "$1"
directory=$2
target=$directory/$NAME
partial=$directory/.$NAME.$SHA256.partial
fresh=$directory/.$NAME.new
ready=$directory/.$NAME.ready

fail() {
    echo "$NAME: $*" >&2
    exit 1
}

has_digest() {
    [ -f "$1" ] && echo "$SHA256  $1" | sha256sum --check --status -
}

# Prints the HTTP status.
download() {
    curl --write-out '%{http_code}' --fail --globoff --location --silent --show-error --proto '=http,https' --proto-redir '=http,https' \
        --connect-timeout 30 --speed-limit 1024 --speed-time 60 --output "$partial" "$@" -- "$URL"
}

# Content of a file of the medium: bsdtar reads ISO 9660 as well as tar.
member() {
    bsdtar -x -O -q -f "$partial" "$1"
}

is_whole() {
    [ "$(cat "$1/sha256" 2>/dev/null)" = "$SHA256" ] && [ -s "$1/vmlinuz" ] && [ -s "$1/initrd" ] &&
        { [ "$KIND" != iso ] || [ -s "$1/$NAME.iso" ]; }
}

# The name must not reach the disk before the content; a verified medium survives whatever happens between the steps.
take() {
    rm -rf "$target"
    mv -T "$ready" "$target"
    rm -f "$partial"
    echo "$NAME: verified and ready"
}

if is_whole "$target"; then
    echo "$NAME: ready"
    exit 0
fi
if is_whole "$ready"; then
    take
    exit 0
fi

mkdir -p "$directory"
rm -rf "$fresh" "$ready"
# What is left of another medium of the same installer is of no use any more.
for other in "$directory/.$NAME."*.partial; do
    [ "$other" = "$partial" ] || rm -f "$other"
done

if ! has_digest "$partial"; then
    echo "$NAME: fetching $URL"
    status=0
    http=$(download --continue-at -) || status=$?
    # The server cannot continue, or has nothing behind what is here, which is not the medium: from the start.
    if [ "$status" = 33 ] || [ "$http" = 416 ]; then
        rm -f "$partial"
        status=0
        http=$(download) || status=$?
    fi
    [ "$status" = 0 ] || fail "the download broke off (HTTP status $http, curl's exit code $status); what arrived is kept"
    if ! has_digest "$partial"; then
        rm -f "$partial"
        fail "what $URL gives has not the SHA-256 $SHA256: removed"
    fi
fi

mkdir "$fresh"
if [ -n "$IDENTITY" ]; then
    member "$IDENTITY" > "$fresh/identity" || fail "the medium cannot be read, or holds no '$IDENTITY'"
    grep -q "^$SAYS" "$fresh/identity" || fail "the medium does not say that it is '$SAYS'"
    rm "$fresh/identity"
fi
member "$KERNEL" > "$fresh/vmlinuz" || fail "the medium holds no '$KERNEL'"
member "$INITRD" > "$fresh/initrd" || fail "the medium holds no '$INITRD'"
[ -s "$fresh/vmlinuz" ] || fail "'$KERNEL' on the medium is empty"
[ -s "$fresh/initrd" ] || fail "'$INITRD' on the medium is empty"
[ "$KIND" != iso ] || ln "$partial" "$fresh/$NAME.iso"
echo "$SHA256" > "$fresh/sha256"
sync
mv -T "$fresh" "$ready"
take
