// Package kube holds the Helm chart to what Helm, Kubernetes and the binary say.
//
// It renders deploy/helm/fanfare with Helm's own packages over the values files in the chart's
// examples, decodes every object strictly against the API types of the current Kubernetes release
// (and of Gateway API, the Prometheus operator and KEDA), and runs the binary as the rendered
// container would be run. It is a module of its own, so that none of that is a dependency of the
// product.
package kube

// KEDA's Go types bring in most of client-go; its CRD says the same, and more strictly. This keeps
// the module that has the CRD among the requirements.
import _ "github.com/kedacore/keda/v2/version"
