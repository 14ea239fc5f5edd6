'use strict';
const at = document.body.dataset;
const get = id => document.getElementById(id);

// The players. Pausing leaves a live stream and playing joins it again, where it is by then: naming the source anew closes
// the connection, so the edge stops counting a listener who does not listen. (load() would open the next one at once.)
function note(id, text) {
  const n = get(id + '-note');
  n.textContent = text;
  n.hidden = !text;
}

for (const id of ['hls', 'icy']) {
  const audio = get(id);
  const leave = () => { audio.src = audio.getAttribute('src'); };
  let asked = false; // to play, since the last error
  audio.addEventListener('play', () => { asked = true; });
  audio.addEventListener('playing', () => note(id, ''));
  audio.addEventListener('pause', () => { // comes before ended, too
    if (audio.ended) note(id, 'The stream has ended. Press play to join it again.');
    if (!audio.error) leave();
  });
  audio.addEventListener('error', () => {
    note(id, 'The stream could not be played. Press play to try again.');
    // A browser disables the controls after an error. Once for each time somebody pressed play, so that one which loads
    // unasked does not go round in circles.
    if (asked) leave();
    asked = false;
  });
}

if (!get('hls').canPlayType('application/vnd.apple.mpegurl')) {
  get('hls').hidden = true;
  note('hls', 'This browser has no native HLS. Use Safari, a current Chromium, or the Icecast mount beside this card.');
}

// The counts, asked for once a second while somebody looks.
const seconds = 60; // of bytes, in a row's trace
const rows = new Map();
const columns = ['Listeners', 'Sent', 'Listening time', 'Last minute'];

function size(bytes) {
  for (const [unit, of, digits] of [['GB', 1e9, 2], ['MB', 1e6, 1], ['kB', 1e3, 0]]) {
    if (bytes >= of) return (bytes / of).toFixed(digits) + '\u202f' + unit;
  }
  return bytes + '\u202fB';
}

function time(total) {
  const s = Math.floor(total), m = Math.floor(s / 60), h = Math.floor(m / 60);
  const two = n => String(n).padStart(2, '0');
  if (h) return `${h}\u202fh ${two(m % 60)}\u202fmin`;
  if (m) return `${m}\u202fmin ${two(s % 60)}\u202fs`;
  return `${s}\u202fs`;
}

const kinds = { hls: 'HLS', icy: 'Icecast' };

function newRow(c) {
  // Roles are said outright: on a narrow page the rows are laid out as grids, and a browser may forget they are a table.
  const tr = document.createElement('tr');
  tr.setAttribute('role', 'row');
  const head = document.createElement('th');
  head.scope = 'row';
  head.setAttribute('role', 'rowheader');
  const name = document.createElement('b'), kind = document.createElement('span');
  name.textContent = c.stream;
  kind.textContent = kinds[c.kind] || c.kind;
  head.append(name, kind);
  tr.append(head);
  const cells = columns.map(label => {
    const td = document.createElement('td');
    td.dataset.label = label;
    td.setAttribute('role', 'cell');
    tr.append(td);
    return td;
  });
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', `0 0 ${seconds * 3} 28`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.append(path);
  cells[3].className = 'trace';
  cells[3].append(svg);
  return { tr, cells, path, sent: null, trace: [] };
}

// bars draws what was sent in each second, newest at the right; heights are relative to the largest.
function bars(trace) {
  const top = Math.max(...trace, 1);
  return trace.map((n, i) => {
    if (n <= 0) return '';
    const h = Math.max(1.5, 26 * n / top), x = (seconds - trace.length + i) * 3;
    return `M${x} 28v-${h.toFixed(1)}h2v${h.toFixed(1)}z`;
  }).join('');
}

function set(cell, text) {
  if (cell.textContent !== text) cell.textContent = text;
}

function show(counts) {
  const seen = new Set();
  for (const c of counts) {
    const key = c.kind + ' ' + c.stream;
    let row = rows.get(key);
    if (!row) {
      row = newRow(c);
      rows.set(key, row);
      get('rows').append(row.tr);
    }
    seen.add(key);
    const bytes = Number(c.bytes) || 0;
    set(row.cells[0], String(Number(c.listeners) || 0));
    set(row.cells[1], size(bytes));
    set(row.cells[2], time(Number(c.seconds) || 0));
    row.trace.push(row.sent === null ? 0 : Math.max(0, bytes - row.sent));
    row.trace = row.trace.slice(-seconds);
    row.sent = bytes;
    row.path.setAttribute('d', bars(row.trace));
  }
  for (const [key, row] of rows) {
    if (seen.has(key)) continue;
    row.tr.remove();
    rows.delete(key);
  }
  get('table').hidden = rows.size === 0;
  get('empty').hidden = rows.size !== 0;
}

// state speaks (it is a live region) only when it changes.
function state(is, text) {
  const s = get('state');
  s.dataset.is = is;
  set(s, text);
  get('table').toggleAttribute('data-stale', is === 'lost');
}

async function counts() {
  const answer = await fetch(at.counts, { cache: 'no-store', signal: AbortSignal.timeout(3000) });
  if (!answer.ok) throw new Error('status ' + answer.status);
  const { listeners } = await answer.json();
  if (!Array.isArray(listeners)) throw new Error('no listeners in the answer');
  return listeners;
}

let failures = 0;
async function poll() {
  if (!document.hidden) {
    try {
      show(await counts());
      failures = 0;
      state('live', 'Live, every second');
    } catch {
      failures++;
      if (failures > 1) state('lost', 'The edge does not answer. Trying again…');
    }
  }
  setTimeout(poll, Math.min(1000 * Math.max(1, failures), 5000));
}
get('table').hidden = true;
poll();

// The lines to try, with the address this page came from.
const url = path => new URL(path, location.href).href;
const lines = [
  ['The playlist, with your session in every line', `curl -s '${url(at.hls)}'`],
  ['Three seconds of the mount, and its headers', `curl -s -m 3 -D - -o /dev/null -H 'Icy-MetaData: 1' '${url(at.icy)}'`],
  ['Play HLS', `ffplay -nodisp '${url(at.hls)}'`],
  ['Play the mount, titles and all', `mpv '${url(at.icy)}'`],
];
for (const [what, command] of lines) {
  const line = get('line').content.cloneNode(true);
  line.querySelector('dt').textContent = what;
  line.querySelector('code').textContent = command;
  const copy = line.querySelector('button');
  copy.setAttribute('aria-label', 'Copy: ' + what);
  copy.hidden = !navigator.clipboard;
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(command);
      copy.textContent = 'Copied';
    } catch {
      copy.textContent = 'Refused';
    }
    setTimeout(() => { copy.textContent = 'Copy'; }, 1500);
  });
  get('lines').append(line);
}
