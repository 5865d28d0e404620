{{/* Where providers reach the hooks, when the values say so; else empty. */}}
{{- define "eventroute.hooksURL" -}}
{{- if .Values.operator.hooksURL -}}
{{ .Values.operator.hooksURL }}
{{- else if and .Values.ingress.enabled .Values.ingress.host -}}
{{ ternary "https" "http" (not (empty .Values.ingress.tlsSecret)) }}://{{ .Values.ingress.host }}/hooks
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames -}}
https://{{ first .Values.httpRoute.hostnames }}/hooks
{{- end -}}
{{- end -}}
