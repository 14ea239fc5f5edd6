'use strict';
// Keeps in `report` what the player asks for with what it gets, and what it complains of, whichever player it is.

const report = {
  requests: [], // {url, range, status, bytes, sum, type}, in the order of asking
  errors: [], // the player's events, the element's, what was thrown, and what was said to the console
  stages: [], // {name, time, buffered}: where playing was at each stage of it
  facts: {}, // what the player made of the playlists
};

let pending = 0; // requests, their digests included
let busyUntil = 0; // performance.now() of the last change of that

// begins notes a request; the function that it returns takes the answer.
function begins(url, range) {
  const r = { url: String(url), range: range ?? '', status: 0, bytes: 0, sum: '', type: '' };
  report.requests.push(r);
  pending++;
  let open = true;
  return async (url, status, type, body) => {
    if (!open) return;
    open = false;
    try {
      if (url) r.url = url;
      r.status = status;
      r.type = type ?? '';
      r.bytes = body.byteLength;
      const sum = new Uint8Array(await crypto.subtle.digest('SHA-1', body));
      r.sum = [...sum].map(b => b.toString(16).padStart(2, '0')).join('');
    } finally {
      pending--;
      busyUntil = performance.now();
    }
  };
}

function bytesOf(body) {
  if (body instanceof ArrayBuffer) return body.slice(0);
  return new TextEncoder().encode(typeof body === 'string' ? body : '').buffer;
}

const RealXHR = XMLHttpRequest;
XMLHttpRequest = class extends RealXHR {
  #url;
  #range;
  constructor() {
    super();
    // Before any listener of the player's, which may hand the body over to a worker.
    this.addEventListener('readystatechange', () => {
      if (this.readyState === RealXHR.DONE && this.status) this.#done(bytesOf(this.response));
    });
    this.addEventListener('loadend', () => this.#done(new ArrayBuffer(0))); // it failed or was given up
  }
  #ended = () => {};
  #done(body) {
    this.#ended(this.responseURL, this.status, this.getResponseHeader('content-type'), body);
  }
  open(method, url, ...rest) {
    this.#url = new URL(url, location.href).href;
    this.#range = '';
    return super.open(method, url, ...rest);
  }
  setRequestHeader(name, value) {
    if (name.toLowerCase() === 'range') this.#range = value;
    return super.setRequestHeader(name, value);
  }
  send(...args) {
    this.#ended = begins(this.#url, this.#range);
    return super.send(...args);
  }
};

const realFetch = fetch;
fetch = async function (input, init) {
  const request = new Request(input, init);
  const ended = begins(request.url, request.headers.get('range'));
  try {
    const response = await realFetch.call(window, input, init);
    const copy = response.clone();
    copy.arrayBuffer().then(
      body => ended(response.url, response.status, response.headers.get('content-type'), body),
      () => ended(response.url, 0, '', new ArrayBuffer(0)));
    return response;
  } catch (err) {
    ended('', 0, '', new ArrayBuffer(0));
    throw err;
  }
};

const complain = text => report.errors.push(text);
addEventListener('error', e => complain(`thrown: ${e.message}`));
addEventListener('unhandledrejection', e => complain(`rejected: ${e.reason}`));
for (const level of ['warn', 'error']) {
  const real = console[level];
  console[level] = (...args) => {
    complain(`console.${level}: ${args.map(String).join(' ')}`);
    real.apply(console, args);
  };
}
