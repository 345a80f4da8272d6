{{- /* The container's variables: its name, where Redis is, and what is secret. */ -}}
{{- define "fanfare.env" -}}
- name: FANFARE_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
{{- with .Values.secrets.redisPassword }}
{{- if .name }}
{{ include "fanfare.secretEnv" (dict "variable" "REDIS_PASSWORD" "from" .) }}
{{- end }}
{{- end }}
{{- if .Values.redis.bundled.enabled }}
- name: FANFARE_REDIS
  value: redis://{{ include "fanfare.fullname" . }}-redis:6379
{{- else if .Values.redis.url }}
- name: FANFARE_REDIS
  value: {{ .Values.redis.url | quote }}
{{- end }}
{{- range $variable, $from := dict "FANFARE_REDIS" .Values.secrets.redisURL "FANFARE_JWT_KEY" .Values.secrets.jwtKey "FANFARE_API_KEY" .Values.secrets.apiKey }}
{{- if $from.name }}
{{ include "fanfare.secretEnv" (dict "variable" $variable "from" $from) }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
