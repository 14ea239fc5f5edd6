package relay

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// audience is a process of its own that connects n listeners and reads, so that its work is not the relay's.
const audience = "EARSHOT_BENCH_AUDIENCE"

func init() {
	addr, count, ok := strings.Cut(os.Getenv(audience), " ")
	if !ok {
		return
	}
	n, _ := strconv.Atoi(count)
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 32<<10))
	}
	os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

// live is an origin at the pace of a radio: 128 kbit/s, a tenth of a second at a time.
func live(b *testing.B) *origin {
	return newOrigin(b, func(c net.Conn, _ int) {
		fmt.Fprintf(c, icecastHead, 0)
		c.Write(mp3(160))
		for began, sent := time.Now(), 0; ; time.Sleep(100 * time.Millisecond) {
			due := int(time.Since(began) / framesTime(1))
			if _, err := c.Write(bytes.Repeat(mp3(1), due-sent)); err != nil {
				return
			}
			sent = due
		}
	})
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func resident() int64 {
	status, _ := os.ReadFile("/proc/self/statm")
	var size, pages int64
	fmt.Sscan(string(status), &size, &pages)
	return pages * int64(os.Getpagesize())
}

// BenchmarkListenerSecond measures what a listener costs: one operation is one second in which all listen.
//
//	go test ./relay -run '^$' -bench ListenerSecond -benchtime 20x
func BenchmarkListenerSecond(b *testing.B) {
	for _, n := range []int{1000, 8000} {
		for _, metaInt := range []int{0, 16000} {
			b.Run(fmt.Sprintf("listeners=%d/metaint=%d", n, metaInt), func(b *testing.B) { listenerSeconds(b, n, metaInt) })
		}
	}
}

func listenerSeconds(b *testing.B, n, metaInt int) {
	o := live(b)
	r := newRelay(b, Options{})
	h := r.Hub(Mount{Key: "kpcc", Origins: []string{o.url("/")}})
	open(b, h)
	runtime.GC()
	before := resident()
	gather(b, h, n, metaInt)
	time.Sleep(2 * time.Second)
	size := resident() - before
	spent, began := cpu(), time.Now()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	seconds := time.Since(began).Seconds() * float64(n)
	b.ReportMetric(float64((cpu()-spent).Microseconds())/seconds, "µs-cpu/listener-s")
	b.ReportMetric(float64(size)/float64(n), "B-resident/listener")
	if got := h.Status().Listeners; got != n {
		b.Errorf("%d of %d still listen", got, n)
	}
}

// gather joins n listeners of another process.
func gather(b *testing.B, h *Hub, n, metaInt int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	crowd := exec.Command(os.Args[0])
	crowd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", audience, ln.Addr(), n))
	stdin, err := crowd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := crowd.Start(); err != nil {
		b.Fatal(err)
	}
	var there atomic.Int64
	b.Cleanup(func() {
		stdin.Close()
		crowd.Wait()
		for there.Load() > 0 {
			time.Sleep(10 * time.Millisecond)
		}
	})
	book := newBook()
	for i := range n {
		c, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		there.Add(1)
		err = h.Join(Join{Conn: c, MetaInt: metaInt, Account: account(book, strconv.Itoa(i)), Stream: "kpcc",
			OnLeave: func(Left) { there.Add(-1) }})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPublish shows that a chunk costs the same however many listen.
func BenchmarkPublish(b *testing.B) {
	r := newRing(Mount{}.withDefaults(new(Options)), func() {})
	r.begin(1)
	data := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		r.publish(1, &chunk{data: data})
	}
}

func BenchmarkAssemble(b *testing.B) {
	audio := mp3(100)
	asm := newAssembler(0, mpeg, 0, time.Now(), nil, func(*chunk) {})
	b.SetBytes(int64(len(audio)))
	b.ReportAllocs()
	for b.Loop() {
		asm.audio(audio, time.Now())
	}
}
