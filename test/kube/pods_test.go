package kube

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// gateway is the Deployment of the instances and its one container.
func (w *world) gateway(t *testing.T) (*appsv1.Deployment, corev1.Container) {
	t.Helper()
	d := w.deployments["live-fanfare"]
	if d == nil || len(d.Spec.Template.Spec.Containers) != 1 || len(d.Spec.Template.Spec.InitContainers) != 0 {
		t.Fatalf("want a Deployment live-fanfare with one container: there are %v", slices.Collect(maps.Keys(w.deployments)))
	}
	return d, d.Spec.Template.Spec.Containers[0]
}

// config is the file that the container reads.
func (w *world) config(t *testing.T) map[string]any {
	t.Helper()
	var c map[string]any
	if err := yaml.UnmarshalStrict([]byte(w.configs["live-fanfare"].Data["config.yaml"]), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func duration(t *testing.T, v any) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(v.(string))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A pod is given the time that it needs: the hook, --drain-delay and --drain, and some to spare. And
// the next pod is not replaced before that is over.
func TestThePodHasTimeToDrain(t *testing.T) {
	all := examples(t)
	all["no hook"] = "drain: {preStopSeconds: 0}"
	all["long"] = "drain: {preStopSeconds: 7, delaySeconds: 13, seconds: 600, slackSeconds: 11}"
	for name, doc := range all {
		t.Run(name, func(t *testing.T) {
			w := mustRender(t, doc)
			d, c := w.gateway(t)
			var hook int64
			if c.Lifecycle != nil {
				hook = c.Lifecycle.PreStop.Sleep.Seconds
				if hook < 1 {
					t.Errorf("a hook of %d s is refused by older clusters", hook)
				}
			}
			cfg := w.config(t)
			drain := int64((duration(t, cfg["drain-delay"]) + duration(t, cfg["drain"])) / time.Second)
			grace := *d.Spec.Template.Spec.TerminationGracePeriodSeconds
			switch name {
			case "no hook":
				if hook != 0 || grace != 5+20+5 {
					t.Errorf("hook %d, grace %d", hook, grace)
				}
			case "long":
				if hook != 7 || drain != 613 || grace != 7+613+11 {
					t.Errorf("hook %d, drain %d, grace %d", hook, drain, grace)
				}
			}
			if spare := grace - hook - drain; spare < 5 || spare > 30 {
				t.Errorf("a grace of %d s leaves %d s to spare after %d s and %d s", grace, spare, hook, drain)
			}
			if got := int64(d.Spec.MinReadySeconds); got < hook+drain {
				t.Errorf("the next pod is replaced after %d s, while this one drains for %d", got, hook+drain)
			}
			if *d.Spec.ProgressDeadlineSeconds <= d.Spec.MinReadySeconds {
				t.Errorf("progress deadline %d, min ready %d", *d.Spec.ProgressDeadlineSeconds, d.Spec.MinReadySeconds)
			}
		})
	}
}

func TestAnUpdateTakesNoPodAwayBeforeAnotherIsReady(t *testing.T) {
	for name, doc := range examples(t) {
		d, _ := mustRender(t, doc).gateway(t)
		s := d.Spec.Strategy
		if s.Type != appsv1.RollingUpdateDeploymentStrategyType || s.RollingUpdate.MaxUnavailable.String() != "0" {
			t.Errorf("%s: %s, %s unavailable", name, s.Type, s.RollingUpdate.MaxUnavailable)
		}
		if surge := s.RollingUpdate.MaxSurge.String(); surge == "0" || surge == "0%" {
			t.Errorf("%s: a surge of %s", name, surge)
		}
	}
}

// Redis away must never restart a pod: liveness and startup look at the process, readiness at Redis.
func TestOnlyReadinessLooksAtRedis(t *testing.T) {
	for name, doc := range examples(t) {
		_, c := mustRender(t, doc).gateway(t)
		for what, p := range map[string]struct {
			probe *corev1.Probe
			path  string
		}{"startup": {c.StartupProbe, "/healthz"}, "liveness": {c.LivenessProbe, "/healthz"}, "readiness": {c.ReadinessProbe, "/readyz"}} {
			get := p.probe.HTTPGet
			if get == nil || get.Path != p.path || get.Port.String() != "ops" || get.Scheme != "" {
				t.Errorf("%s: %s asks %+v", name, what, get)
			}
			if len(get.HTTPHeaders) > 0 || p.probe.TimeoutSeconds < 1 || p.probe.FailureThreshold < 2 && what != "startup" {
				t.Errorf("%s: %s is %+v", name, what, p.probe)
			}
		}
	}
}

func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	forbidden := func(p corev1.PodTemplateSpec) string {
		r := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &p.ObjectMeta, &p.Spec))
		return r.ForbiddenDetail()
	}
	for name, doc := range examples(t) {
		w := mustRender(t, doc)
		for _, d := range w.deployments {
			pod := d.Spec.Template
			if why := forbidden(pod); why != "" {
				t.Errorf("%s: %s: %s", name, d.Name, why)
			}
			c := pod.Spec.Containers[0]
			if s := c.SecurityContext; s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
				t.Errorf("%s: %s may write to its root", name, d.Name)
			}
			if a := pod.Spec.AutomountServiceAccountToken; a == nil || *a {
				t.Errorf("%s: %s has a token of the cluster", name, d.Name)
			}
			if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
				t.Errorf("%s: %s has resources %+v", name, d.Name, c.Resources)
			}
		}
		d, _ := w.gateway(t)
		if s := d.Spec.Template.Spec; *s.SecurityContext.RunAsUser != 65532 || *s.EnableServiceLinks {
			t.Errorf("%s: user %d, service links %v", name, *s.SecurityContext.RunAsUser, *s.EnableServiceLinks)
		}
	}
	d, _ := mustRender(t, "securityContext: {allowPrivilegeEscalation: true}").gateway(t)
	if forbidden(d.Spec.Template) == "" {
		t.Error("the check takes everything")
	}
}

