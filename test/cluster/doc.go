// Package cluster brings the real docker-compose.yml up and, through its load balancer and under
// load, does to it what happens in operation: instances are killed, added, drained, replaced, and cut
// off from Redis. What every subscriber was sent is held against what was acknowledged, as in
// test/faults.
//
// It needs a Docker engine, so its tests have the build tag cluster: test/cluster/run.
package cluster
