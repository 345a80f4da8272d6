package kube

import (
	"os"
	"regexp"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const onRedis = "redis: {url: 'redis://r'}\n"

func TestTheAutoscalerLooksAtSocketsAPod(t *testing.T) {
	w := mustRender(t, examples(t)["production"])
	h := w.scalers["live-fanfare"]
	if ref := h.Spec.ScaleTargetRef; ref.Kind != "Deployment" || w.deployments[ref.Name] == nil || ref.APIVersion != "apps/v1" {
		t.Errorf("it scales %+v", ref)
	}
	if *h.Spec.MinReplicas != 3 || h.Spec.MaxReplicas != 30 || len(h.Spec.Metrics) != 2 {
		t.Fatalf("%+v", h.Spec)
	}
	m := h.Spec.Metrics[0]
	if m.Type != autoscalingv2.PodsMetricSourceType || m.Pods.Metric.Name != "fanfare_sockets_open" ||
		m.Pods.Target.Type != autoscalingv2.AverageValueMetricType || m.Pods.Target.AverageValue.Value() != 30000 {
		t.Errorf("%+v", m.Pods)
	}
	if m = h.Spec.Metrics[1]; m.Resource.Name != "cpu" || *m.Resource.Target.AverageUtilization != 80 {
		t.Errorf("%+v", m.Resource)
	}
	slowDown(t, h.Spec.Behavior)
	if h = mustRender(t, onRedis+"autoscaling: {enabled: true, cpuUtilization: 0}").scalers["live-fanfare"]; len(h.Spec.Metrics) != 1 {
		t.Errorf("%+v", h.Spec.Metrics)
	}
}

// slowDown holds that scaling down, which moves sockets, takes one pod after the other.
func slowDown(t *testing.T, b *autoscalingv2.HorizontalPodAutoscalerBehavior) {
	t.Helper()
	d := b.ScaleDown
	if *d.StabilizationWindowSeconds < 300 || len(d.Policies) != 1 || d.Policies[0].Value != 1 || d.Policies[0].PeriodSeconds < 60 {
		t.Errorf("scaling down: %+v", d)
	}
	if *b.ScaleUp.StabilizationWindowSeconds != 0 {
		t.Errorf("scaling up: %+v", b.ScaleUp)
	}
}

func TestKEDALooksAtSocketsAPod(t *testing.T) {
	w := mustRender(t, examples(t)["gateway-api"], "autoscaling: {keda: {authenticationRef: prometheus}}")
	o := w.scaled["live-fanfare"]
	if len(w.scalers) != 0 || o == nil {
		t.Fatal("want a ScaledObject alone: KEDA makes the HorizontalPodAutoscaler")
	}
	var spec struct {
		ScaleTargetRef                   struct{ Name, Kind string }
		MinReplicaCount, MaxReplicaCount int
		Fallback                         struct {
			Replicas int
			Behavior string
		}
		Advanced struct {
			HorizontalPodAutoscalerConfig struct {
				Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior
			}
		}
		Triggers []struct {
			Type, MetricType  string
			Metadata          map[string]string
			AuthenticationRef struct{ Name string }
		}
	}
	convert(t, o, &spec)
	if w.deployments[spec.ScaleTargetRef.Name] == nil || spec.MinReplicaCount != 2 || spec.MaxReplicaCount != 12 {
		t.Errorf("%+v", spec)
	}
	if spec.Fallback.Replicas != 2 || spec.Fallback.Behavior != "currentReplicasIfHigher" {
		t.Errorf("without Prometheus: %+v", spec.Fallback)
	}
	slowDown(t, spec.Advanced.HorizontalPodAutoscalerConfig.Behavior)
	p := spec.Triggers[0]
	if p.Type != "prometheus" || p.MetricType != "AverageValue" || p.Metadata["threshold"] != "10000" ||
		p.Metadata["ignoreNullValues"] != "false" || p.AuthenticationRef.Name != "prometheus" {
		t.Errorf("%+v", p)
	}
	// The series as the ServiceMonitor labels them: by the Service that was found.
	service := monitored(t, w)
	if want := `sum(fanfare_sockets_open{namespace="` + namespace + `",service="` + service + `"})`; p.Metadata["query"] != want {
		t.Errorf("it asks for %s, want %s", p.Metadata["query"], want)
	}
	if cpu := spec.Triggers[1]; cpu.Type != "cpu" || cpu.MetricType != "Utilization" || cpu.Metadata["value"] != "80" {
		t.Errorf("%+v", cpu)
	}
}

func convert(t *testing.T, o *unstructured.Unstructured, into any) {
	t.Helper()
	b, err := yaml.Marshal(o.Object["spec"])
	if err == nil {
		err = yaml.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The metric of the autoscaler, of the rule for prometheus-adapter, and of the binary are one.
func TestTheMetricIsOneThatThereIs(t *testing.T) {
	source, err := os.ReadFile(root + "/gateway/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	metric := regexp.MustCompile(`desc\("(fanfare_sockets_open)", "[^"]*"\)`).FindSubmatch(source)
	if metric == nil {
		t.Fatal("gateway/metrics.go has no fanfare_sockets_open without labels")
	}
	b, err := os.ReadFile(chartDir + "/examples/prometheus-adapter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var adapter struct {
		Rules struct {
			Custom []struct {
				SeriesQuery string
				Resources   struct {
					Overrides map[string]struct{ Resource string }
				}
				Name         struct{ Matches, As string }
				MetricsQuery string
			}
		}
	}
	if err := yaml.UnmarshalStrict(b, &adapter); err != nil {
		t.Fatal(err)
	}
	rule, name := adapter.Rules.Custom[0], string(metric[1])
	if !strings.HasPrefix(rule.SeriesQuery, name+"{") || !regexp.MustCompile(rule.Name.Matches).MatchString(name) || rule.Name.As != name ||
		rule.Resources.Overrides["pod"].Resource != "pod" || rule.Resources.Overrides["namespace"].Resource != "namespace" {
		t.Errorf("%+v", rule)
	}
	for _, part := range []string{"<<.Series>>", "<<.LabelMatchers>>", "<<.GroupBy>>"} {
		if !strings.Contains(rule.MetricsQuery, part) {
			t.Errorf("%s lacks %s", rule.MetricsQuery, part)
		}
	}
	if h := mustRender(t, onRedis+"autoscaling: {enabled: true}").scalers["live-fanfare"]; h.Spec.Metrics[0].Pods.Metric.Name != name {
		t.Errorf("%+v", h.Spec.Metrics[0].Pods)
	}
}
