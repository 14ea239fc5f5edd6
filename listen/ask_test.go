package listen

import (
	"net"
	"testing"
)

// BenchmarkUnsent is what it costs to ask the kernel what it holds, once a second for each who listens.
//
//	go test ./listen -run '^$' -bench Unsent
func BenchmarkUnsent(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	s := NewSocket(raw)
	b.ReportAllocs()
	for b.Loop() {
		s.Unsent()
	}
}
