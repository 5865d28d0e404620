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

{{/* Where a program finds Redis: the chart's Valkey by its name, one's own by a URL that may hold a password.
     Takes a list: root, program. */}}
{{- define "eventroute.redisEnv" -}}
{{- $root := index . 0 -}}
{{- $env := printf "EVENTROUTE_%s" (index . 1 | upper) -}}
{{- $folder := include "eventroute.secretsFolder" $root -}}
{{- if $root.Values.valkey.enabled -}}
- {name: {{ $env }}_REDIS_URL, value: {{ include "eventroute.valkeyURL" . | quote }}}
- {name: {{ $env }}_REDIS_PASSWORD_FILE, value: {{ $folder }}/redis-password}
{{- else -}}
- {name: {{ $env }}_REDIS_URL_FILE, value: {{ $folder }}/redis-url}
{{- end -}}
{{- end -}}

{{/* The chart's Valkey as one of its users, without the password. Takes a list: root, user. */}}
{{- define "eventroute.valkeyURL" -}}
{{- $at := printf "%s@%s-valkey.%s.svc:6379/0" (index . 1) (include "eventroute.fullname" (index . 0)) (index . 0).Release.Namespace -}}
{{- if (index . 0).Values.valkey.tlsSecret -}}
rediss://{{ $at }}?ssl_ca_certs=/etc/eventroute/redis-ca/ca.crt
{{- else -}}
redis://{{ $at }}
{{- end -}}
{{- end -}}

{{/* One program's part of that which is secret, as a source of a projected volume. Takes a list: root, program. */}}
{{- define "eventroute.redisSource" -}}
{{- $root := index . 0 -}}
{{- $program := index . 1 -}}
- secret:
    {{- if $root.Values.valkey.enabled }}
    name: {{ include "eventroute.valkeySecret" $root }}
    items: [{key: {{ $program }}-password, path: redis-password}]
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

{{/* Volumes of a program: its secrets by the sources given, the authority for Redis, a place for temporary files, and what
     the values add. Takes a list: root, component, sources. */}}
{{- define "eventroute.volumes" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- index . 2 | nindent 6 }}
{{- with include "eventroute.redisAuthority" (index . 0) | fromYaml }}
- name: redis-ca
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items: [{key: {{ .key }}, path: ca.crt}]
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{ include "eventroute.extraVolumes" . }}
{{- end -}}

{{/* Where a program finds those. Takes a list: root, component. */}}
{{- define "eventroute.volumeMounts" -}}
- {name: secrets, mountPath: {{ include "eventroute.secretsFolder" (index . 0) }}, readOnly: true}
{{- if include "eventroute.redisAuthority" (index . 0) | fromYaml }}
- {name: redis-ca, mountPath: /etc/eventroute/redis-ca, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{ include "eventroute.extraVolumeMounts" . }}
{{- end -}}

{{/* Who has signed the certificate of Redis, as a Secret's name and key; empty = nobody of the cluster's own. */}}
{{- define "eventroute.redisAuthority" -}}
{{- if not .Values.valkey.enabled -}}
{{- with .Values.redis.caSecret -}}
{{- if .name -}}
{name: {{ .name }}, key: {{ .key }}}
{{- end -}}
{{- end -}}
{{- else if .Values.valkey.tlsSecret -}}
{name: {{ .Values.valkey.tlsSecret }}, key: ca.crt}
{{- end -}}
{{- end -}}
