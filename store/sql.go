package store

// The SQL of every database this package speaks. Parameters are ?1, ?2, …; words in braces and the parameters' sign
// are the dialect's (dialect.go).

// migrations are applied in order; a database's version is how many it has had. One that was released is never edited.
//
// There is no index of events by session, not even of the open ones. Ids are random, so each event would cost that
// index a page of its own, read, logged and written back. Instead a session's open events are a chain: each names
// the one before it (previous; 0 is none), and open_sessions, a small table that stays in memory, holds for each
// session that has any
//
//	last_id   the last inserted, where the chain begins
//	seen_id   the last by time
//	from_ms   when the first of them began
//	last_ms   when the last of them ended
//	total_ms  the running total
//
// Whatever is left is indexed by time, so that indexes grow at their ends.
//
// Version 2: the board of notes (until_ms 0: for ever), evidence of blackouts, and what backends are yet to be told of
// sessions that are over. Evidence is summed up before it is stored, so it can afford an index for each question.
//
// Version 3: removals of sessions that go on, next_ms of which is the last there is.
var migrations = []string{
	`CREATE TABLE listen_events (
	id {serial},
	event_id {text} NOT NULL,
	from_ms {int} NOT NULL,
	time_ms {int} NOT NULL,
	session_id {text} NOT NULL,
	kind {text} NOT NULL DEFAULT '',
	group_key {text} NOT NULL,
	stream_key {text} NOT NULL,
	bytes {int} NOT NULL,
	duration_ms {int} NOT NULL,
	session_duration_ms {int} NOT NULL,
	offset_ms {int} NOT NULL DEFAULT 0,
	user_id {text} NOT NULL DEFAULT '',
	device_id {text} NOT NULL DEFAULT '',
	device_type {text} NOT NULL DEFAULT '',
	ip {text} NOT NULL DEFAULT '',
	user_agent {text} NOT NULL DEFAULT '',
	country {text} NOT NULL DEFAULT '',
	edge {text} NOT NULL DEFAULT '',
	state {int} NOT NULL DEFAULT 0,
	previous {int} NOT NULL DEFAULT 0
) {table};
CREATE UNIQUE INDEX listen_events_event_id ON listen_events (event_id);
CREATE INDEX listen_events_ignored ON listen_events (session_id, group_key) WHERE state = 2;
CREATE INDEX listen_events_time ON listen_events (time_ms);
CREATE INDEX listen_events_stream ON listen_events (stream_key, time_ms);
CREATE INDEX listen_events_group ON listen_events (group_key, time_ms);
CREATE TABLE open_sessions (
	session_id {text} NOT NULL,
	group_key {text} NOT NULL,
	last_id {int} NOT NULL,
	seen_id {int} NOT NULL,
	from_ms {int} NOT NULL,
	last_ms {int} NOT NULL,
	total_ms {int} NOT NULL,
	PRIMARY KEY (session_id, group_key)
) {clustered};
CREATE TABLE sessions (
	id {serial},
	session_id {text} NOT NULL,
	started_ms {int} NOT NULL,
	ended_ms {int} NOT NULL,
	kind {text} NOT NULL DEFAULT '',
	group_key {text} NOT NULL,
	stream_key {text} NOT NULL,
	bytes {int} NOT NULL,
	duration_ms {int} NOT NULL,
	elapsed_ms {int} NOT NULL,
	user_id {text} NOT NULL DEFAULT '',
	device_id {text} NOT NULL DEFAULT '',
	device_type {text} NOT NULL DEFAULT '',
	ip {text} NOT NULL DEFAULT '',
	user_agent {text} NOT NULL DEFAULT '',
	country {text} NOT NULL DEFAULT '',
	reason {text} NOT NULL DEFAULT '',
	finalised_ms {int} NOT NULL
) {table};
CREATE INDEX sessions_session ON sessions (session_id, group_key);
CREATE INDEX sessions_time ON sessions (ended_ms);
CREATE INDEX sessions_stream ON sessions (stream_key, ended_ms);
CREATE INDEX sessions_group ON sessions (group_key, ended_ms);`,

	`CREATE TABLE board (
	kind {text} NOT NULL,
	id {text} NOT NULL,
	until_ms {int} NOT NULL,
	body {text} NOT NULL,
	PRIMARY KEY (kind, id)
) {clustered};
CREATE INDEX board_until ON board (until_ms);
CREATE TABLE evidence (
	id {serial},
	at_ms {int} NOT NULL,
	rule {text} NOT NULL,
	action {text} NOT NULL,
	session_id {text} NOT NULL DEFAULT '',
	group_key {text} NOT NULL,
	user_id {text} NOT NULL DEFAULT '',
	device_id {text} NOT NULL DEFAULT '',
	device_type {text} NOT NULL DEFAULT '',
	ip {text} NOT NULL DEFAULT '',
	country {text} NOT NULL DEFAULT '',
	subdivision {text} NOT NULL DEFAULT '',
	metro {text} NOT NULL DEFAULT '',
	postal {text} NOT NULL DEFAULT '',
	edge {text} NOT NULL DEFAULT '',
	times {int} NOT NULL
) {table};
CREATE INDEX evidence_time ON evidence (at_ms, id);
CREATE INDEX evidence_rule ON evidence (rule, at_ms, id);
CREATE INDEX evidence_group ON evidence (group_key, at_ms, id);
CREATE INDEX evidence_user ON evidence (user_id, at_ms, id) WHERE user_id <> '';
CREATE INDEX evidence_session ON evidence (session_id, at_ms, id) WHERE session_id <> '';
CREATE TABLE removals (
	id {serial},
	session_id {text} NOT NULL,
	group_key {text} NOT NULL,
	kind {text} NOT NULL,
	path {text} NOT NULL,
	host {text} NOT NULL,
	user_id {text} NOT NULL,
	ticket {text} NOT NULL,
	ip {text} NOT NULL,
	user_agent {text} NOT NULL,
	duration_ms {int} NOT NULL,
	bytes {int} NOT NULL,
	at_ms {int} NOT NULL,
	tries {int} NOT NULL,
	next_ms {int} NOT NULL
) {table};
CREATE INDEX removals_next ON removals (next_ms, id);`,

	`ALTER TABLE removals ADD COLUMN began_ms {int} NOT NULL DEFAULT 0;`,
}

