{{/* The name of all objects, at most 53 letters: the longest suffix, "-headless", makes that 62. */}}
{{- define "attention-server.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "attention-server.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "attention-server.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "attention-server.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What tells this release's objects from others. */}}
{{- define "attention-server.instanceLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* What tells its servers from its other pods, such as that of `helm test`. Never changes. */}}
{{- define "attention-server.selectorLabels" -}}
{{ include "attention-server.instanceLabels" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "attention-server.labels" -}}
{{ include "attention-server.instanceLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The same for the servers' pods and for the one that tests them. */}}
{{- define "attention-server.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.user }}
  runAsGroup: {{ .Values.user }}
  # Owns mounted files. A large folder of layers is not walked through at each start.
  fsGroup: {{ .Values.user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "attention-server.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Whether the servers are asked for a policy, as "true" or "". */}}
{{- define "attention-server.hasPolicy" -}}
{{- if or .Values.policy.document .Values.policy.existingConfigMap -}}true{{- end -}}
{{- end -}}

{{/* Refuses values that each alone may be, and together not. */}}
{{- define "attention-server.check" -}}
{{- $v := .Values -}}
{{- if and $v.tls.enabled (not $v.tls.secretName) -}}
{{- fail "tls.secretName is empty; want a Secret with tls.crt and tls.key, or tls.enabled: false" -}}
{{- end -}}
{{- if and $v.tls.clientCaSecretName (not $v.tls.enabled) -}}
{{- fail "tls.clientCaSecretName needs tls.enabled: true" -}}
{{- end -}}
{{- if and (include "attention-server.hasPolicy" .) (not $v.tls.enabled) -}}
{{- fail "policy needs tls.enabled: true: without TLS nobody can tell who calls" -}}
{{- end -}}
{{- if and $v.policy.document $v.policy.existingConfigMap -}}
{{- fail "policy.document and policy.existingConfigMap are both there; want one of them" -}}
{{- end -}}
{{- if and (eq $v.layers.kind "existingClaim") (not $v.layers.existingClaim) -}}
{{- fail "layers.existingClaim is empty; want the name of a PersistentVolumeClaim, or another layers.kind" -}}
{{- end -}}
{{- if eq $v.service.port $v.service.metricsPort -}}
{{- fail (printf "service.port and service.metricsPort are both %v; want two" $v.service.port) -}}
{{- end -}}
{{- if $v.autoscaling.enabled -}}
{{- if gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas is %v; want at most maxReplicas, %v" $v.autoscaling.minReplicas $v.autoscaling.maxReplicas) -}}
{{- end -}}
{{- if not (or $v.autoscaling.targetQueueMs $v.autoscaling.targetCpuPercent) -}}
{{- fail "autoscaling.targetQueueMs and targetCpuPercent are both 0; want one of them above 0" -}}
{{- end -}}
{{- end -}}
{{- if and (eq (toString $v.rollout.maxSurge) "0") (eq (toString $v.rollout.maxUnavailable) "0") -}}
{{- fail "rollout.maxSurge and maxUnavailable are both 0; want one of them above 0" -}}
{{- end -}}
{{- end -}}
