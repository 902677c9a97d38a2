# For bash: curl and wget may be absent. Posts the text $2 to the path $1 below the URL in $url.
# 0: the server took it; 1: it refused it, and will again; 2: not now.
post() {
    local LC_ALL=C
    local rest=${url#http://} port=80 answer=
    local host=${rest%%/*}
    local path=/${rest#*/}
    case $host in *:*) port=${host##*:} host=${host%:*} ;; esac
    # In a shell of its own: a connection that fails or breaks ends only that.
    answer=$(
        exec 2>/dev/null
        trap '' PIPE
        exec 3<>"/dev/tcp/$host/$port" || exit
        printf 'POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' \
            "$path$1" "$host" "${#2}" "$2" >&3
        IFS= read -r -t 30 line <&3 && printf '%s' "$line"
    )
    case $answer in
        'HTTP/1.'?' 2'*) return 0 ;;
        'HTTP/1.'?' 408'* | 'HTTP/1.'?' 429'*) return 2 ;;
        'HTTP/1.'?' 4'*) return 1 ;;
        *) return 2 ;;
    esac
}
