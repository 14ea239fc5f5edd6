#!/bin/sh
# Makes the clips of the demo: hi.aac, lo.aac (one piece at two bitrates) and radio.mp3 (another piece).
# Run by maintainers only, in this folder, with sox and ffmpeg installed; the results are committed.
#
# Both pieces are synthesised here, note by note, eight bars each. A bar is a whole number of codec frames:
#   AAC  186 frames of 1024 samples = 190464 samples at 48 kHz = 3.968 s, which is one HLS segment
#   MP3  165 frames of 1152 samples = 190080 samples at 48 kHz = 3.960 s
# Each piece is encoded three times over and the frames of the middle one are kept, so that the end runs into the
# beginning as any frame runs into the next.
set -eu

rate=48000
bars=8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# note FILE HERTZ SECONDS GAIN: a soft string, plucked
note() {
	sox -R -n -r $rate -c 1 "$1" synth "$3" pluck "$2" lowpass -1 2600 fade l 0.004 "$3" "$3" vol "$4"
}

# bell FILE HERTZ SECONDS GAIN: a bell of three partials, each dying sooner than the one below
bell() {
	sox -R -n -r $rate -c 1 "$work/p1.wav" synth "$3" sine "$2" fade l 0.006 "$3" "$3" vol 0.70
	sox -R -n -r $rate -c 1 "$work/p2.wav" synth "$3" sine "$(echo "$2 * 2.001" | bc -l)" fade l 0.004 "$(echo "$3 * 0.6" | bc -l)" "$(echo "$3 * 0.6" | bc -l)" vol 0.20
	sox -R -n -r $rate -c 1 "$work/p3.wav" synth "$3" sine "$(echo "$2 * 3.01" | bc -l)" fade l 0.002 "$(echo "$3 * 0.3" | bc -l)" "$(echo "$3 * 0.3" | bc -l)" vol 0.10
	sox -m "$work/p1.wav" "$work/p2.wav" "$work/p3.wav" "$1" vol "$4"
}

# pad FILE HERTZ SECONDS GAIN: a low tone that swells and goes
pad() {
	sox -R -n -r $rate -c 1 "$1" synth "$3" sine "$2" fade t 0.9 "$3" 1.6 vol "$4"
}

# hertz MIDI: the frequency of a key
hertz() { echo "440 * e(($1 - 69) / 12 * l(2))" | bc -l; }

# sound KIND MIDI SECONDS GAIN: prints the file of that sound, made once
sound() {
	file="$work/$1-$2-$3.wav"
	[ -e "$file" ] || "$1" "$file" "$(hertz "$2")" "$3" "$4"
	echo "$file"
}

# at FILE SAMPLE PAN: puts a mono sound into the piece, PAN from 0 (left) to 1 (right)
at() {
	n=$((n + 1))
	right=$(echo "0.35 + 0.65 * $3" | bc -l)
	left=$(echo "0.35 + 0.65 * (1 - $3)" | bc -l)
	sox "$1" "$work/event-$(printf %04d $n).wav" remix "1v$left" "1v$right" pad "${2}s"
}

# piece FILE SAMPLES: mixes what at() has put in, folds what rings past the end over the beginning, three times over,
# in a room, levelled
piece() {
	sox -m -v 1 "$work"/event-*.wav "$work/long.wav" gain -n -9
	rm "$work"/event-*.wav
	sox "$work/long.wav" "$work/head.wav" trim 0 "${2}s"
	sox "$work/long.wav" "$work/tail.wav" trim "${2}s"
	sox -m -v 1 "$work/head.wav" -v 1 "$work/tail.wav" "$work/loop.wav"
	sox "$work/loop.wav" "$work/loop.wav" "$work/loop.wav" "$1" highpass 40 reverb 45 50 90 gain -n -3
}

# middle CODEC-OPTIONS IN OUT FRAMES FORMAT: encodes three rounds, keeps the frames of the second
middle() {
	opts=$1 in=$2 out=$3 frames=$4 format=$5
	# shellcheck disable=SC2086
	ffmpeg -v error -y -i "$in" $opts -bitexact -map_metadata -1 -f "$format" "$work/three.$format"
	ffmpeg -v error -y -f "$( [ "$format" = adts ] && echo aac || echo mp3 )" -i "$work/three.$format" -c copy -bitexact \
		-bsf:a "noise=drop=lt(n\,$frames)+gte(n\,2*$frames)" \
		$( [ "$format" = mp3 ] && echo "-write_xing 0 -id3v2_version 0" ) -f "$format" "$out"
}

# The HLS piece: a broken chord of sixteen notes a bar, its root beneath, and a tick on every beat (0.992 s).
n=0
sixteenth=11904
bar=0
for chord in \
	"36 48 55 60 64 67 71" "33 45 52 60 64 67 72" "41 53 57 60 64 69 72" "43 55 59 62 64 67 74" \
	"40 52 55 59 62 67 71" "33 45 55 59 60 64 72" "38 50 57 60 65 69 72" "43 50 57 60 62 65 69"
do
	# shellcheck disable=SC2086
	set -- $chord
	start=$((bar * 16 * sixteenth))
	at "$(sound pad $(($1 + 12)) 4.6 0.07)" $start 0.5
	i=0
	for k in "$2" "$3" "$4" "$5" "$6" "$7" "$6" "$5" "$2" "$3" "$4" "$5" "$7" "$6" "$5" "$4"; do
		at "$(sound note "$k" 2.4 0.42)" $((start + i * sixteenth)) "$(echo "0.2 + 0.6 * ($k - 45) / 30" | bc -l)"
		[ $((i % 4)) -ne 0 ] || at "$(sound bell 96 0.12 0.10)" $((start + i * sixteenth)) 0.5
		i=$((i + 1))
	done
	bar=$((bar + 1))
done
piece "$work/hls.wav" $((bars * 16 * sixteenth))
middle "-c:a aac -b:a 128k" "$work/hls.wav" hi.aac $((bars * 186)) adts
middle "-c:a aac -b:a 64k" "$work/hls.wav" lo.aac $((bars * 186)) adts

# The radio piece: bells over pads; four bars in F, four in A minor, one half to a title.
n=0
eighth=23760
bar=0
for chord in \
	"41 65 69 72 76 79" "38 62 69 72 77 81" "46 65 70 74 77 81" "36 64 67 72 76 79" \
	"45 64 69 71 76 84" "41 65 69 72 76 81" "38 62 65 69 74 77" "40 64 68 71 76 80"
do
	# shellcheck disable=SC2086
	set -- $chord
	start=$((bar * 8 * eighth))
	at "$(sound pad "$1" 5.2 0.035)" $start 0.4
	at "$(sound pad $(($1 + 12)) 5.2 0.03)" $start 0.6
	i=0
	for k in "$2" "$4" "$3" "$5" "$6" "$5" "$3" "$4"; do
		at "$(sound bell "$k" 2.6 0.36)" $((start + i * eighth)) "$(echo "0.15 + 0.7 * (($i * 3) % 8) / 7" | bc -l)"
		i=$((i + 1))
	done
	bar=$((bar + 1))
done
piece "$work/radio.wav" $((bars * 8 * eighth))
middle "-c:a libmp3lame -b:a 128k -reservoir 0 -write_xing 0 -id3v2_version 0" "$work/radio.wav" radio.mp3 $((bars * 165)) mp3

ls -l hi.aac lo.aac radio.mp3
