{{/* Where providers reach the hooks, when the values say so; else empty. */}}
{{- define "eventroute.hooksURL" -}}
{{- if .Values.operator.hooksURL -}}
{{ .Values.operator.hooksURL }}
{{- else if and .Values.ingress.enabled .Values.ingress.hosts -}}
{{- $host := first .Values.ingress.hosts -}}
{{ ternary "https" "http" (not (empty $host.tlsSecret)) }}://{{ $host.name }}/hooks
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames -}}
https://{{ first .Values.httpRoute.hostnames }}/hooks
{{- end -}}
{{- end -}}
