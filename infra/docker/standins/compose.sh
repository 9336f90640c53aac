#!/usr/bin/env bash
# Builds Docker's compose plugin from Go's module proxy, for machines to which no package brings it.
# `go install MODULE@VERSION` refuses it because of its exclude lines; as a dependency of an empty module it builds.
set -euo pipefail
version=v2.40.3
out=$HOME/.docker/cli-plugins/docker-compose
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$(dirname "$out")"
cd "$work"
go mod init empty >/dev/null 2>&1
go get "github.com/docker/compose/v2/cmd@$version" >/dev/null 2>&1
flags="-s -w -X github.com/docker/compose/v2/internal.Version=$version"
CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$out" github.com/docker/compose/v2/cmd
