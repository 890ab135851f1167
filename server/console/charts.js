// SPDX-License-Identifier: Apache-2.0
// Small charts of bars, one a while, and those of a data stream's last hour: a bar for each minute.

import {bytes, clock, count, make, seconds} from './format.js';

const MINUTE_MS = 60e3, BARS = 60, HEIGHT = 40;
const EVERY_MS = 10e3; // the bars are minutes: there is no hurry

// A figure with a title, a value and BARS bars. show(value) says a value; when(i) says when bar i was;
// headline() is the value where none is pointed at.
export class Bars {
  constructor(settings) {
    Object.assign(this, {none: '–', unit: 'minute', span: 'an hour'}, settings);
    this.value = make('span', {class: 'chart-value'});
    this.svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const shape = {viewBox: `0 0 ${BARS} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img'};
    for (const [name, value] of Object.entries(shape)) this.svg.setAttribute(name, value);
    this.root = make('figure', {class: this.warn ? 'chart warn' : 'chart', id: `chart-${this.id}`},
      make('figcaption', {}, this.title, this.value), this.svg);
    const at = event => Math.floor(event.offsetX / this.svg.clientWidth * BARS);
    this.svg.addEventListener('pointermove', event => this.point(at(event)));
    this.svg.addEventListener('pointerdown', event => this.point(at(event)));
    this.svg.addEventListener('pointerleave', () => this.point(undefined));
  }

  set(values) {
    this.values = values;
    const top = Math.max(...values.map(v => v || 0));
    this.svg.replaceChildren(...values.map((value, i) => {
      const bar = document.createElementNS(this.svg.namespaceURI, 'rect');
      const height = value ? Math.max(1.5, value / top * HEIGHT) : value === 0 ? 0.6 : 0;
      const place = {x: i + 0.1, width: 0.8, y: HEIGHT - height, height};
      for (const [name, number] of Object.entries(place)) bar.setAttribute(name, number.toFixed(2));
      return bar;
    }));
    this.svg.setAttribute('aria-label',
      `${this.title}, one bar each ${this.unit} for ${this.span}; the most in one: ${this.show(top)}`);
    this.write();
  }

  point(bar) {
    this.pointed = bar >= 0 && bar < BARS ? bar : undefined;
    this.write();
  }

  say(value) { return value === undefined ? this.none : this.show(value); }

  // What is pointed at, or the headline.
  write() {
    if (!this.values) return;
    [...this.svg.children].forEach((bar, i) => bar.classList.toggle('at', i === this.pointed));
    this.value.textContent = this.pointed === undefined ? this.headline()
      : `${this.when(this.pointed)} · ${this.say(this.values[this.pointed])}`;
  }
}

// --- a data stream ------------------------------------------------------------------------------
const add = (a, b) => a + b, most = (a, b) => Math.max(a, b);
const CHARTS = [
  {id: 'bytes-in', title: 'Bytes in', of: ['IncomingBytes'], show: bytes},
  {id: 'records-in', title: 'Records in', of: ['IncomingRecords'], show: count},
  {id: 'bytes-read', title: 'Bytes read', of: ['GetRecords.Bytes', 'SubscribeToShardEvent.Bytes'], show: bytes},
  {id: 'age', title: 'Iterator age', of: ['GetRecords.IteratorAgeMilliseconds', 'SubscribeToShardEvent.MillisBehindLatest'],
    statistic: 'Maximum', fold: most, show: seconds, none: 'not read'},
  {id: 'throttled', title: 'Throttled', of: ['WriteProvisionedThroughputExceeded', 'ReadProvisionedThroughputExceeded'],
    show: count, warn: true},
];

class Chart extends Bars {
  constructor(settings) { super({statistic: 'Sum', fold: add, ...settings}); }

  async refresh(ask, path, fromMs) {
    const answers = await Promise.all(this.of.map(name =>
      ask(`${path}?MetricName=${name}&Statistics=${this.statistic}&StartTime=${fromMs}`)));
    const minutes = Array(BARS).fill(undefined);
    for (const point of answers.flatMap(a => a.Datapoints)) {
      const at = (point.Timestamp - fromMs) / MINUTE_MS, value = point[this.statistic];
      if (at < BARS) minutes[at] = minutes[at] === undefined ? value : this.fold(minutes[at], value);
    }
    this.fromMs = fromMs;
    this.set(minutes);
  }

  when(minute) { return clock(this.fromMs + minute * MINUTE_MS).slice(0, 5); }

  // The newest minute that is over, or the hour's sum of what should not be.
  headline() {
    if (this.warn) {
      const all = this.values.reduce((a, b) => a + (b || 0), 0);
      this.root.classList.toggle('has', all > 0);
      return this.show(all);
    }
    const [over, now] = this.values.slice(-2), rate = over ?? now;
    if (this.fold !== add) return this.say(now ?? over);
    return rate === undefined ? this.none : `${this.say(rate)}/min`;
  }
}

export class Charts {
  constructor(root, {ask, path}) {
    Object.assign(this, {ask, path, askedMs: -Infinity});
    this.charts = CHARTS.map(settings => new Chart(settings));
    root.replaceChildren(...this.charts.map(chart => chart.root));
  }

  async refresh(nowMs) {
    if (nowMs - this.askedMs < EVERY_MS) return;
    this.askedMs = nowMs;
    const fromMs = (Math.floor(nowMs / MINUTE_MS) - BARS + 1) * MINUTE_MS;
    await Promise.all(this.charts.map(chart => chart.refresh(this.ask, this.path, fromMs)));
  }
}
