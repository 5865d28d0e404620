{{/* What follows from `valkey.maxMemory`. */}}

{{- define "eventroute.valkeyMiB" -}}
{{- $memory := .Values.valkey.maxMemory -}}
{{- mul (regexFind "^[0-9]+" $memory | int64) (get (dict "mb" 1 "gb" 1024) (regexFind "[a-z]+$" $memory)) -}}
{{- end -}}

{{/* MiB as Kubernetes writes them: another spelling would be a change each time. */}}
{{- define "eventroute.quantity" -}}
{{- if mod . 1024 -}}{{ . }}Mi{{- else -}}{{ div . 1024 }}Gi{{- end -}}
{{- end -}}

{{/* Twice the data: a fork that writes a file anew shares what does not change meanwhile, and has the rest once more. All
     of it is requested: a node that runs short would end the queue before everything that asked for less than it uses. */}}
{{- define "eventroute.valkeyResources" -}}
{{- $memory := dict "memory" (include "eventroute.quantity" (mul 2 (include "eventroute.valkeyMiB" . | int64))) -}}
{{- toYaml (merge (dict) .Values.valkey.resources (dict "requests" $memory "limits" $memory)) -}}
{{- end -}}

{{/* Eight times the data: what is appended may be twice as long as the data, and both stand there once more while they are
     written anew; the rest is for disks that are slower than writers. A claim that there is keeps its size: none can shrink,
   and not all can grow. */}}
{{- define "eventroute.valkeyVolume" -}}
{{- $claim := lookup "v1" "PersistentVolumeClaim" .Release.Namespace (printf "%s-valkey" (include "eventroute.fullname" .)) -}}
{{- $present := dig "spec" "resources" "requests" "storage" "" $claim -}}
{{- $wanted := include "eventroute.quantity" (mul 8 (include "eventroute.valkeyMiB" . | int64)) -}}
{{- .Values.valkey.persistence.size | default $present | default $wanted -}}
{{- end -}}
