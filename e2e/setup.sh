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
need vlc vlc-plugin-base # without it, vlc knows no format
need node nodejs
need npm npm
need nginx nginx-light

if [ ${#missing[@]} -gt 0 ]; then
	echo "e2e: installing ${missing[*]}"
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

# npm writes node_modules/.package-lock.json last.
if [ player/node_modules/.package-lock.json -nt player/package-lock.json ]; then
	echo "e2e: everything is installed"
else
	echo "e2e: installing hls.js, Shaka Player and video.js"
	npm ci --prefix player --no-audit --no-fund --loglevel=error
fi
