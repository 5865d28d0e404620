#!/usr/bin/env bash
# keda.sh up|down: KEDA's operator and metrics adapter as pods of the cluster at KUBECONFIG, by the manifests in KEDA's own
# Go module. Their images, localhost/e2e/keda-operator:dev and -adapter:dev, must be loaded.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=${KUBE_BIN:-$HOME/.cache/eventroute-e2e/bin}:$PATH

manifests() { # without the admission webhooks
    local module=github.com/kedacore/keda/v2 folder
    cd "$here/go/keda"
    go mod download $module
    folder=$(go list -m -f '{{.Dir}}' $module)
    kubectl kustomize "$folder/config/minimal" | sed -E \
        -e 's#image: .*/keda-metrics-apiserver:.*#image: localhost/e2e/keda-adapter:dev#' \
        -e 's#image: .*/keda:.*#image: localhost/e2e/keda-operator:dev#' \
        -e 's/imagePullPolicy: Always/imagePullPolicy: Never/' \
        -e 's/initialDelaySeconds: [0-9]+/initialDelaySeconds: 1/'
}

case ${1:-} in
    up)
        manifests | kubectl apply --server-side --force-conflicts -f - >/dev/null
        kubectl -n keda rollout status deployment --timeout=90s
        kubectl wait --for=condition=Available apiservice/v1beta1.external.metrics.k8s.io --timeout=60s ;;
    down) manifests | kubectl delete --ignore-not-found --timeout=60s -f - ;;
    *) echo "usage: keda.sh up|down" >&2; exit 2 ;;
esac
