// SPDX-License-Identifier: Apache-2.0
// The last hour of a data stream: a small chart for each figure, a bar for each minute.

import {bytes, clock, count, make, seconds} from './format.js';

const MINUTE_MS = 60e3, MINUTES = 60, HEIGHT = 40;
const EVERY_MS = 10e3; // the bars are minutes: there is no hurry

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

class Chart {
  constructor(settings) {
    Object.assign(this, {statistic: 'Sum', fold: add, none: '–'}, settings);
    this.value = make('span', {class: 'chart-value'});
    this.svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const shape = {viewBox: `0 0 ${MINUTES} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img'};
    for (const [name, value] of Object.entries(shape)) this.svg.setAttribute(name, value);
    this.root = make('figure', {class: this.warn ? 'chart warn' : 'chart', id: `chart-${this.id}`},
      make('figcaption', {}, this.title, this.value), this.svg);
    this.svg.addEventListener('pointermove', e => this.point(Math.floor(e.offsetX / this.svg.clientWidth * MINUTES)));
    this.svg.addEventListener('pointerdown', e => this.point(Math.floor(e.offsetX / this.svg.clientWidth * MINUTES)));
    this.svg.addEventListener('pointerleave', () => this.point(undefined));
  }

  async refresh(ask, path, fromMs) {
    const answers = await Promise.all(this.of.map(name =>
      ask(`${path}?MetricName=${name}&Statistics=${this.statistic}&StartTime=${fromMs}`)));
    const minutes = Array(MINUTES).fill(undefined);
    for (const point of answers.flatMap(a => a.Datapoints)) {
      const at = (point.Timestamp - fromMs) / MINUTE_MS, value = point[this.statistic];
      if (at < MINUTES) minutes[at] = minutes[at] === undefined ? value : this.fold(minutes[at], value);
    }
    Object.assign(this, {fromMs, minutes});
    this.draw();
  }

  draw() {
    const top = Math.max(...this.minutes.map(v => v || 0));
    this.svg.replaceChildren(...this.minutes.map((value, i) => {
      const bar = document.createElementNS(this.svg.namespaceURI, 'rect');
      const height = value ? Math.max(1.5, value / top * HEIGHT) : value === 0 ? 0.6 : 0;
      const place = {x: i + 0.1, width: 0.8, y: HEIGHT - height, height};
      for (const [name, number] of Object.entries(place)) bar.setAttribute(name, number.toFixed(2));
      return bar;
    }));
    this.svg.setAttribute('aria-label', `${this.title}, minute by minute for an hour; the most in one: ${this.show(top)}`);
    this.write();
  }

  point(minute) {
    this.pointed = minute >= 0 && minute < MINUTES ? minute : undefined;
    this.write();
  }

  // What is pointed at; else the newest minute that is over, or the hour's sum of what should not be.
  write() {
    if (!this.minutes) return;
    const say = value => value === undefined ? this.none : this.show(value);
    [...this.svg.children].forEach((bar, i) => bar.classList.toggle('at', i === this.pointed));
    if (this.pointed !== undefined) {
      this.value.textContent = `${clock(this.fromMs + this.pointed * MINUTE_MS).slice(0, 5)} · ${say(this.minutes[this.pointed])}`;
    } else if (this.warn) {
      const all = this.minutes.reduce((a, b) => a + (b || 0), 0);
      this.value.textContent = this.show(all);
      this.root.classList.toggle('has', all > 0);
    } else {
      const [over, now] = this.minutes.slice(-2), rate = over ?? now;
      this.value.textContent = this.fold !== add ? say(now ?? over) : rate === undefined ? this.none : `${say(rate)}/min`;
    }
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
    const fromMs = (Math.floor(nowMs / MINUTE_MS) - MINUTES + 1) * MINUTE_MS;
    await Promise.all(this.charts.map(chart => chart.refresh(this.ask, this.path, fromMs)));
  }
}
