//go:build !unix

package main

func defaultMaxSockets() int { return 10_000 }
