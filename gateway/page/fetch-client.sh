#!/bin/sh
# Fetches the stock Socket.IO client as package-lock.json names it to where npm would put it: all that
# is served of it are its prebuilt files. From the registry that NPM_REGISTRY names, or else npm knows.
set -eu
cd "$(dirname "$0")"
name=node_modules/socket.io-client
locked() { jq -er --arg name "$name" ".packages[\$name].$1" package-lock.json; }

version=$(locked version)
[ "$(jq -r .version "$name/package.json" 2>/dev/null)" != "$version" ] || exit 0
registry=${NPM_REGISTRY:-$(npm config get registry 2>/dev/null)} || {
    echo "the stock client is fetched from npm's registry: install npm, or name one by NPM_REGISTRY" >&2
    exit 1
}
archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
curl -fsS --retry 3 -o "$archive" \
    "${registry%/}/socket.io-client/-/socket.io-client-$version.tgz"
sum=sha512-$(openssl dgst -sha512 -binary "$archive" | base64 -w 0)
[ "$sum" = "$(locked integrity)" ] || {
    echo "socket.io-client $version is not what package-lock.json names: $sum" >&2
    exit 1
}
rm -rf "$name"
mkdir -p "$name"
tar -xzf "$archive" -C "$name" --strip-components=1 package/dist package/package.json
