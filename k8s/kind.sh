#!/usr/bin/env bash
# kind.sh up|down: a local cluster to try EventRoute on or to develop it with. `make kind` calls `up`.
#   up    registry on localhost:5001, cluster `eventroute`, Ingress, and EventRoute's images built and pushed; what is there stays
#   down  removes the cluster, the Ingress controller and the registry with its images; asks nobody, so mind other uses
# Needs docker, kind and kubectl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cluster=eventroute
registry=eventroute-registry registry_port=5001 registry_image=registry:3
ingress=eventroute-ingress ingress_image=registry.k8s.io/cloud-provider-kind/cloud-controller-manager:v0.10.0
version=$(sed -n 's/^appVersion: *"\?\([^"]*\)"\?$/\1/p' charts/eventroute/Chart.yaml)

step() { printf -- '-- %s\n' "$*"; }
die() { printf 'kind.sh: %s\n' "$*" >&2; exit 1; }

check_tools() {
    local tool
    for tool in docker kind kubectl; do
        command -v "$tool" >/dev/null || die "$tool is missing; see https://kind.sigs.k8s.io/docs/user/quick-start/"
    done
    docker info >/dev/null 2>&1 || die "docker does not answer; is its daemon running, and may this user reach it?"
}

is_running() { [ "$(docker inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }

registry_up() {
    is_running $registry && return
    docker start $registry 2>/dev/null ||
        docker run -d --restart=always --name $registry -p 127.0.0.1:$registry_port:5000 $registry_image >/dev/null
}

cluster_up() {
    kind get clusters 2>/dev/null | grep -qx $cluster || kind create cluster --config k8s/kind.yaml --wait 120s
}

# The node pulls what is called localhost:5001 from the registry's container: there, localhost is the node itself.
connect_registry() {
    local folder=/etc/containerd/certs.d/localhost:$registry_port node
    docker network connect kind $registry 2>/dev/null || true # it is connected already
    for node in $(kind get nodes --name $cluster); do
        docker exec "$node" mkdir -p "$folder"
        printf '[host."http://%s:5000"]\n' $registry | docker exec -i "$node" cp /dev/stdin "$folder/hosts.toml"
    done
    # How tools such as Tilt learn of the registry: KEP-1755.
    kubectl --context kind-$cluster apply -f - >/dev/null <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: local-registry-hosting, namespace: kube-public}
data:
  localRegistryHosting.v1: |
    host: "localhost:$registry_port"
YAML
}

ingress_up() {
    is_running $ingress && return
    docker rm -f $ingress >/dev/null 2>&1 || true
    docker run -d --restart=always --name $ingress --network kind \
        -v /var/run/docker.sock:/var/run/docker.sock $ingress_image >/dev/null
}

images_up() {
    local package image
    for package in receiver worker operator cli; do
        image=localhost:$registry_port/eventroute/$package:$version
        step "image $image"
        docker build -q -f services/Dockerfile --build-arg PACKAGE=$package -t "$image" . >/dev/null
        docker push -q "$image" >/dev/null
    done
}

up() {
    check_tools
    step "registry on localhost:$registry_port"
    registry_up
    step "cluster $cluster (the first time, its node image is downloaded)"
    cluster_up
    connect_registry
    step "Ingress"
    ingress_up
    images_up
    cat <<TEXT

The cluster is up. Next:
  helm install eventroute charts/eventroute --kube-context kind-$cluster -n eventroute --create-namespace -f k8s/kind-values.yaml --wait
  kubectl --context kind-$cluster apply -f k8s/quickstart.yaml
  kubectl --context kind-$cluster get er
TEXT
}

down() {
    check_tools
    kind delete cluster --name $cluster
    docker rm -f $ingress $registry
}

case ${1:-} in
    up) up ;;
    down) down ;;
    *) die "usage: kind.sh up|down" ;;
esac
