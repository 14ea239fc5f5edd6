#!/usr/bin/env bash
# Installs what the end-to-end tests and the benchmarks run: Debian's packages for the programs that are missing, and the web players
# from the npm registry.
# Nothing is done twice. The services that come with icecast2, redis-server, prometheus and nginx are not used: the tests start their own, on free
# ports of loopback, and end them.
set -euo pipefail
cd "$(dirname "$0")"

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "e2e: not root, and no sudo: install these packages yourself: ${missing[*]}" >&2
		exit 1
	fi
}

PATH=$PATH:/usr/sbin # where Debian keeps nginx

# need PROGRAM PACKAGE
missing=()
need() {
	command -v "$1" >/dev/null || missing+=("$2")
}
need ffmpeg ffmpeg
need ffprobe ffmpeg
need icecast2 icecast2
need chromium chromium
need prometheus prometheus
need promtool prometheus
need redis-server redis-server
need redis-cli redis-tools
need curl curl
need mpg123 mpg123
need vlc vlc-bin
need node nodejs
need npm npm
need nginx nginx-light

# Without these vlc knows no format.
compgen -G '/usr/lib/*/vlc/plugins/demux' >/dev/null || missing+=(vlc-plugin-base)

# again COMMAND… runs a command until it succeeds, four times at most: mirrors fail, and somebody else may hold a lock of apt's for a while.
again() {
	local try
	for try in 1 2 3; do
		if "$@"; then
			return
		fi
		echo "e2e: try $try of 4 failed: $*" >&2
		sleep $((try * 10))
	done
	"$@"
}

# apt waits for dpkg's locks; for those of its own lists and archives it does not.
apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null
}

# A list that could not be had is no failure to apt, and shows when what it names is not found: so the lists are new at each try.
install() {
	apt update && apt install -y --no-install-recommends "$@"
}

if [ ${#missing[@]} -gt 0 ]; then
	echo "e2e: installing ${missing[*]}"
	again install "${missing[@]}"
fi

# npm writes node_modules/.package-lock.json last.
if [ player/node_modules/.package-lock.json -nt player/package-lock.json ]; then
	echo "e2e: everything is installed"
else
	echo "e2e: installing hls.js, Shaka Player and video.js"
	again npm ci --prefix player --no-audit --no-fund --no-update-notifier --loglevel=error --fetch-retries=5 --fetch-timeout=60000
fi
