'use strict';
// Plays ?src= with hls.js for ?seconds= of media, changes to another variant on the way, and keeps in `report` what the test
// asks for: every request with its answer, what hls.js complained of, and where playing stood still.
//
// ?sid= turns CMCD on, with that session id.

const query = new URLSearchParams(location.search);
const seconds = Number(query.get('seconds'));
const audio = document.getElementById('audio');

const report = {
  requests: [], // {url, status, bytes}: of the body, as the browser got them
  errors: [], // hls.js ERROR events and the element's own
  waits: [], // seconds of media played at each `waiting` with nothing in hand
  starved: [], // the same with media in hand: this machine's doing, not the stream's
  levels: [], // the variants that went into the buffer, in order
  began: null, // currentTime when playing began
  played: 0, // seconds of media since
  wall: 0, // seconds of clock since
  done: false,
};

let pending = 0;
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (...args) {
  pending++;
  this.addEventListener('loadend', e => {
    pending--;
    report.requests.push({ url: this.responseURL, status: this.status, bytes: e.loaded });
  });
  return send.apply(this, args);
};

const sid = query.get('sid');
const hls = new Hls({
  startLevel: -1, // measure the bandwidth with a segment of the lowest variant, then fetch that moment again from the best
  liveSyncDurationCount: 4, // a machine busy with other tests may pause the page for seconds
  ...(sid && { cmcd: { sessionId: sid, contentId: 'e2e', useHeaders: false } }),
});

// inHand is the media, in seconds, between where the element plays and the end of what it has.
function inHand() {
  const { buffered, currentTime } = audio;
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= currentTime && currentTime < buffered.end(i)) return buffered.end(i) - currentTime;
  }
  return 0;
}

function stalled() {
  (inHand() < 1 ? report.waits : report.starved).push(audio.currentTime - report.began);
}

hls.on(Hls.Events.ERROR, (_, e) => {
  if (e.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) stalled();
  else report.errors.push(`${e.type} ${e.details} fatal=${e.fatal} ${e.reason || e.error?.message || ''} ${e.url || e.frag?.url || ''}`);
});
hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => {
  if (frag.level !== report.levels.at(-1)) report.levels.push(frag.level);
});

// leave goes when nothing is on the way, so that the page and the edge can agree on every byte.
function leave() {
  if (pending) {
    setTimeout(leave, 0);
    return;
  }
  hls.destroy();
  report.done = true;
}

let start, switched = false;
function progress() {
  report.played = audio.currentTime - report.began;
  report.wall = (performance.now() - start) / 1000;
  // With nothing on the way, a change of variant cuts no transfer short.
  if (!switched && !pending && report.played >= seconds / 4) {
    switched = true;
    hls.loadLevel = (hls.loadLevel + 1) % hls.levels.length; // without emptying the buffer
  }
  if (report.played < seconds) return;
  audio.removeEventListener('timeupdate', progress);
  leave();
}

audio.addEventListener('playing', () => {
  report.began = audio.currentTime;
  start = performance.now();
  audio.addEventListener('waiting', stalled);
  audio.addEventListener('timeupdate', progress);
}, { once: true });
audio.addEventListener('error', () => report.errors.push(`element: ${audio.error?.message}`));

hls.on(Hls.Events.MANIFEST_PARSED, () => {
  audio.play().catch(err => report.errors.push(`play: ${err}`));
});
hls.loadSource(query.get('src'));
hls.attachMedia(audio);
