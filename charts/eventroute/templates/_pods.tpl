{{/* What every pod has, so that each workload's own file says only what is special about it. */}}

{{/* Metadata of a pod: no version, with which each upgrade would restart what hasn't changed.
     Takes a list: root, component, and a dict of annotations. */}}
{{- define "eventroute.podMetadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "eventroute.selector" (list $root (index . 1)) | nindent 2 }}
  {{- with $root.Values.pods.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (index . 2) $root.Values.pods.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A pod under the restricted Pod Security Standard, on the nodes of the values. Takes a list: root, component. */}}
{{- define "eventroute.pod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "eventroute.fullname" $root }}-{{ index . 1 }}
automountServiceAccountToken: {{ eq (index . 1) "operator" }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $root.Values.pods.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.pods.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.pods.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "eventroute.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
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

{{/* Probes of the project's programs. A start may be slow on a busy node; a hung loop is ended after half a minute. */}}
{{- define "eventroute.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: probes}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: probes}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: probes}
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
