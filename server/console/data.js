// SPDX-License-Identifier: Apache-2.0
// Data streams: the list with what comes in, and one stream: which shard owns which hash keys, the
// shards one by one, and a live tail.

import {bytes, count, duration, hours, make, moment, seconds} from './format.js';
import {Charts} from './charts.js';
import {Tail} from './tail.js';

const RATE_MS = 10e3; // what "per second" looks back over
const $ = selector => document.querySelector(selector);

export const dataPath = name => `/kinema/v1/data-streams/${encodeURIComponent(name)}`;

// What grows, seen at each poll: how much of it a second.
class Rates {
  constructor() { this.seen = new Map(); }

  add(key, nowMs, ...values) {
    const list = this.seen.get(key) || [];
    if (list.length && values.some((v, i) => v < list.at(-1).values[i])) list.length = 0; // made anew
    list.push({nowMs, values});
    while (list.length > 2 && nowMs - list[1].nowMs >= RATE_MS) list.shift();
    this.seen.set(key, list);
    const {nowMs: fromMs, values: from} = list[0];
    return list.length < 2 ? undefined : values.map((v, i) => (v - from[i]) * 1000 / (nowMs - fromMs));
  }
}

const perSecond = n => n === undefined ? '–' : `${n > 0 && n < 10 ? n.toFixed(1) : count(Math.round(n))}/s`;
const bytesPerSecond = n => n === undefined ? '–' : `${bytes(n)}/s`;
// How far behind the newest record the last reader was, and when that was.
const age = (shard, nowMs) => !shard.readMs ? 'not read yet' : `${seconds(shard.behindMs)}, ${ago(shard.readMs, nowMs)}`;
const ago = (ms, nowMs) => ms ? `${duration(nowMs - ms)} ago` : 'never';

// --- the list -----------------------------------------------------------------------------------
export class DataList {
  constructor({ask, poll, recipes}) {
    Object.assign(this, {ask, recipes});
    this.rates = new Rates();
    this.rows = new Map();
    this.body = $('#data-rows');
    $('#data-search').oninput = () => this.filter();
    this.stop = poll(() => this.refresh());
  }

  async refresh() {
    const streams = [];
    let after = '', nowMs;
    do {
      const page = await this.ask(`/kinema/v1/data-streams${after ? `?after=${encodeURIComponent(after)}` : ''}`);
      streams.push(...page.streams);
      $('#data-add').hidden = !page.canCreate;
      ({nowMs, next: after} = page);
    } while (after);
    const names = new Set(streams.map(s => s.name));
    for (const [name, row] of this.rows) if (!names.has(name)) { row.remove(); this.rows.delete(name); }
    streams.forEach((stream, i) => {
      let row = this.rows.get(stream.name);
      if (!row) this.rows.set(stream.name, row = make('tr', {'data-name': stream.name}));
      this.fill(row, stream, nowMs);
      if (this.body.children[i] !== row) this.body.insertBefore(row, this.body.children[i] || null);
    });
    $('#data-count').textContent = streams.length || '';
    $('#data-table').hidden = !streams.length;
    $('#data-search').hidden = streams.length < 2;
    const empty = $('#data-empty');
    empty.hidden = streams.length > 0;
    if (!streams.length && !empty.firstChild) empty.append(this.firstSteps());
    this.filter();
  }

  fill(row, stream, nowMs) {
    const rate = this.rates.add(stream.name, nowMs, stream.recordsIn, stream.bytesIn);
    const cell = (label, text) => make('td', {'data-label': label}, text);
    if (!row.firstChild) row.append(make('th', {scope: 'row'}, make('a', {href: `#/data/${stream.name}`}, stream.name)));
    row.replaceChildren(row.firstChild,
      cell('Mode', stream.status === 'DELETING' ? 'being deleted' : stream.mode === 'ON_DEMAND' ? 'on demand' : 'provisioned'),
      cell('Shards', count(stream.openShards)), cell('Records in', perSecond(rate?.[0])), cell('Bytes in', bytesPerSecond(rate?.[1])),
      cell('Kept', `${count(stream.records)} · ${bytes(stream.bytes)}`), cell('Newest', ago(stream.newestMs, nowMs)));
  }

  filter() {
    const wanted = $('#data-search').value.trim().toLowerCase();
    for (const [name, row] of this.rows) row.hidden = !name.toLowerCase().includes(wanted);
  }

  firstSteps() {
    return make('section', {class: 'panel start'}, make('h1', {}, 'No data streams yet'),
      make('p', {}, 'Any Kinesis Data Streams client works against this server. Streams that your access key may not see are not shown. Make one above or by a command, and put a record:'),
      ...this.recipes('my-stream'));
  }

  close() { this.stop(); }
}