// thisSession picks the session whose key is bound to ?1 and ?2. The casts look idle; see [dialect].
const thisSession = `session_id = CAST(?1 AS TEXT) AND group_key = CAST(?2 AS TEXT)`

// insertEvent adds one event at the end of its session's chain, and its duration to the running total. A session with
// no open event has for total what is in its rows and its ignored events.
const insertEvent = `INSERT INTO listen_events (session_id, group_key, event_id, from_ms, time_ms, kind, stream_key,
	bytes, duration_ms, offset_ms, user_id, device_id, device_type, ip, user_agent, country, edge,
	previous, session_duration_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
	COALESCE((SELECT last_id FROM open_sessions WHERE ` + thisSession + `), 0),
	?9 + COALESCE((SELECT total_ms FROM open_sessions WHERE ` + thisSession + `),
		(SELECT COALESCE(sum(duration_ms), 0) FROM sessions WHERE ` + thisSession + `) +
		(SELECT COALESCE(sum(duration_ms), 0) FROM listen_events {by ignored} WHERE state = 2 AND ` + thisSession + `)))
ON CONFLICT (event_id) DO NOTHING`

// openSession notes the event just inserted: ?3 its id, ?4 and ?5 its times.
const openSession = `INSERT INTO open_sessions AS o (session_id, group_key, last_id, seen_id, from_ms, last_ms, total_ms)
VALUES (?1, ?2, ?3, ?3, ?4, ?5, (SELECT session_duration_ms FROM listen_events WHERE id = CAST(?3 AS {int})))
ON CONFLICT (session_id, group_key) DO UPDATE SET
	last_id = excluded.last_id,
	seen_id = CASE WHEN excluded.last_ms >= o.last_ms THEN excluded.seen_id ELSE o.seen_id END,
	from_ms = CASE WHEN excluded.from_ms < o.from_ms THEN excluded.from_ms ELSE o.from_ms END,
	last_ms = CASE WHEN excluded.last_ms >= o.last_ms THEN excluded.last_ms ELSE o.last_ms END,
	total_ms = excluded.total_ms`

