{{/* Which Secrets the Job makes, as its variables; empty when all are somebody else's. */}}
{{- define "eventroute.keysEnv" -}}
{{- if not .Values.tableKeys.existingSecret }}
- {name: EVENTROUTE_KEYS_TABLE_KEYS, value: {{ include "eventroute.tableKeysSecret" . }}}
{{- end }}
{{- if and .Values.valkey.enabled (not .Values.valkey.existingSecret) }}
- {name: EVENTROUTE_KEYS_PASSWORDS, value: {{ include "eventroute.valkeySecret" . }}}
{{- end }}
{{- end -}}

{{/* Run before everything else of an installation or upgrade, by Helm, Argo CD and Flux; a plain object for others.
     Takes a weight. */}}
{{- define "eventroute.keysHook" -}}
annotations:
  helm.sh/hook: pre-install,pre-upgrade
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  helm.sh/hook-weight: {{ . | quote }}
{{- end -}}

{{/* The Job's pod. */}}
{{- define "eventroute.keysPod" -}}
metadata:
  {{- include "eventroute.podMetadata" (list . "keys" dict) | nindent 2 }}
spec:
  {{- include "eventroute.pod" (list . "keys") | nindent 2 }}
  restartPolicy: OnFailure
  containers:
    - name: keys
      image: {{ include "eventroute.image" (list . "operator") }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [keys]
      env:
        - name: EVENTROUTE_KEYS_NAMESPACE
          valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
        {{- include "eventroute.keysEnv" . | trim | nindent 8 }}
      resources:
        requests: {cpu: 50m, memory: 96Mi}
        limits: {memory: 256Mi}
      securityContext:
        {{- include "eventroute.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
{{- end -}}
