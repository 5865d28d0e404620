{{/* How Valkey starts, what it holds to, and what each of its users may do. No secrets: those are in the Secret. */}}
{{- define "eventroute.valkeyFiles" -}}
valkey.sh: |
  {{- .Files.Get "files/valkey.sh" | nindent 2 }}
users.acl: |
  {{- .Files.Get "files/users.acl" | nindent 2 }}
valkey.conf: |
  {{- .Files.Get "files/valkey.conf" | nindent 2 }}
  appendfsync {{ .Values.valkey.persistence.fsync }}
  maxmemory {{ .Values.valkey.maxMemory }}
  {{- if .Values.valkey.tlsSecret }}
  {{- .Files.Get "files/valkey-tls.conf" | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Users of Valkey, with commas between them. */}}
{{- define "eventroute.valkeyUsers" -}}
{{- $users := list -}}
{{- range regexFindAll "<[a-z]+>" (.Files.Get "files/users.acl") -1 -}}
{{- $users = append $users (trimAll "<>" .) -}}
{{- end -}}
{{ join "," $users }}
{{- end -}}