const idleSessions = `SELECT session_id, group_key FROM open_sessions
WHERE (session_id, group_key) > (?1, ?2) AND last_ms < ?3
ORDER BY session_id, group_key LIMIT ?4`

const recentSessions = `SELECT o.session_id, o.group_key, e.kind, e.user_id, e.device_id, e.device_type, e.ip,
	e.user_agent, e.country, e.edge, o.from_ms, o.last_ms
FROM open_sessions AS o JOIN listen_events AS e ON e.id = o.seen_id
WHERE o.last_ms >= ?1
ORDER BY o.session_id, o.group_key`

// standing is when the session's last open event ended, and what the session has heard in all.
const standing = `SELECT last_ms, total_ms FROM open_sessions WHERE ` + thisSession

// chain is the ids of the session's open events.
const chain = `chain (id) AS (
	SELECT last_id FROM open_sessions WHERE ` + thisSession + `
	UNION ALL
	SELECT e.previous FROM chain JOIN listen_events AS e ON e.id = chain.id WHERE e.previous <> 0)`

// ignored is the ids of the session's ignored events.
const ignored = `SELECT id FROM listen_events {by ignored} WHERE state = 2 AND ` + thisSession

// latest is the session's last text in that column that is not empty.
func latest(column string) string {
	return `COALESCE((SELECT ` + column + ` FROM part WHERE ` + column + ` <> '' ORDER BY time_ms DESC, id DESC LIMIT 1), '')`
}

// insertSession writes the row of the session's events that are in none, open or ignored, unless it would be empty.
// ?3 is the reason, ?4 the time.
var insertSession = `WITH RECURSIVE ` + chain + `,
part AS MATERIALIZED (
	SELECT id, from_ms, time_ms, bytes, duration_ms, kind, stream_key, user_id, device_id, device_type, ip, user_agent, country
	FROM listen_events WHERE id IN (SELECT id FROM chain UNION ALL ` + ignored + `))
INSERT INTO sessions (session_id, group_key, reason, finalised_ms, started_ms, ended_ms, elapsed_ms, bytes, duration_ms,
	stream_key, kind, user_id, device_id, device_type, ip, user_agent, country)
SELECT ?1, ?2, ?3, ?4, min(from_ms), max(time_ms), max(time_ms) - min(from_ms), sum(bytes), sum(duration_ms),
	(SELECT stream_key FROM part ORDER BY from_ms, id LIMIT 1), ` +
	latest("kind") + `, ` + latest("user_id") + `, ` + latest("device_id") + `, ` + latest("device_type") + `, ` +
	latest("ip") + `, ` + latest("user_agent") + `, ` + latest("country") + `
FROM part HAVING sum(bytes) > 0 OR sum(duration_ms) > 0`

const (
	markFinalised = `WITH RECURSIVE ` + chain + `
UPDATE listen_events SET state = 1 WHERE id IN (SELECT id FROM chain UNION ALL ` + ignored + `)`

	markIgnored = `WITH RECURSIVE ` + chain + `
UPDATE listen_events SET state = 2 WHERE id IN (SELECT id FROM chain)`

	closeSession = `DELETE FROM open_sessions WHERE ` + thisSession
)

const (
	pruneEvents = `DELETE FROM listen_events WHERE id IN (
	SELECT id FROM listen_events {by time} WHERE time_ms < ?1 AND state <> 0 ORDER BY time_ms LIMIT ?2)`
	pruneSessions = `DELETE FROM sessions WHERE id IN (
	SELECT id FROM sessions WHERE ended_ms < ?1 ORDER BY ended_ms LIMIT ?2)`
)

