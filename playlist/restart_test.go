package playlist

import (
	"fmt"
	"testing"
	"time"
)

// TestOriginRestart: the packager begins anew at number 0, under the old names. What it makes then is new.
func TestOriginRestart(t *testing.T) {
	for name, c := range map[string]struct {
		dated    bool
		again    int  // how many segments the first run made
		newNames bool // the second run names its segments anew
	}{
		"by sequence, long run":              {false, 100, false},
		"by sequence, short run, new names":  {false, 7, true},
		"by sequence, window inside the old": {false, 12, false},
		"dated":                              {true, 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			g, cov := NewGroup(), coverage{}
			now := testStart
			var got time.Duration
			run := func(prefix string, n int) {
				for v := 0; v+5 <= n; v++ {
					for _, p := range []string{"lo", "hi"} {
						segs := numbered(p+prefix, v, 5, 6*time.Second, false)
						for i := range segs {
							if c.dated {
								segs[i].pdt = now.Add(time.Duration(i) * 6 * time.Second)
							}
						}
						g.Update(p, RoleVariant, window(t, v, layoutMillis, false, segs...), now)
						for _, s := range segs {
							got += cov.add(get(t, g, p, s.uri))
						}
					}
					now = now.Add(6 * time.Second)
				}
			}
			run("", c.again)
			now = now.Add(time.Minute)
			prefix := ""
			if c.newNames {
				prefix = "x"
			}
			run(prefix, 30)
			if want := time.Duration(c.again+30) * 6 * time.Second; !near(got, want, 0.0001) {
				t.Errorf("counted %v, want %v", got, want)
			}
		})
	}
}

