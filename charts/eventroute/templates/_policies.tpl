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

{{/* All public addresses, as workers judge them, unless the values say otherwise. */}}
{{- define "eventroute.internet" -}}
{{- with .Values.networkPolicies.internetTo -}}
{{- toYaml . -}}
{{- else -}}
{{- range $block := .Files.Get "files/internet.yaml" | fromYamlArray -}}
- ipBlock:
    cidr: {{ $block.cidr }}
    except:
      {{- range $block.except }}
      - {{ . }}
      {{- end }}
      {{- range $.Values.outbound.deniedCIDRs }}
      {{- if or (and (contains ":" .) (eq $block.cidr "2000::/3")) (and (not (contains ":" .)) (eq $block.cidr "0.0.0.0/0")) }}
      - {{ . }}
      {{- end }}
      {{- end }}
{{ end -}}
{{- end -}}
{{- end -}}

{{- define "eventroute.outboundPorts" -}}
{{- range . -}}
- {protocol: TCP, port: {{ . }}}
{{ end -}}
{{- end -}}

{{/* Towards what sinks and tools may reach of private networks. */}}
{{- define "eventroute.privateEgress" -}}
{{- $peers := list -}}
{{- range .Values.outbound.privateCIDRs -}}
{{- $peers = append $peers (dict "ipBlock" (dict "cidr" .)) -}}
{{- end -}}
{{- range .Values.outbound.privateHosts -}}
{{- if not (contains "." .) -}}
{{- $peers = append $peers (dict "podSelector" dict) -}}
{{- else if regexMatch "^[*][.]svc([.]cluster[.]local)?$" . -}}
{{- $peers = append $peers (dict "namespaceSelector" dict) -}}
{{- else if regexMatch "[.]svc([.]cluster[.]local)?$" . -}}
{{- $namespace := regexReplaceAll "^.*[.]([^.]+)[.]svc([.]cluster[.]local)?$" . "${1}" -}}
{{- $labels := dict "kubernetes.io/metadata.name" $namespace -}}
{{- $peers = append $peers (dict "namespaceSelector" (dict "matchLabels" $labels)) -}}
{{- end -}}
{{- end -}}
{{- if and $peers .Values.outbound.ports -}}
- to:
    {{- toYaml (uniq $peers) | nindent 4 }}
  ports:
    {{- include "eventroute.outboundPorts" .Values.outbound.ports | trim | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* The rules of connections of sinks and tools, as JSON. Hosts are judged for each namespace by the operator; workers
     hold to all of them together, unless some namespace may name any. */}}
{{- define "eventroute.outbound" -}}
{{- $hosts := .Values.operator.policy.allowedHosts -}}
{{- if $hosts -}}
{{- range .Values.operator.policy.namespaces -}}
{{- $hosts = concat $hosts (default list .allowedHosts) -}}
{{- end -}}
{{- end -}}
{{- merge (dict "allowedHosts" (uniq $hosts)) .Values.outbound | toJson -}}
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
