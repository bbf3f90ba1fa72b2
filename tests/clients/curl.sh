#!/bin/sh
# curl, as the README uses it, but without "Expect: 100-continue": that would keep it from sending at all.
# Usage: see README.md. Arguments: post URL FILE TRIES [HEADER...] | form URL [NAME VALUE]...
verb=$1 url=$2
shift 2

# Prints one line of JSON of what curl did; $@ are curl's arguments.
request() {
    body=$(mktemp) && error=$(mktemp) || exit 1
    if status=$(curl -sS -o "$body" -w '%{http_code}' "$@" "$url" 2>"$error"); then
        python3 -c 'import json, sys; print(json.dumps({"status": int(sys.argv[1]), "body": open(sys.argv[2]).read()}))' \
            "$status" "$body"
    else
        python3 -c 'import json, sys; print(json.dumps({"error": open(sys.argv[1]).read()}))' "$error"
    fi
    rm -f "$body" "$error"
}

case $verb in
post)
    file=$1 tries=$2
    shift 2
    for header in "$@"; do
        set -- "$@" -H "$header"
        shift
    done
    while [ "$tries" -gt 0 ]; do
        request -X POST -T "$file" -H 'expect:' "$@"
        tries=$((tries - 1))
    done
    ;;
form)
    count=$(($# / 2))
    while [ "$count" -gt 0 ]; do
        name=$1 value=$2
        shift 2
        set -- "$@" --form-string "$name=$value"
        count=$((count - 1))
    done
    request "$@"
    ;;
esac
