{{/* Where the test's route is: in the release's namespace if the operator watches it, else in the first that it does. */}}
{{- define "eventroute.testNamespace" -}}
{{- $watched := .Values.operator.namespaces -}}
{{- if or (not $watched) (has .Release.Namespace $watched) -}}
{{ .Release.Namespace }}
{{- else -}}
{{ first $watched }}
{{- end -}}
{{- end -}}

{{/* Made for each `helm test`, and removed when it has passed. */}}
{{- define "eventroute.testHook" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
