package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// errAddress is why a name is not dialled at an address.
var errAddress = errors.New("the name leads to an address where the edge does not go")

// dialer connects to hosts, and looks at the addresses that their names lead to, once they are resolved and each is about to be
// dialled: what is checked is what is dialled. A name whose owner points it at the edge's own network (rebinding) leads nowhere:
//
//   - no name leads to link-local, multicast, unspecified and reserved addresses;
//   - the name of a configured origin may lead to a private address, but not once it has led to a public one;
//   - a name that only redirects lead to may lead to public addresses alone, unless it is localhost.
//
// Addresses that stand in the configuration as such are taken as they are.
type dialer struct {
	resolver *net.Resolver // nil: the system's
	hosts    *Hosts

	mu      sync.Mutex
	origins map[string]bool // names of configured origins
	public  map[string]bool // names that have led to a public address
}

func newDialer(opt *Options, hosts *Hosts) *dialer {
	d := &dialer{resolver: opt.Resolver, hosts: hosts, origins: make(map[string]bool), public: make(map[string]bool)}
	for _, o := range opt.Origins {
		d.know(o.URL)
	}
	return d
}

// upToHost is the beginning of a URL. What follows the host may hold captures, and need not be part of a URL yet.
func upToHost(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if end := strings.IndexAny(rest, "/?#"); ok && end >= 0 {
		return scheme + "://" + rest[:end]
	}
	return text
}

// know takes the host of a URL for a configured one.
func (d *dialer) know(text string) {
	if u, err := url.Parse(upToHost(text)); err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.origins[bare(u.Hostname())] = true
	}
}

// bare is a name as names are compared.
func bare(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// Dial connects to a host as the client does, for others who fetch from configured origins: the same names lead to the same addresses, and
// none of them further. ctx says how long it may take.
func (c *Client) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.fetcher.dialer.within(0)(ctx, network, addr)
}

// within is a DialContext that gives up after a time; 0: when ctx does.
func (d *dialer) within(timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		name, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		dial := net.Dialer{Timeout: timeout, Resolver: d.resolver}
		if _, err := netip.ParseAddr(name); err != nil {
			dial.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
				return d.check(name, port, address)
			}
		}
		return dial.DialContext(ctx, network, addr)
	}
}

// check refuses an address that a name leads to.
func (d *dialer) check(name, port, address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	name = bare(name)
	reach := reachOf(to.Addr())
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case reach == nowhere:
	case d.hosts.at(name, port).Private:
		return nil
	case reach == public:
		d.public[name] = true
		return nil
	case !d.origins[name]:
		if name == "localhost" && to.Addr().Unmap().IsLoopback() {
			return nil
		}
		return fmt.Errorf("%w: %s leads to %s, which is private, and is no origin (private: true allows it)", errAddress, name, to.Addr())
	case !d.public[name]:
		return nil
	default:
		return fmt.Errorf("%w: %s leads to %s, which is private, and led to a public address before (private: true allows it)", errAddress, name, to.Addr())
	}
	return fmt.Errorf("%w: %s leads to %s", errAddress, name, to.Addr())
}
