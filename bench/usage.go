//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pids are the process and its children.
func (p *process) pids() []int {
	pid := p.cmd.Process.Pid
	all := []int{pid}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, field := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// cpu is the processor time of each process so far, that of threads which have ended included: the kernel's process-wide CPU clocks, to the
// nanosecond (clock_getcpuclockid(3)).
func (p *process) cpu() map[int]time.Duration {
	took := make(map[int]time.Duration)
	for _, pid := range p.pids() {
		var ts unix.Timespec
		if unix.ClockGettime(int32(^pid<<3|2), &ts) == nil {
			took[pid] = time.Duration(ts.Nano())
		}
	}
	return took
}

// since is the processor time that was used between two readings.
func since(before, after map[int]time.Duration) (sum time.Duration) {
	for pid, t := range after {
		sum += t - before[pid]
	}
	return sum
}

// memory is what a server's processes hold, in bytes.
type memory struct {
	rss int64 // resident; what processes share counts for each
	pss int64 // the same, shared out
	hwm int64 // resident at most
}

func (p *process) memory() (m memory) {
	for _, pid := range p.pids() {
		rollup := procFields(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		m.rss += rollup["Rss"]
		m.pss += rollup["Pss"]
		m.hwm += procFields(fmt.Sprintf("/proc/%d/status", pid))["VmHWM"]
	}
	return m
}

// procFields reads lines of the form "Name: 12 kB", in bytes.
func procFields(file string) map[string]int64 {
	text, _ := os.ReadFile(file)
	fields := make(map[string]int64)
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		value, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && unit == "kB" {
			fields[name] = n << 10
		}
	}
	return fields
}

// socketMemory is what the kernel holds in TCP buffers, of all processes, in bytes.
func socketMemory() int64 {
	text, _ := os.ReadFile("/proc/net/sockstat")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "TCP:"); ok {
			fields := strings.Fields(rest)
			for i := 0; i+1 < len(fields); i += 2 {
				if n, err := strconv.ParseInt(fields[i+1], 10, 64); err == nil && fields[i] == "mem" {
					return n * int64(os.Getpagesize())
				}
			}
		}
	}
	return 0
}
