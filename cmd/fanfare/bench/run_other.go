//go:build !linux

package bench

import (
	"context"
	"errors"
	"io"
)

// Run needs Linux: the generator is built on epoll.
func Run(_ context.Context, _ Config, _ io.Writer) (Report, error) {
	return Report{}, errors.New("fanfare bench needs Linux: it is built on epoll")
}
