#!/bin/sh
# Stands for a deployment: deploy.sh ENVIRONMENT ARCHIVE unpacks the archive and greets from it.
set -eu
environment=$1
archive=$2

mkdir -p "deployed/$environment"
tar -xzf "$archive" -C "deployed/$environment"
. "deployed/$environment/app/greet.sh"
echo "version $(cat "deployed/$environment/app/VERSION") is on $environment: $(greet "$environment")"
