// SPDX-License-Identifier: Apache-2.0
// The records of a shard, or of all that are open, as they come, newest on top; a click shows one
// whole, JSON indented.

import {bytes, clock, copy, count, make} from './format.js';

const ASK_MS = 1000;
const ASKED_MAX = 200; // records a second: of a faster shard the newest are shown
const SHOWN_MAX = 500;
const FOLLOWED_MAX = 16; // shards at a time
const ALL = 'all';
const PREVIEW_CHARACTERS = 200;
const KPL = [0xf3, 0x89, 0x9a, 0xc2]; // what a record made of many begins with
const utf8 = new TextDecoder('utf-8', {fatal: true});

const fromBase64 = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));

function hex(data) {
  const lines = [];
  for (let at = 0; at < data.length; at += 16) {
    const part = [...data.subarray(at, at + 16)];
    lines.push(`${at.toString(16).padStart(6, '0')}  ${part.map(b => b.toString(16).padStart(2, '0')).join(' ').padEnd(47)}  ` +
      part.map(b => b > 31 && b < 127 ? String.fromCharCode(b) : '.').join(''));
  }
  return lines.join('\n');
}

// What a record holds, as {kind, line, whole}.
export function reading(data, size) {
  const cut = data.length < size ? `\n… ${bytes(size - data.length)} more` : '';
  if (KPL.every((b, i) => data[i] === b)) return {kind: 'aggregated', line: `${bytes(size)}, made of many records by a KPL producer`, whole: hex(data) + cut};
  let text;
  try {
    text = utf8.decode(cut ? data.subarray(0, data.length - 4) : data);
  } catch { /* bytes, then */ }
  if (text === undefined || /[\0-\x08\x0e-\x1f]/.test(text)) return {kind: 'bytes', line: hex(data.subarray(0, 16)).slice(8, 55).trim(), whole: hex(data) + cut};
  const line = text.slice(0, PREVIEW_CHARACTERS).replace(/\s+/g, ' ');
  try {
    const value = JSON.parse(text);
    if (typeof value === 'object' && value) return {kind: 'JSON', line, whole: JSON.stringify(value, null, 2)};
  } catch { /* some text */ }
  return {kind: 'text', line, whole: text + cut};
}

// How far one shard has been followed.
class Feed {
  constructor(index) { Object.assign(this, {index, from: undefined, seen: -1, page: undefined}); }

  // The records that are new.
  take(page) {
    const fresh = page.records.filter(record => record.index > this.seen);
    this.page = page;
    this.from = page.atEnd || page.records.length < ASKED_MAX ? page.from : undefined; // or the newest again
    this.seen = Math.max(this.seen, page.from - 1);
    return fresh.map(record => ({...record, shard: this.index}));
  }

  get ended() { return this.page?.closed && this.page.atEnd; }
}

export class Tail {
  constructor(panel, {ask, path}) {
    Object.assign(this, {panel, ask, path, chosen: undefined, feeds: [], paused: false});
    this.find = selector => panel.querySelector(selector);
    this.list = this.find('#tail-records');
    this.select = this.find('#tail-shard');
    this.select.onchange = () => this.choose(this.select.value === ALL ? ALL : +this.select.value);
    this.find('#tail-pause').onclick = () => this.pause(!this.paused);
    this.find('#tail-filter').oninput = () => { for (const row of this.list.children) this.match(row); };
    this.list.replaceChildren(); // another stream's
    this.turn();
  }

  // Which shards there are to choose from; unless they are too many, all open ones are followed unasked.
  shards(list, canRead) {
    this.panel.hidden = !canRead;
    const wanted = list.map(s => `${s.index}${s.closedMs ? 'c' : ''}`).join();
    if (wanted === this.offered) return;
    this.offered = wanted;
    this.ids = new Map(list.map(s => [s.index, s.id]));
    this.open = list.filter(s => !s.closedMs).map(s => s.index);
    const few = this.open.length > 0 && this.open.length <= FOLLOWED_MAX;
    this.select.replaceChildren(...few ? [make('option', {value: ALL}, 'all open shards')] : [],
      ...list.map(s => make('option', {value: s.index}, `${s.id}${s.closedMs ? ' (closed)' : ''}`)));
    if (this.chosen === ALL && few) this.follow(this.open);
    if (list.length && (this.chosen === undefined || (this.chosen === ALL && !few))) this.choose(few ? ALL : this.open[0] ?? list[0].index);
    this.select.value = this.chosen;
  }

