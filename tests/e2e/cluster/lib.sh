# What apiserver.sh, cluster.sh and keda.sh share: where things lie, certificates, and processes known by their pid.
# Sourced, never run. Settings come by the environment:
#   KUBE_BIN    folder that build.sh fills
#   KUBE_STATE  folder of everything that is written, removed by `down`; short, as sockets lie in it
#   KUBE_IP     address of the API server
#   KUBE_PORT   its port; etcd takes the two that follow
# The scripts have defaults of their own for the last three, so that an API server and a cluster can be up side by side.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${KUBE_BIN:-$HOME/.cache/eventroute-e2e/bin}
state=${KUBE_STATE:?} ip=${KUBE_IP:?} port=${KUBE_PORT:?}
pki=$state/pki logs=$state/log run=$state/run
admin=$state/admin.kubeconfig
cluster=eventroute-e2e # also the context's name, by which the tests know a cluster that they may use
service_cidr=10.96.0.0/16

die() { echo "${0##*/}: $*" >&2; exit 1; }

# Always against this cluster: with the kubectl that build.sh made, else with the machine's.
kubectl() {
    local program=$bin/kubectl
    [ -x "$program" ] || program=$(type -P kubectl) || die "kubectl is missing: run build.sh"
    "$program" --kubeconfig "$admin" "$@"
}

wait_for() { # SECONDS NAME COMMAND...: until the command succeeds; gives up at once when the process NAME has ended
    local end=$((SECONDS + $1)) name=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ ! -e "$run/$name.pid" ] || pid_of "$name" >/dev/null || die "$name ended: $(last_words "$name")"
        [ $SECONDS -lt $end ] || die "$name was not ready in time; its log is in $logs"
        sleep 0.2
    done
}

last_words() { tail -n 1 "$logs/$1.log" | cut -c 1-300; }

pid_of() { # NAME: its pid, as long as that process is the one that we started (pids come round again)
    local pid
    pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
    grep -qzxF "EVENTROUTE_PIDFILE=$run/$1.pid" "/proc/$pid/environ" 2>/dev/null && echo "$pid"
}

start() { # NAME COMMAND...: in the background, unless it runs already
    local name=$1
    shift
    ! pid_of "$name" >/dev/null || return 0
    [ -x "$(type -P "$1")" ] || die "$1 is missing: run build.sh, or install the packages that README.md names"
    EVENTROUTE_PIDFILE=$run/$name.pid setsid "$@" >>"$logs/$name.log" 2>&1 </dev/null &
    local pid=$! tries=0
    echo $pid >"$run/$name.pid"
    sleep 0.1
    until pid_of "$name" >/dev/null; do # a process that is just becoming its program has no environment for a moment
        kill -0 $pid 2>/dev/null && [ $((tries += 1)) -lt 40 ] || die "$name ended at once: $(last_words "$name")"
        sleep 0.05
    done
}

stop() { # NAME [SECONDS]: asks it to end, and kills it when it takes longer
    local pid end=$((SECONDS + ${2:-10}))
    if pid=$(pid_of "$1"); then
        kill "$pid"
        while pid_of "$1" >/dev/null; do # a zombie has no environment, so it counts as gone
            [ $SECONDS -lt $end ] || { kill -9 "$pid"; break; }
            sleep 0.05
        done
    fi
    rm -f "$run/$1.pid"
}

key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 3650)

ca() { # NAME: a self-signed authority
    [ -s "$pki/$1.crt" ] ||
        openssl req -x509 "${key[@]}" -subj "/CN=eventroute-$1" -keyout "$pki/$1.key" -out "$pki/$1.crt" 2>/dev/null
}

cert() { # CA NAME SUBJECT [ALTERNATIVE_NAMES]: a key and a certificate, for clients and servers alike
    [ -s "$pki/$2.crt" ] || openssl req -x509 "${key[@]}" -CA "$pki/$1.crt" -CAkey "$pki/$1.key" \
        -config <(printf '[req]\ndistinguished_name=d\n[d]\n') -subj "$3" \
        -addext keyUsage=digitalSignature -addext extendedKeyUsage=clientAuth,serverAuth \
        ${4:+-addext "subjectAltName=$4"} -keyout "$pki/$2.key" -out "$pki/$2.crt" 2>/dev/null
}

kubeconfig() { # FILE NAME SUBJECT: with a client certificate for SUBJECT in it
    cert ca "$2" "$3"
    cat >"$1.new" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: $cluster, cluster: {server: "https://$ip:$port", certificate-authority-data: $(base64 -w0 <"$pki/ca.crt")}}]
users: [{name: $2, user: {client-certificate-data: $(base64 -w0 <"$pki/$2.crt"), client-key-data: $(base64 -w0 <"$pki/$2.key")}}]
contexts: [{name: $cluster, context: {cluster: $cluster, user: $2}}]
current-context: $cluster
YAML
    chmod 600 "$1.new"
    mv "$1.new" "$1" # at once: another run may be reading it
}
