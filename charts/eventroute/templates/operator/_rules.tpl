{{/* What the operator may do in a namespace that it watches; operator/README.md says why, rule by rule. */}}
{{- define "eventroute.operatorRules" -}}
- apiGroups: [eventroute.dev]
  resources: [eventroutes]
  verbs: [list, watch]
- apiGroups: [eventroute.dev]
  resources: [eventroutes/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
