#!/usr/bin/env bash
# build.sh [NAME...]: builds the named programs into KUBE_BIN, from the Go modules beside this script.
# Without a name: all of them. A program is built again when its go.mod, go.sum, sources or flags have changed;
# two runs at once wait for each other. Needs Go, which fetches the toolchain that a go.mod asks for by itself.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${KUBE_BIN:-$HOME/.cache/eventroute-e2e/bin}
all=(etcd kube-apiserver kubectl helm kube-controller-manager kube-scheduler kubelet kube-proxy pause coredns
    netpol metrics-server keda-operator keda-adapter jaeger kind)
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"

version_of() { # MODULE_DIR MODULE: what our go.mod asks for, so that each version stands in one place
    awk -v module="$2" '$1 == module {print $2; exit} $1 == "require" && $2 == module {print $3; exit}' "$here/go/$1/go.mod"
}

recipe() { # NAME: sets dir (of our module), package and flags
    local name=$1 module version
    dir=$name package=. flags=
    case $name in
        etcd) package=go.etcd.io/etcd/server/v3 ;;
        kube-* | kubelet | kubectl) # they learn their version from the linker only
            dir=kubernetes package=k8s.io/kubernetes/cmd/$name version=$(version_of kubernetes k8s.io/kubernetes)
            module=k8s.io/component-base/version
            flags="-X $module.gitVersion=$version -X $module.gitMajor=1 -X $module.gitMinor=$(cut -d. -f2 <<<"$version")" ;;
        helm) # holds charts against the Kubernetes that it was built for; without these flags, against 1.20
            module=helm.sh/helm/v3 package=$module/cmd/helm version=$(version_of helm k8s.io/client-go | cut -d. -f2)
            flags="-X $module/internal/version.version=$(version_of helm $module)"
            for part in chartutil lint/rules; do
                flags+=" -X $module/pkg/$part.k8sVersionMajor=1 -X $module/pkg/$part.k8sVersionMinor=$version"
            done ;;
        keda-operator | keda-adapter)
            module=github.com/kedacore/keda/v2 dir=keda package=$module/cmd/${name#keda-}
            flags="-X $module/version.Version=$(version_of keda $module)" ;;
        jaeger) package=github.com/jaegertracing/jaeger/cmd/jaeger ;;
        kind) package=sigs.k8s.io/kind ;;
        metrics-server) package=sigs.k8s.io/metrics-server/cmd/metrics-server ;;
        pause | coredns | netpol) ;; # ours
        *) echo "build.sh: no program is called '$name'" >&2; exit 2 ;;
    esac
}

stamp() { # of the recipe at hand: changes with everything that the binary is made of
    (cd "$here/go/$dir" && { sha256sum ./*; echo "$package $flags $GOFLAGS"; } | sha256sum | cut -c 1-32)
}

build() { # NAME
    local start=$SECONDS now
    recipe "$1"
    now=$(stamp)
    [ ! -x "$bin/$1" ] || [ "$(cat "$bin/.stamps/$1" 2>/dev/null)" != "$now" ] || return 0
    echo "$1: building (minutes, the first time)"
    (cd "$here/go/$dir" && go build -ldflags "-s -w $flags" -o "$bin/$1.new" "$package")
    mv "$bin/$1.new" "$bin/$1"
    echo "$now" >"$bin/.stamps/$1"
    echo "$1: built in $((SECONDS - start)) s, $(($(stat -c %s "$bin/$1") / 1048576)) MiB"
}

[[ ${BASH_SOURCE[0]} = "$0" ]] || return 0
mkdir -p "$bin/.stamps"
[ $# -gt 0 ] || set -- "${all[@]}"
exec 9>"$bin/.lock"
flock 9
for name in "$@"; do build "$name"; done
