// Package observability holds what is deployed to watch Fanfare against what there is: the
// dashboards against Grafana's own schema, every metric that they and the rules name against a
// running instance, the rules by promtool and by tests of when they fire, and the runbook.
//
// Grafana itself is not run here: that its provisioning files are right is held by their form only.
//
// A module of its own, so that the product's go.mod stays short.
package observability
