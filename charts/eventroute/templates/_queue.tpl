{{/* Figures of the queue, as its programs take them. */}}

{{/* Bytes of bodies above which senders are told to come back; 0 = any. */}}
{{- define "eventroute.maxQueueBytes" -}}
{{- $bytes := .Values.queue.maxBytes | int64 -}}
{{- if and (not $bytes) .Values.valkey.enabled -}}
{{- $memory := .Values.valkey.maxMemory -}}
{{- $unit := get (dict "kb" 1024 "mb" 1048576 "gb" 1073741824) (regexFind "[a-z]+$" $memory) -}}
{{- $bytes = div (mul (regexFind "^[0-9]+" $memory | int64) $unit 2) 5 -}}
{{- end -}}
{{ $bytes }}
{{- end -}}

{{/* Seconds of a duration with one unit, such as `24h`. */}}
{{- define "eventroute.seconds" -}}
{{- $unit := get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) (regexFind "[smhd]$" .) -}}
{{ mul (regexFind "^[0-9]+" . | int64) $unit }}
{{- end -}}
