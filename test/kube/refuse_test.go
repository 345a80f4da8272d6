package kube

import (
	"fmt"
	"strings"
	"testing"
)

// What cannot work is refused before anything is installed, and the message names what to change.
func TestValuesThatCannotBeAreRefused(t *testing.T) {
	c := loadChart(t)
	for _, tt := range []struct{ values, want string }{
		// The schema.
		{"replicas: 3", "'replicas'"},
		{"replicaCount: many", "/replicaCount"},
		{"replicaCount: 1.5", "/replicaCount"},
		{"replicaCount: -1", "/replicaCount"},
		{"image: {pullPolicy: Sometimes}", "/image/pullPolicy"},
		{"image: {repository: ''}", "/image/repository"},
		{"image: {tag: 1.10}", "/image/tag"}, // 1.1, once it is a number
		{"image: {digest: 'sha256:abc'}", "/image/digest"},
		{"config: {max-socket: 5}", "'max-socket'"},
		{"config: {max-sockets: many}", "/config/max-sockets"},
		{"config: {history-ttl: 10}", "/config/history-ttl"},
		{"config: {history-ttl: 10 minutes}", "/config/history-ttl"},
		{"config: {max-message: 64kB}", "/config/max-message"},
		{"config: {rate: 0}", "/config/rate"},
		{"config: {auth: maybe}", "/config/auth"},
		{"config: {slow: drop}", "/config/slow"},
		{"config: {serve: [fanfare, pusher]}", "/config/serve"},
		{"config: {rooms: [{history: 3}]}", "'match'"},
		{"config: {ops: ':9090'}", "'ops'"},
		{"config: {drain: 30s}", "'drain'"},
		{"config: {redis: 'redis://redis'}", "'redis'"},
		{"config: {jwt-key: s3cret}", "'jwt-key'"},
		{"config: {api-key: s3cret}", "'api-key'"},
		{"secrets: {apiKey: s3cret}", "/secrets/apiKey"},
		{"secrets: {apiKey: {name: a, key: ''}}", "/secrets/apiKey/key"},
		{"redis: {url: 'redis:6379'}", "/redis/url"},
		{"redis: {url: 'http://redis:6379'}", "/redis/url"},
		{"redis: {url: 'redis://:s3cret@redis:6379'}", "/redis/url"},
		{"redis: {url: 'redis+sentinel://user:s3cret@a,b'}", "/redis/url"},
		{"drain: {seconds: 20s}", "/drain/seconds"},
		{"drain: {seconds: 0}", "/drain/seconds"},
		{"rollout: {maxSurge: 0}", "/rollout/maxSurge"},
		{"rollout: {maxUnavailable: 1}", "'maxUnavailable'"},
		{"autoscaling: {by: vpa}", "/autoscaling/by"},
		{"redis: {url: 'redis://r'}\nautoscaling: {enabled: true, by: keda}", "/autoscaling/keda/serverAddress"},
		{"podDisruptionBudget: {maxUnavailable: 120%}", "/podDisruptionBudget/maxUnavailable"},
		{"topologySpread: {zone: Sometimes}", "/topologySpread/zone"},
		{"service: {type: ExternalName}", "/service/type"},
		{"service: {port: 70000}", "/service/port"},
		{"ingress: {enabled: true}", "/ingress/hosts"},
		{"ingress: {controller: traefik}", "/ingress/controller"},
		{"ingress: {websocketTimeoutSeconds: 30}", "/ingress/websocketTimeoutSeconds"},
		{"ingress: {annotations: {a: 1}}", "/ingress/annotations/a"},
		{"httpRoute: {enabled: true}", "/httpRoute/parentRefs"},
		{"httpRoute: {timeouts: {request: 1.5h}}", "/httpRoute/timeouts"},
		{"networkPolicy: {prometheusFrom: [{}]}", "/networkPolicy/prometheusFrom/0"}, // would be everybody
		{"networkPolicy: {prometheusFrom: [{labels: {app: prometheus}}]}", "'labels'"},
		{"probes: {liveness: {path: /readyz}}", "'path'"},
		{"extraEnv: [{value: a}]", "'name'"},

		// What does not go together.
		{"replicaCount: 2", "replicaCount 2 needs Redis"},
		{"config: {ack-replicas: 1}", "config.ack-replicas is for a Redis"},
		{"autoscaling: {enabled: true}", "autoscaling.enabled needs Redis"},
		{"redis: {url: 'redis://r', bundled: {enabled: true}}", "redis.url and redis.bundled.enabled"},
		{"redis: {url: 'redis://r'}\nsecrets: {redisURL: {name: a}}", "redis.url and secrets.redisURL"},
		{"redis: {url: 'redis://r'}\nsecrets: {redisPassword: {name: a}}", "secrets.redisPassword is not used"},
		{"redis: {url: 'redis://:$(REDIS_PASSWORD)@r'}", "name the Secret that holds it in secrets.redisPassword"},
		{"secrets: {jwtKey: {name: a}}", "config.auth: jwt, which is not set"},
		{"secrets: {jwtPublicKeys: {name: a}}", "config.auth: jwt, which is not set"},
		{"config: {auth: jwt}", "needs a key"},
		{"config: {auth: [jwt]}", "needs a key"},
		{"secrets: {tls: {name: a}}\nconfig: {transport: epoll}", "leave it at auto"},
		{"networkPolicy: {apiFrom: [{podSelector: {}}]}", "name a Secret in secrets.apiKey"},
		{"redis: {url: 'redis://r'}\nautoscaling: {enabled: true, socketsPerPod: 20000}", "below config.max-sockets 20000"},
		{"redis: {url: 'redis://r'}\nautoscaling: {enabled: true, minReplicas: 30}", "above autoscaling.maxReplicas 20"},
		{"redis: {url: 'redis://r'}\nautoscaling: {enabled: true}\nresources: {requests: {cpu: null}}", "cpuUtilization to 0"},
	} {
		if _, err := render(c, values(t, tt.values)); err == nil {
			t.Errorf("taken without a word: %s", tt.values)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: want the message to have %q, got: %v", tt.values, tt.want, err)
		}
	}
}

