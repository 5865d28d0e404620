#!/usr/bin/env bash
# cluster.sh up|down|status|load ARCHIVE...|kubeconfig
# One-node Kubernetes on this host, as root: the API server and etcd of apiserver.sh, the controllers, the scheduler,
# containerd, kubelet, kube-proxy and CoreDNS, each a plain process. NetworkPolicies hold when netpol has been built, and
# CPU figures exist when metrics-server has. `load` brings images, of which the first must hold localhost/pause:1.
# `down` ends everything, and takes back every file, mount, cgroup, rule and kernel setting.
: "${KUBE_STATE:=/var/lib/eventroute-e2e}" "${KUBE_PORT:=6443}"
: "${KUBE_IP:=10.254.0.1}" # on a bridge of its own: nothing outside this machine reaches it
. "$(dirname "${BASH_SOURCE[0]}")/apiserver.sh"

node=eventroute-node
link=eventroute0
pod_cidr=10.244.0.0/16
socket=$run/containerd.sock
cni_plugins=/usr/lib/cni
packages="containerd runc containernetworking-plugins nftables iproute2 openssl"
processes="metrics-server netpol coredns kube-proxy kubelet containerd kube-scheduler kube-controller-manager kube-apiserver etcd"
kernel_settings="net/ipv4/ip_forward vm/overcommit_memory kernel/panic kernel/panic_on_oops" # ours and the kubelet's

in_containerd() { ctr --address "$socket" --namespace k8s.io "$@"; }
is_built() { [ -x "$bin/$1" ]; }