// Instances without Redis do not know each other, so there is one; an autoscaler's number is not fought over.
func TestTheNumberOfInstances(t *testing.T) {
	for doc, want := range map[string]string{
		"":                                  "1",
		"redis: {url: 'redis://r'}":         "3",
		"secrets: {redisURL: {name: r}}":    "3",
		"redis: {bundled: {enabled: true}}": "3",
		"replicaCount: 0":                   "0",
		"redis: {url: 'redis://r'}\nreplicaCount: 7":                               "7",
		"redis: {url: 'redis://r'}\nreplicaCount: 7\nautoscaling: {enabled: true}": "the autoscaler's",
	} {
		d, _ := mustRender(t, doc).gateway(t)
		got := "the autoscaler's"
		if d.Spec.Replicas != nil {
			got = fmt.Sprint(*d.Spec.Replicas)
		}
		if got != want {
			t.Errorf("%q: %s replicas, want %s", doc, got, want)
		}
	}
}

func TestPodsAreSpread(t *testing.T) {
	for doc, want := range map[string]string{
		"": "kubernetes.io/hostname ScheduleAnyway, topology.kubernetes.io/zone ScheduleAnyway",
		"topologySpread: {zone: DoNotSchedule, host: 'off'}": "topology.kubernetes.io/zone DoNotSchedule",
		"topologySpread: {zone: 'off', host: off}":           "", // without quotes it is false
	} {
		d, _ := mustRender(t, doc).gateway(t)
		var got []string
		for _, s := range d.Spec.Template.Spec.TopologySpreadConstraints {
			got = append(got, s.TopologyKey+" "+string(s.WhenUnsatisfiable))
			if s.MaxSkew != 1 || !maps.Equal(s.LabelSelector.MatchLabels, d.Spec.Selector.MatchLabels) {
				t.Errorf("%q: %+v", doc, s)
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q: %v", doc, got)
		}
	}
}

func TestOffWithoutQuotesIsOff(t *testing.T) {
	for _, doc := range []string{"config: {compression: off}", "config: {compression: 'off'}"} {
		if got := mustRender(t, doc).config(t)["compression"]; got != "off" {
			t.Errorf("%s: %v", doc, got)
		}
	}
}

func TestAChangedConfigurationIsARollout(t *testing.T) {
	checksum := func(doc string) string {
		d, _ := mustRender(t, doc).gateway(t)
		return d.Spec.Template.Annotations["checksum/config"]
	}
	same := checksum("")
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(same) || checksum("podLabels: {}") != same {
		t.Errorf("%q", same)
	}
	for _, doc := range []string{"config: {history: 1}", "drain: {seconds: 21}", "config: {rooms: [{match: a}]}"} {
		if checksum(doc) == same {
			t.Errorf("%s: no rollout", doc)
		}
	}
}

// Secrets come from Secrets and are nowhere else.
func TestSecretsAreReferences(t *testing.T) {
	w := mustRender(t, examples(t)["production"])
	_, c := w.gateway(t)
	got := make(map[string]string)
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			got[e.Name] = e.ValueFrom.SecretKeyRef.Name + "/" + e.ValueFrom.SecretKeyRef.Key
			if e.ValueFrom.SecretKeyRef.Optional != nil {
				t.Errorf("%s may be missing", e.Name)
			}
		}
	}
	want := map[string]string{
		"REDIS_PASSWORD": "fanfare-redis/redis-password", "FANFARE_JWT_KEY": "fanfare-jwt/jwt-key", "FANFARE_API_KEY": "fanfare-api/api-key",
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	// Kubernetes replaces $(NAME) only by variables that come before.
	at := func(name string) int {
		return slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name })
	}
	if r := at("FANFARE_REDIS"); r < at("REDIS_PASSWORD") || !strings.Contains(c.Env[r].Value, ":$(REDIS_PASSWORD)@") {
		t.Errorf("%+v", c.Env)
	}
	w = mustRender(t, examples(t)["gateway-api"])
	d, _ := w.gateway(t)
	i := slices.IndexFunc(d.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "jwt" })
	if i < 0 {
		t.Fatal("no volume with the public keys")
	}
	if s := d.Spec.Template.Spec.Volumes[i].Secret; s.SecretName != "issuer-keys" || s.Items[0].Key != "keys.pem" || *s.DefaultMode != 0o440 {
		t.Errorf("%+v", s)
	}
}