  choose(chosen) {
    if (this.chosen !== chosen) {
      this.chosen = chosen;
      this.feeds = [];
      this.list.replaceChildren();
      this.follow(chosen === ALL ? this.open : [chosen]);
    }
    this.select.value = chosen;
    this.pause(false);
    clearTimeout(this.timer);
    this.turn();
  }

  // These too; what was followed before goes on to its end.
  follow(indexes) {
    const had = new Set(this.feeds.map(feed => feed.index));
    this.feeds = [...this.feeds, ...indexes.filter(index => !had.has(index)).map(index => new Feed(index))];
  }

  pause(on) {
    this.paused = on;
    this.find('#tail-pause').textContent = on ? 'Go on' : 'Pause';
    this.find('#tail-pause').setAttribute('aria-pressed', String(on));
    this.say();
  }

  async turn() {
    const mine = this.running = {}, {feeds} = this;
    if (!document.hidden && !this.paused && feeds.length) {
      try {
        const pages = await Promise.all(feeds.map(({index, from}) =>
          this.ask(`${this.path}?shard=${index}&limit=${ASKED_MAX}${from === undefined ? '' : `&from=${from}`}`)));
        if (this.running !== mine) return; // another shard was chosen meanwhile
        this.show(pages.flatMap((page, i) => feeds[i].take(page)));
      } catch (error) { this.error = error.message; this.say(); }
    }
    if (this.running === mine && !this.closed) this.timer = setTimeout(() => this.turn(), ASK_MS);
  }

  show(records) {
    this.error = '';
    const newest = records.sort((a, b) => b.arrivalMs - a.arrivalMs || b.index - a.index).slice(0, SHOWN_MAX);
    this.list.prepend(...newest.map(record => this.row(record)));
    while (this.list.children.length > SHOWN_MAX) this.list.lastChild.remove();
    if (this.chosen === ALL) this.feeds = this.feeds.filter(feed => !feed.ended);
    this.say();
  }

  say() {
    const heard = this.feeds.filter(feed => feed.page);
    this.find('#tail-state').textContent = this.error ? this.error : this.paused ? 'Paused' : !heard.length ? ''
      : this.feeds.every(feed => feed.ended) ? 'The shard is closed; this is its end.'
        : heard.some(feed => !feed.page.atEnd) ? 'Live; more comes than is shown'
          : this.list.children.length ? 'Live' : 'Live; nothing has come yet';
  }

  row(record) {
    const {kind, line, whole} = reading(fromBase64(record.data), record.bytes);
    const row = make('details', {'data-shard': record.shard, 'data-text': `${record.key || ''} ${line}`.toLowerCase()}, make('summary', {},
      make('time', {datetime: new Date(record.arrivalMs).toISOString()}, `${clock(record.arrivalMs)}.${String(record.arrivalMs % 1000).padStart(3, '0')}`),
      make('b', {title: 'Partition key'}, record.key || '–'), make('code', {}, line), make('span', {class: 'dim'}, bytes(record.bytes))));
    row.addEventListener('toggle', () => {
      if (!row.open) return;
      this.pause(true); // what is being read does not move
      if (row.querySelector('pre')) return;
      const button = make('button', {type: 'button', class: 'copy', onclick: async () => { button.textContent = await copy(whole) ? 'Copied' : 'Select and copy by hand'; }}, 'Copy');
      row.append(make('div', {class: 'whole'}, make('p', {class: 'dim small'}, `${kind}, ${count(record.bytes)} bytes · ${this.ids.get(record.shard)} · number ${record.number}`), button,
        make('pre', {tabindex: '0'}, whole)));
    });
    this.match(row);
    return row;
  }

  match(row) {
    const wanted = this.find('#tail-filter').value.trim().toLowerCase();
    row.hidden = !row.dataset.text.includes(wanted);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.running = null;
  }
}