// --- one stream ---------------------------------------------------------------------------------
export class DataView {
  constructor(name, {ask, poll, recipes, settings, absent}) {
    Object.assign(this, {name, ask, recipes, settings, absent});
    this.rates = new Rates();
    this.tail = new Tail($('#tail'), {ask, path: `${dataPath(name)}/records`});
    this.charts = new Charts($('#data-charts'), {ask, path: `${dataPath(name)}/metrics`});
    $('#data-closed').onchange = () => this.shards();
    this.stop = poll(() => this.refresh());
  }

  async refresh() {
    let info;
    const list = [];
    try {
      do {
        info = await this.ask(`${dataPath(this.name)}${info?.next ? `?from=${info.next}` : ''}`);
        list.push(...info.list);
      } while (info.next);
    } catch (error) {
      if (error.status === 404) { this.close(); this.absent(); }
      throw error;
    }
    this.info = info;
    for (const shard of list) shard.rate = this.rates.add(shard.index, info.nowMs, shard.recordsIn, shard.bytesIn);
    this.list = list;
    this.facts();
    this.settings.show(info);
    this.keys();
    this.shards();
    this.tail.shards(list, info.canRead);
    if (!$('#data-connect').firstChild) $('#data-connect').append(...this.recipes(this.name));
    await this.charts.refresh(info.nowMs);
  }

  facts() {
    const {info} = this;
    const rate = this.rates.add('all', info.nowMs, info.recordsIn, info.bytesIn);
    const rows = [
      ['Records in', perSecond(rate?.[0])], ['Bytes in', bytesPerSecond(rate?.[1])],
      ['Open shards', count(info.openShards)], ['Mode', info.mode === 'ON_DEMAND' ? 'on demand' : 'provisioned'],
      ['Kept', `${count(info.records)} · ${bytes(info.bytes)}`], ['Kept for', hours(info.retentionHours)],
      ['Newest record', ago(info.newestMs, info.nowMs)], ['Iterator age', this.oldestReader()],
    ];
    $('#data-facts').replaceChildren(...rows.map(([label, value]) => make('div', {}, make('dt', {}, label), make('dd', {}, value))));
  }

  // The reader that is farthest behind, over all shards that are read.
  oldestReader() {
    const read = this.list.filter(s => s.readMs);
    return read.length ? seconds(Math.max(...read.map(s => s.behindMs))) : 'not read yet';
  }

  // The open shards on the line of hash keys; the fuller the colour, the more comes in.
  keys() {
    const open = this.list.filter(s => !s.closedMs).sort((a, b) => a.from - b.from);
    const most = Math.max(1, ...open.map(s => s.rate?.[1] || 0));
    $('#data-keys').replaceChildren(...open.map(shard => {
      const part = make('button', {
        type: 'button', title: `${shard.id}: ${((shard.to - shard.from) * 100).toFixed(2)} % of the keys, ${bytesPerSecond(shard.rate?.[1])}`,
        'aria-label': `Follow ${shard.id}`, onclick: () => this.follow(shard.index),
      }, make('span', {}, open.length <= 24 ? `${shard.index}` : ''));
      part.style.flexGrow = Math.max(shard.to - shard.from, 0.0005);
      part.style.setProperty('--load', (0.12 + 0.88 * (shard.rate?.[1] || 0) / most).toFixed(3));
      return part;
    }));
  }

  shards() {
    const all = this.list || [], closed = $('#data-closed').checked;
    const shown = all.filter(s => closed || !s.closedMs);
    $('#data-closed-box').hidden = !all.some(s => s.closedMs);
    const cell = (label, ...content) => make('td', {'data-label': label}, ...content);
    $('#data-shards').replaceChildren(...shown.map(shard => make('tr', {class: shard.closedMs ? 'closed' : ''},
      make('th', {scope: 'row'}, make('button', {type: 'button', class: 'quiet', onclick: () => this.follow(shard.index)}, shard.id)),
      cell('State', shard.closedMs ? `closed ${ago(shard.closedMs, this.info.nowMs)}` : 'open'),
      cell('Parents', shard.parents.join(' + ') || '–'),
      cell('Keys', `${((shard.to - shard.from) * 100).toFixed(2)} %`),
      cell('Records in', perSecond(shard.rate?.[0])), cell('Bytes in', bytesPerSecond(shard.rate?.[1])),
      cell('Kept', `${count(shard.records)} · ${bytes(shard.bytes)}`), cell('Newest', ago(shard.newestMs, this.info.nowMs)),
      cell('Iterator age', age(shard, this.info.nowMs)))));
  }

  follow(index) {
    this.tail.choose(index);
    $('#tail').scrollIntoView({block: 'nearest', behavior: 'smooth'});
  }

  close() {
    this.stop();
    this.tail.close();
  }
}
