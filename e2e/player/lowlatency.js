'use strict';
// Plays ?src= with hls.js in low-latency mode for ?seconds= of media. After a third of them it goes from the lowest variant to the
// next. `report` is what the test asks for.

const query = new URLSearchParams(location.search);
const seconds = Number(query.get('seconds'));
const video = document.getElementById('video');

const report = {
  requests: [], // {url, range, status, bytes, aborted, sent, took}: in order; bytes of the body, as the browser got them; times in ms
  errors: [], // hls.js ERROR events and the element's own
  waits: [], // {media, at}: seconds of media played, and ms, at each `waiting` with nothing in hand
  starved: [], // the same, where this page itself had not run for a while: this machine's doing, not the stream's
  levels: [], // the variants that went into the buffer, in order
  latencies: [], // {hls, behind}: seconds, by hls.js and by the date of what is shown
  slept: 0, // ms: the longest that the page has not run since it plays
  change: null, // of variants: what was known, and how many requests had been sent
  uris: [], // of the variants, as the master has them
  began: null, // currentTime when playing began
  played: 0, // seconds of media since
  wall: 0, // seconds of clock since
  done: false,
};

let media = 0; // requests for media on the way
const { open, send, setRequestHeader } = XMLHttpRequest.prototype;
XMLHttpRequest.prototype.open = function (method, url, ...rest) {
  this.entry = { url: new URL(url, location.href).href, range: '', status: 0, bytes: 0, aborted: false, sent: 0, took: 0 };
  return open.call(this, method, url, ...rest);
};
XMLHttpRequest.prototype.setRequestHeader = function (name, value) {
  if (name.toLowerCase() === 'range') this.entry.range = value;
  return setRequestHeader.call(this, name, value);
};
XMLHttpRequest.prototype.send = function (...args) {
  const { entry } = this;
  const counts = !new URL(entry.url).pathname.endsWith('.m3u8');
  if (counts) media++;
  report.requests.push(entry);
  entry.sent = Math.round(performance.now());
  this.addEventListener('abort', () => { entry.aborted = true; });
  this.addEventListener('loadend', e => {
    if (counts) media--;
    Object.assign(entry, { status: this.status, bytes: e.loaded, took: Math.round(performance.now()) - entry.sent });
  });
  return send.apply(this, args);
};

const hls = new Hls({
  lowLatencyMode: true,
  startLevel: 0,
  maxLiveSyncPlaybackRate: 1.5, // so that where it starts does not decide how far behind it stays
});

let changed = null; // seconds of media played when the variant was changed

// A page that did not run for so long has not asked for its next part either.
let start; // of playing
const breath = 25;
const asleep = 150;
let lastBreath = performance.now();
let lastSleep = -Infinity;
setInterval(() => {
  const now = performance.now();
  if (now - lastBreath > asleep) lastSleep = now;
  if (start) report.slept = Math.max(report.slept, Math.round(now - lastBreath));
  lastBreath = now;
}, breath);

function stalled() {
  const now = performance.now();
  const slept = now - lastBreath > asleep || now - lastSleep < 3000;
  (slept ? report.starved : report.waits).push({ media: video.currentTime - report.began, at: Math.round(now) });
}

hls.on(Hls.Events.ERROR, (_, e) => {
  if (e.details === Hls.ErrorDetails.BUFFER_SEEK_OVER_HOLE && !start) return; // from 0 to where the live window begins
  if (e.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) stalled();
  else report.errors.push(`${e.type} ${e.details} fatal=${e.fatal} ${e.reason || e.error?.message || ''} ${e.url || e.frag?.url || ''}`);
});
hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => {
  if (frag.type === 'main' && frag.level !== report.levels.at(-1)) report.levels.push(frag.level);
});

// change goes to the next variant. With no media on the way it cuts no transfer short. It waits for the first part of a segment: where
// hls.js 1.7.4 has no more of its first segment of a variant than the end, it loads nothing after that until it stalls, with an edge
// or without.
function change() {
  const { details } = hls.levels[hls.loadLevel];
  if (media || details.lastPartIndex !== 0) return;
  report.change = {
    requests: report.requests.length,
    playlist: details.url,
    reports: (details.renditionReports ?? []).map(r => ({ uri: r.URI, msn: Number(r['LAST-MSN']), part: Number(r['LAST-PART']) })),
  };
  hls.loadLevel = hls.loadLevel + 1; // without emptying the buffer
}

// leave goes when no media is on the way, so that the page and the edge can agree on every byte.
function leave() {
  if (media) {
    setTimeout(leave, 0);
    return;
  }
  hls.destroy();
  report.done = true;
}

function progress() {
  report.played = video.currentTime - report.began;
  report.wall = (performance.now() - start) / 1000;
  report.latencies.push({ hls: hls.latency, behind: (Date.now() - hls.playingDate) / 1000 });
  if (!report.change && report.played >= seconds / 3) change();
  if (report.change && changed === null) changed = report.played;
  // On a busy machine it may be some time until there is a moment to change at.
  if (report.played < (changed === null ? 3 * seconds : Math.max(seconds, changed + seconds / 3))) return;
  video.removeEventListener('timeupdate', progress);
  leave();
}

video.addEventListener('playing', () => {
  report.began = video.currentTime;
  start = performance.now();
  video.addEventListener('waiting', stalled);
  video.addEventListener('timeupdate', progress);
}, { once: true });
video.addEventListener('error', () => report.errors.push(`element: ${video.error?.message}`));

hls.on(Hls.Events.MANIFEST_PARSED, () => {
  hls.loadLevel = 0; // and stay there
  report.uris = hls.levels.map(l => l.uri);
  video.play().catch(err => report.errors.push(`play: ${err}`));
});
hls.loadSource(query.get('src'));
hls.attachMedia(video);
