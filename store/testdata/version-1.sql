-- A database of version 1, as the release that knew no other left it (sqlite3 .dump).
PRAGMA application_id = 1161908819;
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE listen_events (
	id INTEGER PRIMARY KEY,
	event_id TEXT NOT NULL,
	from_ms INTEGER NOT NULL,
	time_ms INTEGER NOT NULL,
	session_id TEXT NOT NULL,
	kind TEXT NOT NULL DEFAULT '',
	group_key TEXT NOT NULL,
	stream_key TEXT NOT NULL,
	bytes INTEGER NOT NULL,
	duration_ms INTEGER NOT NULL,
	session_duration_ms INTEGER NOT NULL,
	offset_ms INTEGER NOT NULL DEFAULT 0,
	user_id TEXT NOT NULL DEFAULT '',
	device_id TEXT NOT NULL DEFAULT '',
	device_type TEXT NOT NULL DEFAULT '',
	ip TEXT NOT NULL DEFAULT '',
	user_agent TEXT NOT NULL DEFAULT '',
	country TEXT NOT NULL DEFAULT '',
	edge TEXT NOT NULL DEFAULT '',
	state INTEGER NOT NULL DEFAULT 0,
	previous INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO listen_events VALUES(1,'edge-boot-closed',0,90000,'closed','hls','news','low',1440000,90000,90000,0,'ann','','','192.0.2.1','it''s a player/1','DE','edge',1,0);
INSERT INTO listen_events VALUES(2,'edge-boot-ignored',0,20000,'ignored','hls','news','low',320000,20000,20000,0,'ann','','','192.0.2.1','it''s a player/1','DE','edge',2,0);
INSERT INTO listen_events VALUES(3,'edge-boot-open',0,40000,'open','hls','news','low',640000,40000,40000,0,'ann','','','192.0.2.1','it''s a player/1','DE','edge',0,0);
INSERT INTO listen_events VALUES(4,'edge-boot-resumed',0,120000,'resumed','hls','news','low',1920000,120000,120000,0,'ann','','','192.0.2.1','it''s a player/1','DE','edge',1,0);
INSERT INTO listen_events VALUES(5,'edge-boot-again',670000,700000,'resumed','hls','news','low',480000,30000,150000,0,'','','','','','','',0,0);
CREATE TABLE open_sessions (
	session_id TEXT NOT NULL,
	group_key TEXT NOT NULL,
	last_id INTEGER NOT NULL,
	seen_id INTEGER NOT NULL,
	from_ms INTEGER NOT NULL,
	last_ms INTEGER NOT NULL,
	total_ms INTEGER NOT NULL,
	PRIMARY KEY (session_id, group_key)
) WITHOUT ROWID, STRICT;
INSERT INTO open_sessions VALUES('open','news',3,3,0,40000,40000);
INSERT INTO open_sessions VALUES('resumed','news',5,5,670000,700000,150000);
CREATE TABLE sessions (
	id INTEGER PRIMARY KEY,
	session_id TEXT NOT NULL,
	started_ms INTEGER NOT NULL,
	ended_ms INTEGER NOT NULL,
	kind TEXT NOT NULL DEFAULT '',
	group_key TEXT NOT NULL,
	stream_key TEXT NOT NULL,
	bytes INTEGER NOT NULL,
	duration_ms INTEGER NOT NULL,
	elapsed_ms INTEGER NOT NULL,
	user_id TEXT NOT NULL DEFAULT '',
	device_id TEXT NOT NULL DEFAULT '',
	device_type TEXT NOT NULL DEFAULT '',
	ip TEXT NOT NULL DEFAULT '',
	user_agent TEXT NOT NULL DEFAULT '',
	country TEXT NOT NULL DEFAULT '',
	reason TEXT NOT NULL DEFAULT '',
	finalised_ms INTEGER NOT NULL
) STRICT;
INSERT INTO sessions VALUES(1,'closed',0,90000,'hls','news','low',1440000,90000,90000,'ann','','','192.0.2.1','it''s a player/1','DE','idle',500000);
INSERT INTO sessions VALUES(2,'resumed',0,120000,'hls','news','low',1920000,120000,120000,'ann','','','192.0.2.1','it''s a player/1','DE','idle',500000);
CREATE UNIQUE INDEX listen_events_event_id ON listen_events (event_id);
CREATE INDEX listen_events_ignored ON listen_events (session_id, group_key) WHERE state = 2;
CREATE INDEX listen_events_time ON listen_events (time_ms);
CREATE INDEX listen_events_stream ON listen_events (stream_key, time_ms);
CREATE INDEX listen_events_group ON listen_events (group_key, time_ms);
CREATE INDEX sessions_session ON sessions (session_id, group_key);
CREATE INDEX sessions_time ON sessions (ended_ms);
CREATE INDEX sessions_stream ON sessions (stream_key, ended_ms);
CREATE INDEX sessions_group ON sessions (group_key, ended_ms);
COMMIT;
