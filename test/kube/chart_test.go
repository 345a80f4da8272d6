package kube

import (
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

func TestHelmLintHasNothingToSay(t *testing.T) {
	version, err := chartutil.ParseKubeVersion(kubeVersion)
	if err != nil {
		t.Fatal(err)
	}
	for name, doc := range examples(t) {
		linter := lint.AllWithKubeVersion(chartDir, values(t, doc), namespace, version)
		for _, m := range linter.Messages {
			if m.Severity > support.InfoSev || !strings.Contains(m.Err.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

func TestTheChartIsForTheCurrentKubernetes(t *testing.T) {
	c := loadChart(t)
	for version, want := range map[string]bool{kubeVersion: true, "v1.30.0": true, "v1.33.4-gke.1": true, "v1.29.9": false} {
		if got := chartutil.IsCompatibleRange(c.Metadata.KubeVersion, version); got != want {
			t.Errorf("%s for Kubernetes %s: %v, want %v", c.Metadata.KubeVersion, version, got, want)
		}
	}
}

func TestEveryObjectIsOfItsType(t *testing.T) {
	c := loadChart(t)
	kinds := make(map[string]bool)
	for name, doc := range examples(t) {
		t.Run(name, func(t *testing.T) {
			out, err := render(c, values(t, doc))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range decode(t, out).all {
				kinds[o.GetObjectKind().GroupVersionKind().Kind] = true
				if o.GetNamespace() != namespace {
					t.Errorf("%T %s is in %q", o, o.GetName(), o.GetNamespace())
				}
			}
		})
	}
	for _, kind := range []string{
		"ConfigMap", "Deployment", "HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy",
		"PodDisruptionBudget", "ScaledObject", "Service", "ServiceAccount", "ServiceMonitor",
	} {
		if !kinds[kind] {
			t.Errorf("no example has a %s", kind)
		}
	}
}

// The decoder that the other tests rely on.
func TestWhatIsNotOfItsTypeIsRefused(t *testing.T) {
	for _, doc := range []string{
		"apiVersion: apps/v1\nkind: Deployment\nspec: {replica: 3}",
		"apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: three}",
		"apiVersion: apps/v3\nkind: Deployment",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a, name: b}",
		"apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, lifecycle: {preStop: {sleep: {second: 5}}}}]}",
		"apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nspec: {endpoints: [{ports: ops}]}",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nspec: {rules: [{timeout: 5s}]}",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nspec: {rules: [{timeouts: {request: forever}}]}",
		"apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nspec: {scaleTargetRef: {name: a}, triggers: [{type: cpu, metadata: {}}], minReplicas: 3}",
		"apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nspec: {scaleTargetRef: {name: a}, triggers: [{type: cpu, metadata: {value: 80}}]}",
		"apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nspec: {scaleTargetRef: {name: a}, triggers: []}",
	} {
		if _, err := decodeObject([]byte(doc)); err == nil {
			t.Errorf("taken without a word:\n%s", doc)
		}
	}
	if _, err := decodeObject([]byte("apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nspec: {scaleTargetRef: {name: a}, triggers: [{type: cpu, metadata: {value: '80'}}]}")); err != nil {
		t.Error(err)
	}
}