// The board. What has no until_ms is never over.
const (
	clearBoard = `DELETE FROM board WHERE until_ms > 0 AND until_ms <= ?1`

	postNote = `INSERT INTO board (kind, id, until_ms, body) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (kind, id) DO UPDATE SET until_ms = excluded.until_ms, body = excluded.body`

	withdrawNote = `DELETE FROM board WHERE kind = ?1 AND id = ?2 AND (until_ms = 0 OR until_ms > ?3)`

	listBoard = `SELECT kind, id, until_ms, body FROM board WHERE until_ms = 0 OR until_ms > ?1 ORDER BY kind, id`
)

const insertEvidence = `INSERT INTO evidence (at_ms, rule, action, session_id, group_key, user_id, device_id, device_type, ip,
	country, subdivision, metro, postal, edge, times)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)`

// evidencePage lists evidence in order of time, along one index, on which first is bound to one value. ?1 to ?4 are the rule,
// group, user and session, empty for all; the page begins after the row (?5, ?6) and ends before the time ?7.
func evidencePage(index, first string) string {
	return `SELECT id, at_ms, rule, action, session_id, group_key, user_id, device_id, device_type, ip,
	country, subdivision, metro, postal, edge, times
FROM evidence {by evidence ` + index + `}
WHERE ` + first + `(at_ms, id) > (?5, ?6) AND at_ms < ?7
	AND (?1 = '' OR rule = ?1) AND (?2 = '' OR group_key = ?2) AND (?3 = '' OR user_id = ?3) AND (?4 = '' OR session_id = ?4)
ORDER BY at_ms, id LIMIT ?8`
}

var (
	evidenceByTime    = evidencePage("time", "")
	evidenceByRule    = evidencePage("rule", "rule = ?1 AND ")
	evidenceByGroup   = evidencePage("group", "group_key = ?2 AND ")
	evidenceByUser    = evidencePage("user", "user_id = ?3 AND user_id <> '' AND ")
	evidenceBySession = evidencePage("session", "session_id = ?4 AND session_id <> '' AND ")
)

const (
	evidenceTime = `SELECT at_ms FROM evidence WHERE id = ?1`

	pruneEvidence = `DELETE FROM evidence WHERE id IN (
	SELECT id FROM evidence {by evidence time} WHERE at_ms < ?1 ORDER BY at_ms, id LIMIT ?2)`
)

// never is next_ms of a removal whose session goes on.
const never = `9223372036854775807`

const removalColumns = `id, session_id, group_key, kind, path, host, user_id, ticket, ip, user_agent,
	duration_ms, bytes, at_ms, tries, next_ms, began_ms`

const (
	insertRemoval = `INSERT INTO removals (` + removalColumns + `)
VALUES (NULLIF(?1, 0), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, ip = excluded.ip, user_agent = excluded.user_agent,
	duration_ms = excluded.duration_ms, bytes = excluded.bytes, at_ms = excluded.at_ms, tries = excluded.tries, next_ms = excluded.next_ms
WHERE removals.next_ms = ` + never

	dueRemovals = `SELECT ` + removalColumns + `
FROM removals WHERE next_ms <= ?1 AND next_ms < ` + never + ` ORDER BY next_ms, id LIMIT ?2`

	openRemovals = `SELECT ` + removalColumns + `
FROM removals WHERE next_ms = ` + never + ` AND id > ?1 ORDER BY id LIMIT ?2`

	retryRemoval = `UPDATE removals SET tries = ?2, next_ms = ?3 WHERE id = ?1`
	dropRemoval  = `DELETE FROM removals WHERE id = ?1`
)

// heard sums what a session had from ?3 to ?4, in open events, ignored ones and rows.
const heard = `WITH RECURSIVE ` + chain + `,
part AS (
	SELECT bytes, time_ms FROM listen_events WHERE id IN (SELECT id FROM chain UNION ALL ` + ignored + `)
	UNION ALL
	SELECT bytes, ended_ms FROM sessions {by session} WHERE ` + thisSession + `)
SELECT COALESCE(sum(bytes), 0), COALESCE(max(time_ms), 0) FROM part WHERE time_ms >= ?3 AND time_ms < ?4`
