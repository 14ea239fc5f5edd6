'use strict';
// video.js with VHS, its own HLS engine.
function connect(video, src) {
  const Vhs = videojs.Vhs;
  videojs.log.level('off'); // it warns of those who set these
  Vhs.GOAL_BUFFER_LENGTH = Vhs.MAX_GOAL_BUFFER_LENGTH = whole ? 600 : goal;
  videojs.log.level('warn');
  const first = function () { return this.playlists.main.playlists[0]; };
  const player = videojs(video, { controls: false, preload: 'auto', html5: { vhs: { overrideNative: true, playlistSelector: first, initialPlaylistSelector: first },
    nativeAudioTracks: false, nativeVideoTracks: false, nativeTextTracks: false } });
  player.on('error', () => fail(`error ${player.error()?.code} ${player.error()?.message}`));
  const subtitles = () => Array.from(player.textTracks()).filter(t => t.kind === 'subtitles');
  player.one('loadedmetadata', () => subtitles().forEach(t => { t.mode = 'showing'; }));
  const ready = new Promise(resolve => player.one('loadstart', resolve)); // of what is live it loads nothing before it is to play
  player.src({ src, type: 'application/vnd.apple.mpegurl' });
  player.load();
  const list = all => Array.from(all, t => `${t.label} ${t.language}`);
  return {
    ready,
    facts: () => ({
      levels: Array.from(player.qualityLevels(), l => `${l.width}x${l.height}`),
      audio: list(player.audioTracks()),
      text: list(subtitles()),
    }),
    cues: () => subtitles().flatMap(t => Array.from(t.cues ?? [])),
    speak: n => { player.audioTracks()[n].enabled = true; },
    pictures: () => null,
    leave: () => player.dispose(),
  };
}
