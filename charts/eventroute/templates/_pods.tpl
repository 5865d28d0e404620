{{/* What every pod has, so that each workload's own file says only what is special about it. */}}

{{/* Settings of a component's pods: its own over those of all. Fills a dict, as text would make other numbers of numbers.
     Takes a list: root, component, dict. */}}
{{- define "eventroute.settings" -}}
{{- $own := (index (index . 0).Values (index . 1) | default dict).pods | default dict -}}
{{- $settings := index . 2 -}}
{{- range $key, $value := (index . 0).Values.pods -}}
{{- if has $key (list "annotations" "labels" "workloadAnnotations" "serviceAccountAnnotations") -}}
{{- $_ := set $settings $key (merge (dict) (get $own $key | default dict) $value) -}}
{{- else -}}
{{- $_ := set $settings $key (ternary (get $own $key) $value (hasKey $own $key)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Metadata of a Deployment or StatefulSet. Takes a list: root, component. */}}
{{- define "eventroute.workloadMetadata" -}}
{{- $settings := dict -}}
{{- include "eventroute.settings" (list (index . 0) (index . 1) $settings) -}}
{{ include "eventroute.metadata" . }}
{{- with $settings.workloadAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* How a Deployment replaces its pods, and which they are. Takes a list: root, component, a strategy. */}}
{{- define "eventroute.deployment" -}}
{{- $settings := dict -}}
{{- include "eventroute.settings" (list (index . 0) (index . 1) $settings) -}}
revisionHistoryLimit: 3
strategy:
  {{- toYaml ($settings.strategy | default (index . 2)) | nindent 2 }}
selector:
  matchLabels:
    {{- include "eventroute.selector" (list (index . 0) (index . 1)) | nindent 4 }}
{{- end -}}

{{/* Number of pods: as the values say, or, where an autoscaler has it in hand, as many as there are; without that, they
     would be one when it is switched on. Unknown where Helm sees no cluster. Takes a list: root, component. */}}
{{- define "eventroute.replicas" -}}
{{- $root := index . 0 -}}
{{- if eq $root.Values.autoscaling.mode "none" -}}
replicas: {{ (index $root.Values (index . 1)).replicas }}
{{- else -}}
{{- $name := printf "%s-%s" (include "eventroute.fullname" $root) (index . 1) -}}
{{- $running := (lookup "apps/v1" "Deployment" $root.Release.Namespace $name).spec | default dict -}}
{{- if hasKey $running "replicas" -}}
replicas: {{ $running.replicas }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Metadata of a pod: no version, with which each upgrade would restart what hasn't changed.
     Takes a list: root, component, and a dict of annotations. */}}
{{- define "eventroute.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $settings := dict -}}
{{- include "eventroute.settings" (list $root (index . 1) $settings) -}}
labels:
  {{- include "eventroute.selector" (list $root (index . 1)) | nindent 2 }}
  {{- with $settings.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (index . 2) $settings.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A pod under the restricted Pod Security Standard, on the nodes of the values. Takes a list: root, component. */}}
{{- define "eventroute.pod" -}}
{{- $root := index . 0 -}}
{{- $settings := dict -}}
{{- include "eventroute.settings" (list $root (index . 1) $settings) -}}
serviceAccountName: {{ include "eventroute.fullname" $root }}-{{ index . 1 }}
automountServiceAccountToken: {{ has (index . 1) (list "operator" "keys") }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- if not $root.Values.openshift }}
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  {{- end }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "runtimeClassName" }}
{{- with get $settings $field }}
{{ toYaml (dict $field .) }}
{{- end }}
{{- end }}
{{- if $settings.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $settings.topologySpreadConstraints | nindent 2 }}
{{- else if has (index . 1) (list "receiver" "worker" "operator") }}
{{ include "eventroute.spread" . }}
{{- end }}
{{- end -}}

{{/* What containers of every component have. Takes a list: root, component, image, resources. */}}
{{- define "eventroute.container" -}}
{{- $root := index . 0 -}}
{{- $settings := dict -}}
{{- include "eventroute.settings" (list $root (index . 1) $settings) -}}
image: {{ index . 2 }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{- with $settings.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $kind, $probe := include "eventroute.probes" (index . 1) | fromYaml }}
{{ $kind }}:
  {{- toYaml (merge (dict) (get $settings $kind) $probe) | nindent 2 }}
{{- end }}
resources:
  {{- toYaml (index . 3) | nindent 2 }}
securityContext:
  {{- include "eventroute.containerSecurity" $root | nindent 2 }}
{{- end -}}

{{- define "eventroute.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Volumes of the values, and where they are mounted. Each takes a list: root, component. */}}
{{- define "eventroute.extraVolumes" -}}
{{- $settings := dict -}}
{{- include "eventroute.settings" (list (index . 0) (index . 1) $settings) -}}
{{- with $settings.extraVolumes }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "eventroute.extraVolumeMounts" -}}
{{- $settings := dict -}}
{{- include "eventroute.settings" (list (index . 0) (index . 1) $settings) -}}
{{- with $settings.extraVolumeMounts }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Pods of one component on different nodes and in different zones, where there are any. Takes a list: root, component. */}}
{{- define "eventroute.spread" -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "eventroute.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end -}}

{{/* Probes of a component. A start may be slow on a busy node; a hung loop is ended after half a minute. Of Valkey only
     whether it listens is asked: a PING needs a password and a client in the image, and programs wait while data is loaded. */}}
{{- define "eventroute.probes" -}}
{{- $port := get (dict "valkey" "valkey" "simulator" "api" "jaeger" "ui") . | default "probes" -}}
{{- $path := get (dict "simulator" "/simulator/faults" "jaeger" "/api/services") . | default "/readyz" -}}
{{- $listens := printf "tcpSocket: {port: %s}" $port -}}
startupProbe:
  {{ ternary "httpGet: {path: /livez, port: probes}" $listens (eq $port "probes") }}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  {{ ternary "httpGet: {path: /livez, port: probes}" $listens (eq $port "probes") }}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  {{ ternary $listens (printf "httpGet: {path: %s, port: %s}" $path $port) (eq $port "valkey") }}
  periodSeconds: 3
  timeoutSeconds: 5
{{- end -}}

{{/* Where traces go; empty when nowhere. */}}
{{- define "eventroute.tracesTo" -}}
{{- if .Values.tracing.endpoint -}}
{{ .Values.tracing.endpoint }}
{{- else if .Values.jaeger.enabled -}}
http://{{ include "eventroute.fullname" . }}-jaeger.{{ .Release.Namespace }}.svc:4318
{{- end -}}
{{- end -}}

{{/* The standard variables that switch traces on. */}}
{{- define "eventroute.tracingEnv" -}}
{{- with include "eventroute.tracesTo" . -}}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ $.Values.tracing.ratio | quote }}}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: "service.namespace={{ $.Release.Namespace }},service.version={{ $.Chart.AppVersion }}"
{{- end -}}
{{- end -}}
