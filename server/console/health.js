// SPDX-License-Identifier: Apache-2.0
// How well a stream comes in: a word and why, and the last ten minutes of bits, fragments, lag and gaps.

import {Bars} from './charts.js';
import {bits, clock, count, duration, make, moment, seconds} from './format.js';

const EVERY_MS = 4000;
const LEVELS = {good: 'Healthy', warn: 'Unsteady', bad: 'In trouble', off: 'Offline'};
const WHY = {
  camera: 'The server cannot reach the camera.',
  silent: 'It is connected, and sends nothing.',
  error: 'An upload was refused a moment ago.',
  keyless: 'Fragments do not begin with key frames: players show nothing at first.',
  gaps: 'Pictures are missing in between.',
  lag: 'Pictures come late.',
  clock: 'The camera’s clock is ahead of the server’s.',
  reconnects: 'The connection breaks again and again.',
};
const SHORT = {camera: 'camera away', silent: 'silent', error: 'error', keyless: 'no key frames', gaps: 'gaps', lag: 'late', clock: 'clock ahead', reconnects: 'breaks'};

// For a tile: a dot, and a word where something is wrong.
export function badge({level, why}) {
  const title = [LEVELS[level], ...why.map(word => WHY[word])].join('. ');
  return make('span', {class: `dot ${level}`, title, role: 'img', 'aria-label': title},
    ...(why.length ? [make('span', {}, SHORT[why[0]])] : []));
}

// In the year 1970 no clock told the time of day: such times count from a zero of the producer's own.
const ZERO_MS = 365 * 24 * 3600e3;
const fromZero = (atMs, lag) => atMs - lag < ZERO_MS;
const late = ms => Math.abs(ms) < 1000 ? `${Math.round(ms)} ms` : Math.abs(ms) < 600e3 ? seconds(ms) : duration(ms);

export class Health {
  // ask(path) asks the server; poll(fn) calls again and again and returns what stops it
  constructor(panel, {ask, poll, path}) {
    Object.assign(this, {panel, ask, path, askedMs: -Infinity});
    this.level = panel.querySelector('#health-level');
    this.why = panel.querySelector('#health-why');
    this.lines = panel.querySelector('#health-lines');
    const when = i => clock(this.now.fromMs + i * this.now.slotMs);
    const chart = (id, title, show, of, headline, more = {}) => ({of, bars: new Bars({
      id, title, show, when, unit: 'ten seconds', span: 'ten minutes', headline: () => headline(this.now), ...more})});
    this.charts = [
      chart('rate', 'Bitrate', bits, ([all, ms]) => ms ? all * 8000 / ms : undefined, now => bits(now.bitsPerSecond)),
      chart('length', 'Fragment', seconds, ([,, n, longest]) => n ? longest : undefined, now => now.fragments ? seconds(now.fragmentMs) : '–'),
      chart('lag', 'Lag', late, ([,, n,, lag], i) => n && !fromZero(this.now.fromMs + i * this.now.slotMs, lag) ? Math.max(0, lag) : undefined,
        now => !now.fragments ? '–' : fromZero(now.nowMs, now.lagMs) ? 'clock from zero' : late(now.lagMs)),
      chart('gaps', 'Gaps', duration, ([,,,,, gap]) => gap || undefined, now => now.gaps ? `${count(now.gaps)}: ${duration(now.gapMs)}` : 'none', {warn: true, none: 'none'}),
    ];
    panel.querySelector('#health-charts').replaceChildren(...this.charts.map(({bars}) => bars.root));
    this.stop = poll(() => this.refresh());
  }

  close() { this.stop(); }

  async refresh() {
    if (Date.now() - this.askedMs < EVERY_MS) return;
    this.askedMs = Date.now();
    this.show(await this.ask(this.path));
  }

  show(now) {
    this.now = now;
    this.panel.hidden = false;
    this.level.className = `dot ${now.level}`;
    this.level.replaceChildren(make('span', {}, LEVELS[now.level]));
    this.why.textContent = now.why.map(word => WHY[word]).join(' ');
    for (const {bars, of} of this.charts) bars.set(now.slots.map(of));
    this.charts[3].bars.root.classList.toggle('has', now.gaps > 0);
    const {uploads} = now;
    const line = (label, text) => [make('dt', {}, label), make('dd', {}, text)];
    this.lines.replaceChildren(...(!uploads ? line('Connection', 'none since the server’s start') : [
      ...(uploads.open ? line('Connected', `since ${moment(uploads.sinceMs)}`)
        : line('Connected', uploads.endedMs ? `until ${moment(uploads.endedMs)}` : 'no')),
      ...line('New connections', `${uploads.begun ? count(uploads.begun) : 'none'} in ten minutes`),
      ...line('Last error', uploads.errorMs
        ? `${uploads.errorId} ${uploads.errorCode}, ${duration(now.nowMs - uploads.errorMs)} ago: ${uploads.errorText}` : 'none'),
    ]));
  }
}
