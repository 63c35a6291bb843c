#!/bin/sh
# Packs the application: build.sh VERSION makes dist/app-VERSION.tar.gz.
set -eu
version=$1
here=$(dirname "$0")

mkdir -p dist/app
cp "$here/greet.sh" dist/app/
echo "$version" > dist/app/VERSION
tar -czf "dist/app-$version.tar.gz" -C dist app
echo "built dist/app-$version.tar.gz"