check_host() {
    [ "$(id -u)" = 0 ] || die "needs root"
    [ ${#socket} -lt 90 ] || die "KUBE_STATE is too long for the path of a socket: $state"
    local tool
    for tool in containerd ctr runc nft ip openssl $cni_plugins/ptp $cni_plugins/host-local $cni_plugins/loopback; do
        type -P "$tool" >/dev/null || die "$tool is missing: apt-get install -y --no-install-recommends $packages"
    done
}

network_up() {
    local name policies=
    mkdir -p "$state/cni/bin" # plugins must lie in one folder
    [ -e "$state/kernel" ] ||
        for name in $kernel_settings; do echo "$name $(cat "/proc/sys/$name")"; done >"$state/kernel"
    ip link show $link >/dev/null 2>&1 || ip link add $link type bridge
    ip addr replace "$ip/32" dev $link
    ip link set $link up
    ip route replace $service_cidr dev $link src "$ip" # a Service is reached without any default route
    echo 1 >/proc/sys/net/ipv4/ip_forward
    ln -sf $cni_plugins/* "$state/cni/bin/"
    if is_built netpol; then
        ln -sf "$(realpath "$bin/netpol")" "$state/cni/bin/"
        policies=", {\"type\": \"netpol\", \"socket\": \"$run/netpol.sock\"}"
    fi
    # A routed pair of interfaces for each pod, no bridge between them: so every packet meets the host's rules.
    cat >"$state/cni/10-eventroute.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "eventroute", "plugins": [{"type": "ptp", "mtu": 1400, "ipMasq": false,
 "ipam": {"type": "host-local", "dataDir": "$state/cni/addresses", "routes": [{"dst": "0.0.0.0/0"}],
          "ranges": [[{"subnet": "${pod_cidr%/*}/20"}]]}}$policies]}
JSON
}

containerd_up() {
    cat >"$state/containerd.toml" <<TOML
version = 2
root = "$state/containerd"
state = "$run/containerd"
[grpc]
  address = "$socket"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true # a root without CAP_SYS_RESOURCE may not lower the score, and runc would fail
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$state/cni/bin"
    conf_dir = "$state/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
TOML
    start containerd containerd --config "$state/containerd.toml"
    wait_for 20 containerd in_containerd version
}

kubelet_up() {
    cert ca kubelet /O=system:nodes/CN=system:node:$node "IP:$ip,DNS:$node"
    kubeconfig "$state/kubelet.kubeconfig" kubelet /O=system:nodes/CN=system:node:$node
    echo "nameserver $ip" >"$state/resolv.conf"
    # A collected image could not be pulled again, so none is collected; nor is a full disk of this machine a reason to
    # evict pods.
    cat >"$state/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ip
healthzBindAddress: $ip
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet.crt
tlsPrivateKeyFile: $pki/kubelet.key
containerRuntimeEndpoint: unix://$socket
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 200Mi}
clusterDomain: cluster.local
clusterDNS: [$ip]
resolvConf: $state/resolv.conf
podLogsDir: $state/pods
maxPods: 110
nodeStatusUpdateFrequency: 5s
shutdownGracePeriod: 0s
YAML
    start kubelet "$bin/kubelet" --config "$state/kubelet.yaml" --kubeconfig "$state/kubelet.kubeconfig" \
        --root-dir "$state/kubelet" --cert-dir "$pki" --hostname-override $node --node-ip "$ip"
}

controllers_up() {
    local name
    for name in kube-controller-manager kube-scheduler kube-proxy; do
        kubeconfig "$state/$name.kubeconfig" $name /CN=system:$name
    done
    start kube-controller-manager "$bin/kube-controller-manager" --bind-address "$ip" --leader-elect=false \
        --kubeconfig "$state/kube-controller-manager.kubeconfig" --use-service-account-credentials \
        --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" \
        --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
        --horizontal-pod-autoscaler-sync-period 5s
    start kube-scheduler "$bin/kube-scheduler" --bind-address "$ip" --leader-elect=false \
        --kubeconfig "$state/kube-scheduler.kubeconfig"
}

services_up() {
    ! pid_of kube-proxy >/dev/null || return 0 # it ends when its file is written again
    # A Service's new endpoint counts after 0.1 s instead of 1 s; connection tracking stays as the host has it.
    cat >"$state/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
nftables: {minSyncPeriod: 100ms}
clientConnection: {kubeconfig: $state/kube-proxy.kubeconfig}
clusterCIDR: $pod_cidr
hostnameOverride: $node
healthzBindAddress: $ip:10256
metricsBindAddress: $ip:10249
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
oomScoreAdj: 0
YAML
    start kube-proxy "$bin/kube-proxy" --config "$state/kube-proxy.yaml"
}

dns_up() {
    kubeconfig "$state/coredns.kubeconfig" coredns /CN=eventroute:coredns
    kubectl apply -f - >/dev/null <<'YAML'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "eventroute:coredns"}
rules:
- {apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "eventroute:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "eventroute:coredns"}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: "eventroute:coredns"}]
YAML
    cat >"$state/Corefile" <<CONF
. {
    bind $ip
    errors
    ready $ip:8181
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $state/coredns.kubeconfig
    }
    cache 5
}
CONF
    start coredns "$bin/coredns" -conf "$state/Corefile"
}

policies_up() { # before the kubelet: netpol is the last CNI plugin too, and no pod starts without it
    is_built netpol || return 0
    kubeconfig "$state/netpol.kubeconfig" netpol /O=system:masters/CN=netpol
    start netpol "$bin/netpol" --kubeconfig "$state/netpol.kubeconfig" --socket "$run/netpol.sock" --dns "$ip"
}

metrics_up() {
    local name=metrics-server
    is_built $name || return 0
    cert ca $name /O=system:masters/CN=$name "DNS:$name.kube-system.svc"
    kubeconfig "$state/$name.kubeconfig" $name /O=system:masters/CN=$name
    start $name "$bin/$name" --bind-address "$ip" --secure-port 4443 --metric-resolution 10s \
        --kubelet-request-timeout 5s --kubelet-preferred-address-types InternalIP \
        --kubelet-certificate-authority "$pki/ca.crt" --kubeconfig "$state/$name.kubeconfig" \
        --authentication-kubeconfig "$state/$name.kubeconfig" --authorization-kubeconfig "$state/$name.kubeconfig" \
        --tls-cert-file "$pki/$name.crt" --tls-private-key-file "$pki/$name.key"
    kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: $name, namespace: kube-system}
spec: {ports: [{name: https, port: 443, targetPort: 4443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $name, namespace: kube-system, labels: {kubernetes.io/service-name: $name}}
addressType: IPv4
ports: [{name: https, port: 4443, protocol: TCP}]
endpoints: [{addresses: [$ip]}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  caBundle: $(base64 -w0 <"$pki/ca.crt")
  service: {name: $name, namespace: kube-system}
YAML
}

load() {
    local archive
    pid_of containerd >/dev/null || die "it is not up"
    for archive in "$@"; do in_containerd images import --snapshotter overlayfs "$archive"; done
}

cluster_up() { # once more on a cluster that is half up: it finishes it
    check_host
    network_up
    api_up
    controllers_up
    policies_up
    containerd_up
    kubelet_up
    services_up
    dns_up
    metrics_up
    wait_for 60 kubelet kubectl wait --for=condition=Ready node/$node --timeout=1s
    wait_for 30 kube-controller-manager kubectl get serviceaccount default
    wait_for 30 coredns curl -fsS "http://$ip:8181/ready"
}

cluster_down() {
    local name id mount folder value
    for name in $processes; do
        case $name in
            containerd) pods_down; stop containerd ;;
            kube-apiserver) api_down; break ;;
            *) stop "$name" ;;
        esac
    done
    # Volumes, root file systems and network namespaces, the deepest first; the interfaces go with their namespaces.
    for mount in $(awk -v s="$state/" 'index($2, s) == 1 {print $2}' /proc/mounts | sort -r); do umount -l "$mount"; done
    for folder in /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods; do
        [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} + || true
    done
    for name in "ip kube-proxy" "ip6 kube-proxy" "ip eventroute-netpol"; do
        # shellcheck disable=SC2086 # family and table
        nft delete table $name 2>/dev/null || true
    done
    ip link delete $link 2>/dev/null || true
    [ ! -e "$state/kernel" ] || while read -r name value; do echo "$value" >"/proc/sys/$name"; done <"$state/kernel"
    find /var/log/containers -lname "$state/*" -delete 2>/dev/null || true
    rm -rf "${state:?}"
}

pods_down() { # they would outlive containerd
    local id
    pid_of containerd >/dev/null || return 0
    for id in $(in_containerd tasks ls -q); do in_containerd tasks delete --force "$id" >/dev/null 2>&1 || true; done
    for id in $(in_containerd containers ls -q); do in_containerd containers delete "$id" || true; done
}

case ${1:-} in
    up) cluster_up; echo "export KUBECONFIG=$admin" ;;
    down) cluster_down ;;
    load) shift; load "$@" ;;
    status)
        for name in $processes; do echo "$name: $(pid_of "$name" || echo down)"; done
        [ ! -s "$admin" ] || kubectl get nodes,pods --all-namespaces ;;
    kubeconfig) [ -s "$admin" ] || die "it is not up"; cat "$admin" ;;
    *) die "usage: cluster.sh up|down|status|load ARCHIVE...|kubeconfig" ;;
esac
