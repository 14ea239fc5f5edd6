package main

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"earshot/config"
	"earshot/origin"
	"earshot/relay"
)

// originHosts turns the configured hosts into the fetchers'.
func originHosts(cfg *config.Config) ([]origin.Host, error) {
	hosts := make([]origin.Host, len(cfg.Origins))
	for i, o := range cfg.Origins {
		hosts[i] = origin.Host{Name: o.Host, Header: o.Headers, Username: o.Username, Password: o.Password, Private: o.Private,
			ConnectTimeout: o.ConnectTimeout, HeaderTimeout: o.HeaderTimeout}
		if o.CA == nil {
			continue
		}
		var err error
		if hosts[i].Roots, err = origin.Roots(o.CA); err != nil {
			return nil, fmt.Errorf("the certificates of %s: %w", o.Host, err)
		}
	}
	return hosts, nil
}

// namedOrigins are the origins of all streams, with captures below the host.
func namedOrigins(cfg *config.Config) (all []origin.Named) {
	for i := range cfg.Streams {
		s := &cfg.Streams[i]
		for n, u := range append(slices.Clone(s.HLS), s.ICY...) {
			if config.IsFile(u) {
				continue
			}
			all = append(all, origin.Named{URL: u, Label: cmp.Or(s.Group, s.Stream) + "/" + strconv.Itoa(n+1)})
		}
	}
	return all
}

// relayAccess is what the hosts need, in the relay's words.
func relayAccess(hosts []origin.Host) func(*url.URL) relay.Access {
	all := origin.NewHosts(hosts)
	return func(u *url.URL) relay.Access {
		h := all.For(u)
		return relay.Access{Header: h.Header, Username: h.Username, Password: h.Password, Roots: h.Roots,
			ConnectTimeout: h.ConnectTimeout, HeaderTimeout: h.HeaderTimeout}
	}
}
