package gate

import (
	"net/url"
	"strconv"
	"strings"

	"earshot/session"
)

// Limit is at most Max seats per user, device, address, stream or edge; of one device type, and of the groups that a pattern names, where those are not empty.
type Limit struct {
	Per        Per
	DeviceType string
	Group      string // * stands for any run of bytes
	Max        int
}

// Per is what a limit counts by.
type Per string

// What a limit may count by.
const (
	PerUser    Per = "user"    // who has no user is not counted
	PerDevice  Per = "device"  // of a user; else address and agent
	PerAddress Per = "address" // a /64 of IPv6
	PerStream  Per = "stream"  // group of HLS, mount of ICY
	PerEdge    Per = "edge"
)

// uses are the limits that a listener counts under. group is empty for what has not been played yet.
func (g *Gate) uses(l *session.Listener, group string, ceiling int) (all []session.Use) {
	for i := range g.opt.Limits {
		limit := &g.opt.Limits[i]
		name := g.counted(limit.Per, l, group)
		switch {
		case name == "", limit.DeviceType != "" && limit.DeviceType != l.DeviceType, limit.Group != "" && (group == "" || !matches(limit.Group, group)):
			continue
		}
		if limit.DeviceType != "" {
			name += " device_type=" + url.QueryEscape(limit.DeviceType)
		}
		if limit.Group != "" {
			name += " group=" + url.QueryEscape(limit.Group)
		}
		all = append(all, session.Use{Name: name, Max: limit.Max})
	}
	if ceiling > 0 && l.UserID != "" {
		all = append(all, session.Use{Name: "user=" + url.QueryEscape(l.UserID) + " by=callback", Max: ceiling})
	}
	return all
}

// counted names what a listener has in common with those who are counted with him; empty: he is not counted.
func (g *Gate) counted(per Per, l *session.Listener, group string) string {
	switch {
	case per == PerUser && l.UserID != "":
		return "user=" + url.QueryEscape(l.UserID)
	case per == PerDevice && (l.DeviceID != "" || l.Address.IsValid()):
		return "device=" + device(l)
	case per == PerAddress && l.Address.IsValid():
		return "address=" + Address(l.Address).String()
	case per == PerStream && group != "":
		return "stream=" + url.QueryEscape(group)
	case per == PerEdge:
		return "edge=" + url.QueryEscape(g.opt.Edge)
	}
	return ""
}

// device names a device: by the user's name for it, else by address and agent.
func device(l *session.Listener) string {
	if l.DeviceID != "" {
		return url.QueryEscape(l.UserID) + "/" + url.QueryEscape(l.DeviceID)
	}
	face := strconv.FormatUint(session.FaceOf(Address(l.Address), l.Agent), 36)
	if l.UserID != "" {
		return url.QueryEscape(l.UserID) + "//" + face
	}
	return "//" + face
}

// owner is whose seats succeed each other (DESIGN, decision 9).
func owner(s *session.Session) string {
	l := s.Listener()
	switch {
	case s.Apart:
		return ""
	case s.App && l.DeviceID == "":
		return "app=" + url.QueryEscape(string(s.Key.ID))
	}
	return device(l)
}

// slot is what the players of one device share that says that they count once.
func slot(s *session.Session) string {
	if l := s.Listener(); s.Shared && l.DeviceID != "" && !s.Apart {
		return device(l)
	}
	return ""
}

// matches tells whether a pattern, in which * stands for any run of bytes, names a group.
func matches(pattern, group string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == group
	}
	group, ok := strings.CutPrefix(group, first)
	if !ok {
		return false
	}
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(group, part)
		}
		at := strings.Index(group, part)
		if at < 0 {
			return false
		}
		group, rest = group[at+len(part):], more
	}
}
