//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// portOf is the port of an address of ours.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// sentMemory is what the kernel holds for the connections that a server has accepted at an address: their queues and what is set aside
// for them, in bytes, and how many there are. Unlike [socketMemory] it leaves the load's side out (sock_diag(7), INET_DIAG_SKMEMINFO).
func sentMemory(address string) (bytes int64, conns int, err error) {
	port, err := strconv.ParseUint(portOf(address), 10, 16)
	if err != nil {
		return 0, 0, err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, 0, fmt.Errorf("sock_diag: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, diagRequest(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, 0, fmt.Errorf("sock_diag: %w", err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return 0, 0, fmt.Errorf("sock_diag: %w", err)
		}
		for b := buf[:n]; len(b) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(b))
			switch kind := binary.NativeEndian.Uint16(b[4:]); {
			case kind == unix.NLMSG_DONE:
				return bytes, conns, nil
			case kind == unix.NLMSG_ERROR || size < unix.SizeofNlMsghdr || size > len(b):
				return 0, 0, fmt.Errorf("sock_diag: message %d of %d bytes", kind, size)
			}
			if held, ok := diagMemory(b[unix.SizeofNlMsghdr:size], uint16(port)); ok {
				bytes += held
				conns++
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

const (
	sockDiagByFamily = 20
	diagSKMemInfo    = 7 // INET_DIAG_SKMEMINFO
	diagMsgSize      = 72
)

// diagRequest asks for all established TCP connections over IPv4 (struct inet_diag_req_v2).
func diagRequest() []byte {
	b := make([]byte, unix.SizeofNlMsghdr+56)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	r := b[unix.SizeofNlMsghdr:]
	r[0], r[1], r[2] = unix.AF_INET, unix.IPPROTO_TCP, 1<<(diagSKMemInfo-1)
	binary.NativeEndian.PutUint32(r[4:], 1<<1) // TCP_ESTABLISHED
	return b
}

// diagMemory reads one answer (struct inet_diag_msg and its attributes). ok is false for a connection of another port.
func diagMemory(b []byte, port uint16) (held int64, ok bool) {
	if len(b) < diagMsgSize || binary.BigEndian.Uint16(b[4:]) != port {
		return 0, false
	}
	for b = b[diagMsgSize:]; len(b) >= 4; {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			break
		}
		if binary.NativeEndian.Uint16(b[2:]) == diagSKMemInfo && size >= 4+7*4 {
			// SK_MEMINFO_: RMEM_ALLOC, RCVBUF, WMEM_ALLOC, SNDBUF, FWD_ALLOC, WMEM_QUEUED, OPTMEM
			for _, i := range []int{0, 4, 5, 6} {
				held += int64(binary.NativeEndian.Uint32(b[4+4*i:]))
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return held, true
}
