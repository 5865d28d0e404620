#!/usr/bin/env bash
# The steps of a release, each to be tried by hand:
#   release.sh version TAG             says `version=…`, once chart, programs and changelog all agree on it
#   release.sh image PROGRAM VERSION   builds, pushes and signs an image, for both architectures
#   release.sh chart VERSION           packages, pushes and signs the chart, which installs those images
#   release.sh notes VERSION           writes the changelog's section
# IMAGES and CHARTS say where they go. Needs docker with buildx, helm and cosign, signed in to the registry.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { printf 'release.sh: %s\n' "$*" >&2; exit 1; }

chart_says() { sed -n "s/^$1: *\"\?\([^\"]*\)\"\?\$/\1/p" charts/eventroute/Chart.yaml; }

version() { # TAG
    local version=${1#v} file
    [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "$1 is no tag of a release: v1.2.3"
    [ "$(chart_says version)" = "$version" ] || die "charts/eventroute/Chart.yaml: version is $(chart_says version), not $version"
    [ "$(chart_says appVersion)" = "$version" ] || die "charts/eventroute/Chart.yaml: appVersion is $(chart_says appVersion), not $version"
    for file in services/*/pyproject.toml operator/pyproject.toml; do
        grep -qx "version = \"$version\"" "$file" || die "$file: version is not $version"
    done
    [ -n "$(notes "$version")" ] || die "CHANGELOG.md: no section \"## $version\""
    echo "version=$version"
}

image() { # PROGRAM VERSION
    local said
    said=$(mktemp)
    docker buildx build . -f services/Dockerfile --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max \
        --build-arg PACKAGE="$1" --build-arg VERSION="$2" --build-arg REVISION="$(git rev-parse HEAD)" \
        --tag "$IMAGES/$1:$2" --push --metadata-file "$said"
    cosign sign --yes "$IMAGES/$1@$(sed -n 's/.*"containerimage.digest": *"\([^"]*\)".*/\1/p' "$said" | head -n 1)"
}

chart() { # VERSION
    local folder pushed
    folder=$(mktemp -d)
    cp -r charts/eventroute "$folder"
    sed -i "s|^  registry: .*|  registry: ${IMAGES%/eventroute}|" "$folder/eventroute/values.yaml"
    grep -q "^  registry: ${IMAGES%/eventroute}\$" "$folder/eventroute/values.yaml" || die "values.yaml has no image.registry"
    helm package "$folder/eventroute" --destination "$folder"
    pushed=$(helm push "$folder/eventroute-$1.tgz" "oci://$CHARTS" 2>&1 | tee /dev/stderr | sed -n 's/^Digest: //p')
    cosign sign --yes "$CHARTS/eventroute@$pushed"
}

notes() { # VERSION
    awk -v title="## $1" '/^## / {on = ($0 == title); next} on' CHANGELOG.md
}

case ${1:-} in
    version | image | chart | notes) "$@" ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