// TestOriginRestartsItsClock: numbers and dates both begin anew, at an hour that was already heard.
func TestOriginRestartsItsClock(t *testing.T) {
	g, cov := NewGroup(), coverage{}
	var got time.Duration
	for run := range 2 {
		for v := range 40 {
			for _, p := range []string{"lo", "hi"} {
				segs := numbered(p, v, 5, 6*time.Second, true)
				for i := range segs {
					segs[i].pdt = segs[i].pdt.Add(time.Duration(run) * 30 * time.Second)
				}
				g.Update(p, RoleVariant, window(t, v, layoutMillis, false, segs...), testStart)
				for _, s := range segs {
					got += cov.add(get(t, g, p, s.uri))
				}
			}
		}
	}
	if want := 2 * 44 * 6 * time.Second; got != want {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// TestLaggingOriginIsNoRestart: behind a balancer an older version comes after a newer one.
func TestLaggingOriginIsNoRestart(t *testing.T) {
	for _, dated := range []bool{true, false} {
		g := NewGroup()
		upd := func(v int) {
			g.Update("p", RoleVariant, window(t, v, layoutMillis, false, numbered("s", v, 5, 6*time.Second, dated)...), testStart)
		}
		upd(10)
		was := get(t, g, "p", "s-12.ts")[0]
		for _, v := range []int{11, 10, 12, 11, 9, 13} {
			upd(v)
			if is := get(t, g, "p", "s-12.ts")[0]; is != was {
				t.Fatalf("dated %v: moved to %v from %v by version %d", dated, is, was, v)
			}
		}
	}
}

func TestVODCountsOnce(t *testing.T) {
	for _, dated := range []bool{true, false} {
		g, cov := NewGroup(), coverage{}
		var got time.Duration
		for i := range 3 { // a reload, and a day later
			for _, p := range []string{"lo", "hi"} {
				segs := numbered(p, 0, 300, 6*time.Second, dated)
				g.Update(p, RoleVariant, window(t, 0, layoutMillis, true, segs...), testStart.Add(time.Duration(i)*24*time.Hour))
				for _, s := range segs {
					got += cov.add(get(t, g, p, s.uri))
				}
			}
		}
		if want := 300 * 6 * time.Second; got != want {
			t.Errorf("dated %v: %v, want %v", dated, got, want)
		}
	}
}

// TestDriftIsAnchoredAgain: the dates say that the encoder's clock runs faster than its durations.
func TestDriftIsAnchoredAgain(t *testing.T) {
	g, cov := NewGroup(), coverage{}
	const n = 200
	segs := numbered("s", 0, n, 6*time.Second, true)
	for i := range segs {
		segs[i].pdt = testStart.Add(time.Duration(i) * 6020 * time.Millisecond)
	}
	segs[150].pdt = segs[150].pdt.Add(time.Hour) // and an hour without a programme
	for i := 151; i < n; i++ {
		segs[i].pdt = segs[i].pdt.Add(time.Hour)
	}
	g.Update("p", RoleVariant, window(t, 0, layoutMillis, true, segs...), testStart)
	var got time.Duration
	for _, s := range segs {
		sp := get(t, g, "p", s.uri)
		got += cov.add(sp)
		apart := time.Duration(sp[0].From-s.pdt.UnixMicro()) * time.Microsecond
		if apart > toleranceFraction || apart < -toleranceFraction {
			t.Fatalf("%s is %v from its date", s.uri, apart)
		}
	}
	if want := n * 6 * time.Second; !near(got, want, 0.0001) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// TestTimeDoesNotRunBackwards: a packager that writes one date everywhere, and a programme with old dates put
// into a live one.
func TestTimeDoesNotRunBackwards(t *testing.T) {
	stuck := numbered("stuck", 0, 20, 6*time.Second, false)
	for i := range stuck {
		stuck[i].pdt = testStart
	}
	inserted := numbered("ins", 0, 20, 6*time.Second, true)
	for i := 5; i < 10; i++ {
		inserted[i].pdt = inserted[i].pdt.AddDate(-3, 0, 0)
	}
	inserted[5].tags, inserted[10].tags = "#EXT-X-DISCONTINUITY\n", "#EXT-X-DISCONTINUITY\n"
	for path, segs := range map[string][]seg{"stuck": stuck, "ins": inserted} {
		g, cov := NewGroup(), coverage{}
		g.Update(path, RoleVariant, window(t, 0, layoutMillis, false, segs...), testStart)
		var got time.Duration
		for _, s := range segs {
			got += cov.add(get(t, g, path, s.uri))
		}
		if want := 20 * 6 * time.Second; got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}

func TestUndatedAxes(t *testing.T) {
	axis := func(g *Group, path, uri string) uint64 { return get(t, g, path, uri)[0].Axis }
	six := 6 * time.Second
	g := NewGroup()
	g.Update("a", RoleVariant, window(t, 100, "", false, numbered("a", 100, 5, six, false)...), testStart)
	// Seen five segments later, and one ahead of what is expected: the same axis.
	g.Update("b", RoleVariant, window(t, 106, "", false, numbered("b", 106, 5, six, false)...), testStart.Add(5*six))
	// Far from what is expected, and of another length: axes of their own.
	g.Update("far", RoleVariant, window(t, 200, "", false, numbered("far", 200, 5, six, false)...), testStart.Add(5*six))
	g.Update("long", RoleVariant, window(t, 105, "", false, numbered("long", 105, 5, 2*six, false)...), testStart.Add(5*six))
	if a, b := axis(g, "a", "a-101.ts"), axis(g, "b", "b-107.ts"); a != axisSequence || b != axisSequence {
		t.Errorf("axes %d and %d", a, b)
	}
	far, long := axis(g, "far", "far-200.ts"), axis(g, "long", "long-105.ts")
	if far <= axisSequence || long <= axisSequence || far == long {
		t.Errorf("axes %d and %d", far, long)
	}
	// The choice is sticky.
	g.Update("b", RoleVariant, window(t, 107, "", false, numbered("b", 107, 5, six, false)...), testStart.Add(time.Hour))
	if b := axis(g, "b", "b-111.ts"); b != axisSequence {
		t.Errorf("axis %d in the end", b)
	}
	if sp := get(t, g, "a", "a-101.ts")[0]; sp != (Span{axisSequence, 101 << 20, 102 << 20, six}) {
		t.Errorf("span %v", sp)
	}
}

func TestDatesThatComeLate(t *testing.T) {
	// Segments before the first date in a window are dated backwards, over a discontinuity too.
	segs := numbered("s", 0, 4, 6*time.Second, false)
	segs[2].tags, segs[2].pdt = "#EXT-X-DISCONTINUITY\n", testStart.Add(12*time.Second)
	g, cov := NewGroup(), coverage{}
	g.Update("p", RoleVariant, window(t, 0, layoutMillis, false, segs...), testStart)
	// A version without the date, and a delta update, go on from what is known.
	g.Update("p", RoleVariant, window(t, 3, layoutMillis, false, numbered("s", 3, 3, 6*time.Second, false)...), testStart)
	var got time.Duration
	for i := range 6 {
		sp := get(t, g, "p", fmt.Sprintf("s-%d.ts", i))
		got += cov.add(sp)
		if want := testStart.Add(time.Duration(i) * 6 * time.Second).UnixMicro(); sp[0].From != want || sp[0].Axis != axisDated {
			t.Errorf("segment %d at %d, want %d", i, sp[0].From, want)
		}
	}
	if got != 36*time.Second {
		t.Errorf("counted %v", got)
	}
}

func TestSegmentsStayLocatable(t *testing.T) {
	g := NewGroup()
	for v := range 100 {
		g.Update("p", RoleVariant, window(t, v, layoutMillis, false, numbered("s", v, 5, 2*time.Second, true)...), testStart.Add(time.Duration(v)*2*time.Second))
		for i := max(0, v-60); i < v+5; i++ {
			get(t, g, "p", fmt.Sprintf("s-%d.ts", i))
		}
	}
	if _, class, _ := g.Locate("p", resourceDir+"s-10.ts", 0, 1, 1, nil); class != ClassOther {
		t.Errorf("a segment of three minutes ago is %v", class)
	}
	if n := len(g.lines["p"].shelves); n > 70 {
		t.Errorf("%d resources are kept", n)
	}
	if n := len(g.anchors); n > 70 {
		t.Errorf("%d dates are kept", n)
	}
}

func TestGroupIsBounded(t *testing.T) {
	g := NewGroup()
	for i := range maxPlaylists + 50 {
		g.Update(fmt.Sprint(i), RoleVariant, window(t, 0, layoutMillis, false, numbered("s", 0, 3, 6*time.Second, true)...), testStart.Add(time.Duration(i)*time.Second))
	}
	if len(g.lines) != maxPlaylists || g.Known("49") || !g.Known("50") {
		t.Errorf("%d playlists", len(g.lines))
	}
	// A live playlist whose numbers leap, with another URI at each reload, for a day.
	one := NewGroup()
	for v := range 2000 {
		segs := numbered(fmt.Sprintf("t%d/s", v), v*3, 5, time.Second, true)
		for i := range segs {
			segs[i].tags = fmt.Sprintf("#EXT-X-KEY:METHOD=AES-128,URI=\"k%d\"\n", v)
		}
		one.Update("p", RoleVariant, window(t, v*3, layoutMillis, false, segs...), testStart.Add(time.Duration(v)*3*time.Second))
	}
	tl := one.lines["p"]
	if len(tl.placed)+len(tl.retired) > 300 || len(tl.shelves) > 900 || len(tl.others) > 300 || len(one.anchors) > 300 {
		t.Errorf("%d segments, %d resources, %d keys, %d dates", len(tl.placed)+len(tl.retired), len(tl.shelves), len(tl.others), len(one.anchors))
	}
}
