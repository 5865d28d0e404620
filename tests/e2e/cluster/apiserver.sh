#!/usr/bin/env bash
# apiserver.sh up|down|status|kubeconfig
# The Kubernetes API and nothing behind it, as two processes: etcd and kube-apiserver, with RBAC, CRDs and admission.
# No controller and no node, so no pod ever runs. Needs no root. `down` removes the data too.
: "${KUBE_STATE:=${TMPDIR:-/tmp}/eventroute-apiserver-$UID}" "${KUBE_IP:=127.0.0.1}" "${KUBE_PORT:=16443}"
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

api_up() {
    mkdir -p "$logs" "$run"
    mkdir -p -m 700 "$pki"
    ca ca
    ca front-proxy-ca
    local dns=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
    cert ca apiserver /CN=kube-apiserver "$dns,DNS:kubernetes.default.svc.cluster.local,IP:$ip,IP:127.0.0.1,IP:10.96.0.1"
    cert ca kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
    cert front-proxy-ca front-proxy /CN=front-proxy
    [ -s "$pki/sa.key" ] || openssl ecparam -name prime256v1 -genkey -noout -out "$pki/sa.key"
    kubeconfig "$admin" admin /O=system:masters/CN=admin

    local client=http://127.0.0.1:$((port + 1)) peer=http://127.0.0.1:$((port + 2)) endpoint
    start etcd "$bin/etcd" --name e2e --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "$client" --advertise-client-urls "$client" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "e2e=$peer"
    # Pods could not reach a loopback address, so it is not offered to them as the `kubernetes` Service's endpoint.
    [[ $ip = 127.* ]] && endpoint=--endpoint-reconciler-type=none || endpoint=--advertise-address=$ip
    start kube-apiserver "$bin/kube-apiserver" --etcd-servers "$client" \
        --bind-address "$ip" --secure-port "$port" --service-cluster-ip-range "$service_cidr" "$endpoint" \
        --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
        --client-ca-file "$pki/ca.crt" --authorization-mode Node,RBAC \
        --enable-admission-plugins NodeRestriction --allow-privileged \
        --service-account-issuer https://kubernetes.default.svc.cluster.local \
        --service-account-key-file "$pki/sa.key" --service-account-signing-key-file "$pki/sa.key" \
        --kubelet-client-certificate "$pki/kubelet-client.crt" --kubelet-client-key "$pki/kubelet-client.key" \
        --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
        --requestheader-client-ca-file "$pki/front-proxy-ca.crt" --requestheader-allowed-names front-proxy \
        --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
        --requestheader-extra-headers-prefix X-Remote-Extra- --enable-aggregator-routing \
        --proxy-client-cert-file "$pki/front-proxy.crt" --proxy-client-key-file "$pki/front-proxy.key"
    wait_for 20 etcd curl -fsS "$client/readyz"
    wait_for 60 kube-apiserver kubectl get --raw /readyz
}

api_down() {
    stop kube-apiserver 1 # a short time, as their data goes next
    stop etcd 1
    rm -rf "$state/etcd" "$pki" "$admin"
}

[[ ${BASH_SOURCE[0]} = "$0" ]] || return 0 # cluster.sh wants the functions only
case ${1:-} in
    up) api_up; echo "export KUBECONFIG=$admin" ;;
    down) api_down; rm -rf "${state:?}" ;;
    status) for name in etcd kube-apiserver; do echo "$name: $(pid_of $name || echo down)"; done ;;
    kubeconfig) [ -s "$admin" ] || die "it is not up"; cat "$admin" ;;
    *) die "usage: apiserver.sh up|down|status|kubeconfig" ;;
esac
