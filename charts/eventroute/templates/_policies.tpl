{{/* Rules that several NetworkPolicies share. */}}

{{/* Pods of one component of this installation, as a peer. Takes a list: root, component. */}}
{{- define "eventroute.peer" -}}
podSelector:
  matchLabels:
    {{- include "eventroute.selector" . | nindent 4 }}
{{- end -}}

{{- define "eventroute.dnsEgress" -}}
- to:
    {{- toYaml .Values.networkPolicies.dnsTo | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{- define "eventroute.redisEgress" -}}
{{- if .Values.valkey.enabled -}}
- to:
    - {{- include "eventroute.peer" (list . "valkey") | nindent 6 }}
  ports:
    - {protocol: TCP, port: 6379}
{{- else -}}
- ports:
    {{- range .Values.redis.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* Towards a URL of the values: its port, wherever its host is. */}}
{{- define "eventroute.urlEgress" -}}
{{- $url := urlParse . -}}
{{- $default := ternary "443" "80" (eq $url.scheme "https") -}}
- ports:
    - {protocol: TCP, port: {{ regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default $default }}}
{{- end -}}

{{- define "eventroute.tracingEgress" -}}
{{- if .Values.tracing.endpoint -}}
{{- include "eventroute.urlEgress" .Values.tracing.endpoint -}}
{{- else if .Values.jaeger.enabled -}}
- to:
    - {{- include "eventroute.peer" (list . "jaeger") | nindent 6 }}
  ports:
    - {protocol: TCP, port: 4318}
{{- end -}}
{{- end -}}

{{- define "eventroute.probesIngress" -}}
{{- with .Values.networkPolicies.probesFrom -}}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - {protocol: TCP, port: 8081}
{{- end -}}
{{- end -}}
