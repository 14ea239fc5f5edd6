package e2e

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mayLose is how much listening a kill may cost a listener, on a machine that runs.
const mayLose = time.Second

// life is one run of the edge.
type life struct {
	launched, killed time.Time // killed is zero for the last
}

// sure tells whether what came at a moment must be in the books, though the edge was killed later.
func (l life) sure(at time.Time) bool {
	if l.killed.IsZero() {
		return true
	}
	late := stoodStill(l.killed.Add(-5*time.Second), l.killed)
	return at.Before(l.killed.Add(-mayLose - late))
}

// TestKill: an edge that is killed over and over under load, at any moment, start-up included, and started again on the same data,
// ends with books that hold each session once, no event twice, never more than was received, and all of it but for the
// last second before each kill. EARSHOT_LONG=1 kills a hundred times.
func TestKill(t *testing.T) {
	t.Parallel()
	kills, seed := 14, uint64(time.Now().UnixNano())
	if os.Getenv("EARSHOT_LONG") != "" {
		kills = 100
	}
	if text := os.Getenv("EARSHOT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("EARSHOT_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	// What the kernel has taken from a killed process it still delivers: with the slow shows, bodies break off and are fetched again.
	s := startStudio(t, &show{name: "long", length: 500, bulk: 250_000}, &show{name: "dated", length: 500, dated: true, bulk: 250_000},
		&show{name: "slow", length: 500, slow: true}, &show{name: "slow-dated", length: 500, dated: true, slow: true})
	x := startTransmitter(t, 0)
	o := newOutpost(t, "kill", "{slice: 2s, idle: 8s, minimum: 1s}", append(s.streams(), icyStream("radio", "/radio.mp3", x.url())))
	lives := []life{{launched: time.Now()}}
	o.launch(t)
	o.waitReady(t)
	l := newLoad(s, o, 4, "long", "dated", "slow", "slow-dated")
	waitHeard(t, o, len(l.receivers)+len(l.tuners))

	for n := range kills {
		if n%4 == 3 { // at the latest while it starts
			time.Sleep(time.Duration(random.Int64N(int64(250 * time.Millisecond))))
		} else {
			o.waitReady(t)
			time.Sleep(time.Duration(random.Int64N(int64(2 * time.Second))))
		}
		lives[n].killed = time.Now()
		o.kill(t)
		l.run.Add(1)
		lives = append(lives, life{launched: time.Now()})
		o.launch(t)
	}
	o.waitReady(t)
	time.Sleep(1500 * time.Millisecond) // of listening in peace
	l.stop(t)
	o.waitClosed(t, 40*time.Second)
	checkBooks(t, o)
	checkLoad(t, o, l, lives)
	o.stop(t)
}

// checkBooks asks the database whether it agrees with itself.
func checkBooks(t *testing.T, o *outpost) {
	t.Helper()
	for what, query := range map[string]string{
		"events stored twice": `SELECT count(*) - count(DISTINCT event_id) FROM listen_events`,
		"open events":         `SELECT count(*) FROM listen_events WHERE state = 0`,
		"sessions with more than one row": `SELECT count(*) FROM (SELECT 1 FROM sessions
			GROUP BY session_id, group_key HAVING count(*) > 1)`,
		"rows that are not the sum of their events": `SELECT count(*) FROM sessions AS s LEFT JOIN (
			SELECT session_id, group_key, sum(bytes) AS b, sum(duration_ms) AS d FROM listen_events
			WHERE state = 1 GROUP BY 1, 2) AS e USING (session_id, group_key)
			WHERE s.bytes IS NOT e.b OR s.duration_ms IS NOT e.d`,
		"finalised events without a row": `SELECT count(*) FROM listen_events AS e WHERE state = 1 AND NOT EXISTS (
			SELECT 1 FROM sessions AS s WHERE s.session_id = e.session_id AND s.group_key = e.group_key)`,
		"sessions that were ignored though they were long enough": `SELECT count(*) FROM (SELECT 1 FROM listen_events
			GROUP BY session_id, group_key HAVING sum(duration_ms) >= 1000 AND count(*) FILTER (WHERE state = 2) > 0)`,
	} {
		if n := o.number(t, query); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

// checkLoad compares what every listener received with the books: bytes for each life of the edge, media time for all of them.
func checkLoad(t *testing.T, o *outpost, l *load, lives []life) {
	t.Helper()
	books := o.lives(t, lives)
	var worst time.Duration
	var bytes int64
	check := func(agent string, got *ledger, sessions int64) {
		a := o.account(t, agent)
		if sessions > 0 && a.sessions != sessions {
			t.Errorf("%s: %d sessions (%s), want %d", agent, a.sessions, a.ids, sessions)
		}
		for n, life := range lives {
			lost := life.loss(t, agent, n, got, books[bookKey{agent, n}])
			worst = max(worst, lost)
		}
		checkSeconds(t, agent, got, &a, lives, books)
		bytes += total(got.read)
	}
	for _, r := range l.receivers {
		check(r.agent, &r.ledger, 1)
	}
	for _, u := range l.tuners {
		if u.id != "" {
			check(u.agent, &u.ledger, 1)
		} else {
			check(u.agent, &u.ledger, 0)
		}
	}
	t.Logf("%d kills, %d listeners, %d bytes received, %d sessions in rows; at most %v lost",
		len(lives)-1, len(l.receivers)+len(l.tuners), bytes, o.number(t, `SELECT count(*) FROM sessions`), worst.Round(time.Millisecond))
}

// bookKey is a listener in one life of the edge.
type bookKey struct {
	agent string
	life  int
}

// lives sums the bytes of events by the life that they were counted in: an event's id says when its edge was started.
func (o *outpost) lives(t *testing.T, lives []life) map[bookKey]int64 {
	t.Helper()
	rows, err := o.database(t).Query(`SELECT event_id, user_agent, bytes FROM listen_events`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	sums := make(map[bookKey]int64)
	for rows.Next() {
		var id, agent string
		var bytes int64
		if err := rows.Scan(&id, &agent, &bytes); err != nil {
			t.Fatal(err)
		}
		boot, err := strconv.ParseInt(strings.Split(id, "-")[1], 36, 64)
		if err != nil {
			t.Fatalf("event %q: %v", id, err)
		}
		at, _ := slices.BinarySearchFunc(lives, boot, func(l life, boot int64) int { return int(l.launched.UnixNano()/1000 - boot/1000) })
		sums[bookKey{agent, at - 1}] += bytes
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sums
}

// loss is how long before the kill the books of one life end, for one listener.
func (l life) loss(t *testing.T, agent string, n int, got *ledger, counted int64) (lost time.Duration) {
	t.Helper()
	var received, sure int64
	for _, r := range got.read {
		if r.run != n {
			continue
		}
		received += r.bytes
		if l.sure(r.at) {
			sure = received
		}
		if received > counted && lost == 0 && r.at.Before(l.killed) {
			lost = l.killed.Sub(r.at)
		}
	}
	if counted < sure || counted > received {
		t.Errorf("%s, life %d of %v: %d bytes in the books; %d received, %d of them more than a second before the kill",
			agent, n, l.killed.Sub(l.launched).Round(time.Millisecond), counted, received, sure)
	}
	return lost
}

// checkSeconds compares media time, of all lives together: what is fetched again after a kill is heard once. What the books have of a life is what
// came first in it, so their bytes say what the seconds may be at most; they may be less where an edge was killed before it knew the playlist.
func checkSeconds(t *testing.T, agent string, got *ledger, a *account, lives []life, books map[bookKey]int64) {
	t.Helper()
	rest := make(map[int]int64)
	for n := range lives {
		rest[n] = books[bookKey{agent, n}]
	}
	var counted, sure []receipt
	for _, r := range got.read {
		if lives[r.run].sure(r.at) {
			sure = append(sure, r)
		}
		if rest[r.run] == 0 {
			continue
		}
		if r.bytes > rest[r.run] {
			r.to = r.from + (r.to-r.from)*float64(rest[r.run])/float64(r.bytes)
			r.bytes = rest[r.run]
		}
		rest[r.run] -= r.bytes
		counted = append(counted, r)
	}
	tolerance := 0.003 * float64(len(lives))
	if strings.HasPrefix(agent, "kill/icy") {
		// Bytes are read some at a time, and where the source is connected again the edge may take its first frames for the last before.
		tolerance = 0.15 * float64(len(lives))
	}
	least, most, seconds := distinct(sure), distinct(counted), float64(a.ms)/1000
	if seconds < least*0.999-tolerance || seconds > most*1.001+tolerance {
		t.Errorf("%s: %.3f s in the books; their bytes are %.3f s; %.3f received more than a second before a kill", agent, seconds, most, least)
	}
}
