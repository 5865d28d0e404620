{{/* Names, labels and images: how every object of an installation is called. */}}

{{- define "eventroute.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains "eventroute" .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-eventroute" (.Release.Name | trunc 29 | trimSuffix "-") }}
{{- end -}}
{{- end -}}

{{/* Names of objects that belong to no namespace: two installations may share a release's name. */}}
{{- define "eventroute.clusterName" -}}
{{ printf "%s:%s" .Release.Namespace (include "eventroute.fullname" .) }}
{{- end -}}

{{/* What a Service, a policy or a workload selects by. Takes a list: root, component. */}}
{{- define "eventroute.selector" -}}
app.kubernetes.io/name: eventroute
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of every object. Takes a list: root, component. */}}
{{- define "eventroute.labels" -}}
{{ include "eventroute.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end -}}

{{/* Name, namespace and labels of an object. Takes a list: root, component, and a name's ending unless it is the component. */}}
{{- define "eventroute.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "eventroute.fullname" $root }}-{{ last . }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "eventroute.labels" (list $root (index . 1)) | nindent 2 }}
{{- end -}}

{{/* The image of one of the project's programs. Takes a list: root, program. */}}
{{- define "eventroute.image" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
eventroute/{{ index . 1 }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end -}}
