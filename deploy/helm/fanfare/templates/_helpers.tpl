{{- define "fanfare.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- /* The name of what belongs to the release; room is left for -redis and the like. */ -}}
{{- define "fanfare.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "fanfare.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "fanfare.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "fanfare.selector" -}}
app.kubernetes.io/name: {{ include "fanfare.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fanfare.labels" -}}
{{ include "fanfare.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "fanfare.gatewaySelector" -}}
{{ include "fanfare.selector" . }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "fanfare.redisSelector" -}}
{{ include "fanfare.selector" . }}
app.kubernetes.io/component: redis
{{- end -}}

{{- define "fanfare.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "fanfare.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "fanfare.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- /* Not empty if instances share a Redis. */ -}}
{{- define "fanfare.shared" -}}
{{- if or .Values.redis.url .Values.redis.bundled.enabled .Values.secrets.redisURL.name -}}yes{{- end -}}
{{- end -}}

{{- define "fanfare.replicas" -}}
{{- if ne (toString .Values.replicaCount) "auto" -}}
{{- int .Values.replicaCount -}}
{{- else if include "fanfare.shared" . -}}3{{- else -}}1{{- end -}}
{{- end -}}

{{- /* Seconds from SIGTERM to the last socket's close. */ -}}
{{- define "fanfare.drainSeconds" -}}
{{- add .Values.drain.delaySeconds .Values.drain.seconds -}}
{{- end -}}

{{- define "fanfare.graceSeconds" -}}
{{- add .Values.drain.preStopSeconds (include "fanfare.drainSeconds" .) .Values.drain.slackSeconds -}}
{{- end -}}

{{- define "fanfare.minReadySeconds" -}}
{{- if ne (toString .Values.rollout.minReadySeconds) "auto" -}}
{{- int .Values.rollout.minReadySeconds -}}
{{- else -}}
{{- add .Values.drain.preStopSeconds (include "fanfare.drainSeconds" .) -}}
{{- end -}}
{{- end -}}

{{- /* The way tokens are checked, as a list: none, or jwt. */ -}}
{{- define "fanfare.auth" -}}
{{- $auth := index .Values.config "auth" | default "none" -}}
{{- if kindIs "slice" $auth }}{{ join "," $auth }}{{ else }}{{ $auth }}{{ end -}}
{{- end -}}

{{- /*
Pages that may open sockets: those of the hosts that the chart makes reachable. Behind a proxy that ends TLS the gateway
cannot know that a page of https://HOST is of its own host, unless it is told, here or by trusted-proxies.
*/ -}}
{{- define "fanfare.origins" -}}
{{- $origins := list -}}
{{- if and (not (hasKey .Values.config "origins")) (not (index .Values.config "trusted-proxies")) -}}
{{- if .Values.ingress.enabled -}}
{{- $secure := list -}}
{{- range .Values.ingress.tls }}{{ $secure = concat $secure (.hosts | default list) }}{{ end -}}
{{- range .Values.ingress.hosts -}}
{{- if .host -}}
{{- $origins = append $origins (printf "%s://%s" (ternary "https" "http" (has .host $secure)) .host) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.httpRoute.enabled -}}
{{- range .Values.httpRoute.hostnames }}{{ $origins = append $origins (printf "https://%s" .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson (uniq $origins) -}}
{{- end -}}

{{- /* The file of --config. */ -}}
{{- define "fanfare.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $origins := include "fanfare.origins" . | fromJsonArray -}}
{{- if $origins }}{{ $_ := set $config "origins" $origins }}{{ end -}}
{{- $_ := set $config "listen" ":8080" -}}
{{- $_ := set $config "ops" ":9090" -}}
{{- $_ := set $config "drain" (printf "%ds" (int .Values.drain.seconds)) -}}
{{- $_ := set $config "drain-delay" (printf "%ds" (int .Values.drain.delaySeconds)) -}}
{{- /* In YAML off without quotes is false. */ -}}
{{- if eq (toString (index $config "compression")) "false" }}{{ $_ := set $config "compression" "off" }}{{ end -}}
{{- if .Values.secrets.jwtPublicKeys.name }}{{ $_ := set $config "jwt-key-file" "/etc/fanfare/jwt/jwt.pem" }}{{ end -}}
{{- if .Values.secrets.tls.name -}}
{{- $_ := set $config "tls-cert" "/etc/fanfare/tls/tls.crt" -}}
{{- $_ := set $config "tls-key" "/etc/fanfare/tls/tls.key" -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "fanfare.secretEnv" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef: {name: {{ .from.name | quote }}, key: {{ .from.key | quote }}}
{{- end -}}

{{- define "fanfare.topologySpread" -}}
{{- $selector := include "fanfare.gatewaySelector" . -}}
{{- range $key, $when := dict "topology.kubernetes.io/zone" .Values.topologySpread.zone "kubernetes.io/hostname" .Values.topologySpread.host }}
{{- if not (has (toString $when) (list "off" "false")) }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: {{ $when }}
  labelSelector:
    matchLabels:
      {{- $selector | nindent 6 }}
  # During a rollout the new pods count among themselves.
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- end -}}
