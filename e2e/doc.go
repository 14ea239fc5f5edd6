// Package e2e runs the real edge between the real programs of its field and asks each what it saw.
//
//	ffmpeg ──► Icecast ─────────┐             ┌──► ffmpeg, ffprobe, curl, Chromium's own audio element
//	                            ├──► earshot ─┤
//	ffmpeg ──► a file server ───┘      │      └──► hls.js, Shaka Player, video.js in Chromium
//	                                   │
//	                                   ├──► SQLite: what was heard
//	                                   └──► promtool, Prometheus
//
// Nothing is simulated: each test starts the programs it needs on loopback, on ports of its own and in a directory of its own,
// waits for what it expects to become true, and ends what it started. A program that is missing fails the tests that need
// it; setup.sh installs them all. The tests see the edge only from outside: its sockets, its database, its exit code.
//
// EARSHOT_E2E_RACE=1 builds the edge with the race detector.
package e2e
