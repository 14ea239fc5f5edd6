//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// core is a processor by its number; −1 is any.
type core int

// cores are the two that this process has for the measurement: the server's, for it and nothing else, and that of the load and the origin.
// Where there is only one, nothing is pinned.
var cores = sync.OnceValue(func() [2]core {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) == nil && set.Count() >= 2 {
		var found []core
		for i := 0; len(found) < 2; i++ {
			if set.IsSet(i) {
				found = append(found, core(i))
			}
		}
		return [2]core(found)
	}
	return [2]core{-1, -1}
})

func serverCore() core { return cores()[0] }
func loadCore() core   { return cores()[1] }

// pinThread keeps a thread on the core; 0 is the calling one.
func (c core) pinThread(tid int) error {
	if c < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(int(c))
	if err := unix.SchedSetaffinity(tid, &set); err != nil && tid == 0 {
		return fmt.Errorf("pin to core %d: %w", c, err)
	}
	return nil // another thread may have ended
}

// pinSelf keeps this process on the core: threads that are made later inherit it from those that are.
func (c core) pinSelf() error {
	for range 2 { // once more for those made meanwhile
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			if tid, err := strconv.Atoi(t.Name()); err == nil {
				_ = c.pinThread(tid)
			}
		}
	}
	return c.pinThread(0)
}
