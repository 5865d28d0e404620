{{/* Which Secret holds what. Programs find secrets as files: an environment is read by too many. */}}

{{- define "eventroute.secretsFolder" -}}/etc/eventroute/secrets{{- end -}}

{{- define "eventroute.tableKeysSecret" -}}
{{ .Values.tableKeys.existingSecret | default (printf "%s-table-keys" (include "eventroute.fullname" .)) }}
{{- end -}}

{{- define "eventroute.valkeySecret" -}}
{{ .Values.valkey.existingSecret | default (printf "%s-valkey" (include "eventroute.fullname" .)) }}
{{- end -}}

{{- define "eventroute.anthropicSecret" -}}
{{- if .Values.worker.anthropic.existingSecret -}}
{{ .Values.worker.anthropic.existingSecret }}
{{- else if or .Values.worker.anthropic.apiKey .Values.simulator.enabled -}}
{{ include "eventroute.fullname" . }}-anthropic
{{- end -}}
{{- end -}}

{{/* One program's Redis URL as a source of a projected volume. Takes a list: root, program. */}}
{{- define "eventroute.redisURLSource" -}}
{{- $root := index . 0 -}}
{{- $program := index . 1 -}}
- secret:
    {{- if $root.Values.valkey.enabled }}
    name: {{ include "eventroute.valkeySecret" $root }}
    items: [{key: {{ $program }}-url, path: redis-url}]
    {{- else }}
    name: {{ required "redis.urlSecret.name is required with valkey.enabled=false" $root.Values.redis.urlSecret.name }}
    items: [{key: {{ get $root.Values.redis.urlSecret.keys $program }}, path: redis-url}]
    {{- end }}
{{- end -}}

{{/* One table key as a source of a projected volume. Takes a list: root, plane, file. */}}
{{- define "eventroute.tableKeySource" -}}
- secret:
    name: {{ include "eventroute.tableKeysSecret" (index . 0) }}
    items: [{key: {{ index . 1 }}, path: {{ index . 2 }}}]
{{- end -}}

{{/* Volumes of a program: its secrets by the sources given, the authority for Redis, and a place for temporary files.
     Takes a list: root, sources. */}}
{{- define "eventroute.volumes" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- index . 1 | nindent 6 }}
{{- with (index . 0).Values.redis.caSecret }}
{{- if .name }}
- name: redis-ca
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items: [{key: {{ .key }}, path: ca.crt}]
{{- end }}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end -}}

{{- define "eventroute.volumeMounts" -}}
- {name: secrets, mountPath: {{ include "eventroute.secretsFolder" . }}, readOnly: true}
{{- if .Values.redis.caSecret.name }}
- {name: redis-ca, mountPath: /etc/eventroute/redis-ca, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- end -}}
