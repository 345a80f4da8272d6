{{- /* What the schema cannot say: values that do not go together. Each message says what to do. */ -}}
{{- define "fanfare.validate" -}}
{{- $v := .Values -}}
{{- $shared := include "fanfare.shared" . -}}
{{- if not $shared -}}
  {{- if $v.autoscaling.enabled }}{{ fail "autoscaling.enabled needs Redis, else instances do not know each other: set redis.url, secrets.redisURL, or redis.bundled.enabled to try it out" }}{{ end -}}
  {{- if gt (include "fanfare.replicas" . | int) 1 }}{{ fail (printf "replicaCount %s needs Redis, else instances do not know each other: set redis.url, secrets.redisURL, or redis.bundled.enabled to try it out" (include "fanfare.replicas" .)) }}{{ end -}}
  {{- if index $v.config "ack-replicas" }}{{ fail "config.ack-replicas is for a Redis with replicas: set redis.url or secrets.redisURL" }}{{ end -}}
{{- end -}}
{{- $from := list -}}
{{- if $v.redis.url }}{{ $from = append $from "redis.url" }}{{ end -}}
{{- if $v.secrets.redisURL.name }}{{ $from = append $from "secrets.redisURL" }}{{ end -}}
{{- if $v.redis.bundled.enabled }}{{ $from = append $from "redis.bundled.enabled" }}{{ end -}}
{{- if gt (len $from) 1 }}{{ fail (printf "%s: only one of them can be the Redis, remove the others" (join " and " $from)) }}{{ end -}}
{{- $placeholder := contains "$(REDIS_PASSWORD)" $v.redis.url -}}
{{- if and $v.secrets.redisPassword.name (not $placeholder) }}{{ fail "secrets.redisPassword is not used: write $(REDIS_PASSWORD) where it belongs in redis.url, as in redis://:$(REDIS_PASSWORD)@redis:6379" }}{{ end -}}
{{- if and $placeholder (not $v.secrets.redisPassword.name) }}{{ fail "redis.url has $(REDIS_PASSWORD): name the Secret that holds it in secrets.redisPassword" }}{{ end -}}
{{- $jwt := has "jwt" (splitList "," (include "fanfare.auth" .)) -}}
{{- $keys := or $v.secrets.jwtKey.name $v.secrets.jwtPublicKeys.name -}}
{{- if and $keys (not $jwt) }}{{ fail "secrets.jwtKey and secrets.jwtPublicKeys are for config.auth: jwt, which is not set" }}{{ end -}}
{{- if and $jwt (not $keys) }}{{ fail "config.auth: jwt needs a key: name a Secret in secrets.jwtKey or secrets.jwtPublicKeys" }}{{ end -}}
{{- if and $v.secrets.tls.name (has (index $v.config "transport") (list "epoll" "io_uring")) }}{{ fail (printf "config.transport %s cannot do TLS, which secrets.tls asks for: leave it at auto" (index $v.config "transport")) }}{{ end -}}
{{- if and $v.networkPolicy.enabled $v.networkPolicy.apiFrom (not $v.secrets.apiKey.name) }}{{ fail "networkPolicy.apiFrom lets backends reach /api/publish, which answers them only with a key: name a Secret in secrets.apiKey" }}{{ end -}}
{{- if $v.autoscaling.enabled -}}
  {{- $most := index $v.config "max-sockets" -}}
  {{- if and $most (ge (int $v.autoscaling.socketsPerPod) (int $most)) }}{{ fail (printf "autoscaling.socketsPerPod %d has to be below config.max-sockets %d: else sockets are refused before there are more pods" (int $v.autoscaling.socketsPerPod) (int $most)) }}{{ end -}}
  {{- if gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas) }}{{ fail (printf "autoscaling.minReplicas %d is above autoscaling.maxReplicas %d" (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) }}{{ end -}}
  {{- if and $v.autoscaling.cpuUtilization (not (dig "requests" "cpu" "" $v.resources)) }}{{ fail "autoscaling.cpuUtilization is a percentage of resources.requests.cpu, which is not set: set it, or cpuUtilization to 0" }}{{ end -}}
{{- end -}}
{{- end -}}
