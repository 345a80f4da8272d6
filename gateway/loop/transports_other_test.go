//go:build !linux

package loop

var allTransports = []Transport{Auto, Goroutine}
