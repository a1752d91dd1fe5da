#!/bin/sh
# Fetches the stock Socket.IO client as package-lock.json names it, which is all that the gateway
# serves of it: its prebuilt files, without npm. What is there already is left alone.
# fetch-client.sh FOLDER
set -eu
cd "$1"
name=node_modules/socket.io-client
[ ! -d "$name/dist" ] || exit 0
locked() { jq -er --arg name "$name" ".packages[\$name].$1" package-lock.json; }

version=$(locked version)
archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
curl -fsS --retry 3 -o "$archive" \
    "${NPM_REGISTRY:-https://registry.npmjs.org}/socket.io-client/-/socket.io-client-$version.tgz"
sum=sha512-$(openssl dgst -sha512 -binary "$archive" | base64 -w 0)
[ "$sum" = "$(locked integrity)" ] || {
    echo "socket.io-client $version is not what package-lock.json names: $sum" >&2
    exit 1
}
mkdir -p "$name"
tar -xzf "$archive" -C "$name" --strip-components=1 package/dist