// What looks like the above and is fine.
func TestValuesThatAreUnusualAreTaken(t *testing.T) {
	for _, doc := range []string{
		"replicaCount: 0",
		"redis: {url: 'redis://user:$(REDIS_PASSWORD)@r:6379/1'}\nsecrets: {redisPassword: {name: a}}",
		"redis: {url: 'redis://user@r'}",
		"redis: {url: 'rediss+cluster://a:6379,b:6379'}\nreplicaCount: 40",
		"config: {auth: [jwt], max-message: 65536, history-ttl: 1h30m, rate: -1, origins: '*', serve: fanfare}\nsecrets: {jwtKey: {name: a}}",
		"config: {max-sockets: null}\nredis: {url: 'redis://r'}\nautoscaling: {enabled: true, cpuUtilization: 0}\nresources: {requests: null}",
		"image: {tag: '1.5'}",
		"httpRoute: {enabled: true, parentRefs: [{name: a}], timeouts: null}",
		"ingress: {enabled: true, hosts: [{path: /live}]}",
		"networkPolicy: {prometheusFrom: []}",
		"drain: {preStopSeconds: 0, delaySeconds: 0}",
		"global: {imageRegistry: registry.example.com}",
		"serviceAccount: {create: false}",
		"podDisruptionBudget: {maxUnavailable: 0}",
		fmt.Sprintf("fullnameOverride: %s", strings.Repeat("long-", 20)),
	} {
		out, err := render(loadChart(t), values(t, doc))
		if err != nil {
			t.Errorf("%s: %v", doc, err)
			continue
		}
		decode(t, out)
	}
}
