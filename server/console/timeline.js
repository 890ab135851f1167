// SPDX-License-Identifier: Apache-2.0
// The bar of what is recorded: a window of time [from, to] drawn on a canvas. Click or tap jumps,
// dragging moves the window, wheel and pinch zoom it, the keyboard does all of it too.

import {clock, day, moment} from './format.js';

const SPAN_MIN = 60e3;
const SPAN_MAX = 31 * 86400e3;
const STEPS = [10e3, 30e3, 60e3, 300e3, 600e3, 1800e3, 3600e3, 7200e3, 21600e3, 43200e3, 86400e3, 604800e3];
const DRAG_PIXELS = 5;

export class Timeline {
  // fetchCoverage(from, to, gap) → {spans: [[from, to, fragments, bytes], …]}
  // onJump(ms), onLive(), onNudge(ms), onRange()
  constructor(canvas, {fetchCoverage, onJump, onLive, onNudge, onRange}) {
    Object.assign(this, {canvas, fetchCoverage, onJump, onLive, onNudge, onRange});
    this.spans = [];
    this.holds = []; // [{name, fromMs, toMs}, …]; toMs absent: no end
    this.span = 3600e3;
    this.end = null; // null: follows the present
    this.playhead = 0;
    this.offset = 0; // server's clock − ours
    this.pointers = new Map();
    this.abort = new AbortController();
    this.listen();
    this.light = window.matchMedia('(prefers-color-scheme: light)');
    this.light.addEventListener('change', () => { this.colours = null; this.draw(); }, {signal: this.abort.signal});
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(canvas);
    this.load();
  }

  now() { return Date.now() + this.offset; }
  to() { return this.end ?? this.now() + this.span * 0.03; }
  from() { return this.to() - this.span; }

  setSpan(span, around = this.playhead || this.to()) {
    span = Math.min(SPAN_MAX, Math.max(SPAN_MIN, span));
    const share = Math.min(1, Math.max(0, (around - this.from()) / this.span));
    const following = this.end === null && share > 0.9;
    this.span = span;
    if (!following) this.setEnd(around + span * (1 - share));
    this.changed();
  }

  setEnd(end) {
    this.end = end >= this.now() ? null : end;
  }

  move(by) {
    this.setEnd(this.to() + by);
    this.changed();
  }

  show(ms) {
    if (ms < this.from() || ms > this.to()) this.setEnd(ms + this.span / 2);
    this.changed();
  }

  changed() {
    this.draw();
    this.onRange();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), 120);
  }

  // Asks for three windows' worth, so that dragging shows something at once.
  async load() {
    const from = this.from() - this.span, to = this.to() + this.span;
    const ticket = this.ticket = {};
    try {
      const got = await this.fetchCoverage(Math.max(0, Math.floor(from)), Math.ceil(to),
        Math.max(3000, Math.round(this.span / 800)));
      if (ticket !== this.ticket) return;
      this.spans = got.spans;
      this.draw();
    } catch { /* the next load tries again */ }
  }

  setPlayhead(ms) {
    this.playhead = ms;
    if (ms && this.end !== null && ms > this.to() && ms < this.to() + this.span / 2) this.setEnd(ms + this.span * 0.8);
    this.draw();
    this.canvas.setAttribute('aria-valuetext', ms ? moment(ms) : 'live');
    this.canvas.setAttribute('aria-valuenow', Math.round(ms / 1000) || 0);
  }

  close() {
    this.abort.abort();
    this.observer.disconnect();
    clearTimeout(this.timer);
  }

  // --- drawing
  x(ms) { return (ms - this.from()) / this.span * this.width; }
  at(x) { return this.from() + x / this.width * this.span; }

  // The colours are the page's; asked for once a theme.
  colour(name) {
    this.colours ||= {};
    return this.colours[name] ||= getComputedStyle(this.canvas).getPropertyValue(`--${name}`).trim();
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    if (!this.width) return;
    if (this.canvas.width !== Math.round(this.width * ratio)) this.canvas.width = Math.round(this.width * ratio);
    if (this.canvas.height !== Math.round(this.height * ratio)) this.canvas.height = Math.round(this.height * ratio);
    const g = this.canvas.getContext('2d');
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, this.width, this.height);
    this.drawTicks(g);
    this.drawSpans(g);
    this.drawHolds(g);
    this.drawMarks(g);
  }

  drawTicks(g) {
    const step = STEPS.find(s => s / this.span * this.width > 76) || STEPS.at(-1);
    const zone = new Date(this.from()).getTimezoneOffset() * 60e3;
    g.font = '11px system-ui, sans-serif';
    g.textBaseline = 'top';
    for (let t = Math.ceil((this.from() - zone) / step) * step + zone; t < this.to(); t += step) {
      const x = Math.round(this.x(t)) + 0.5;
      const midnight = new Date(t).getHours() === 0 && new Date(t).getMinutes() === 0 && step >= 60e3;
      g.strokeStyle = this.colour(midnight ? 'line-2' : 'tick');
      g.beginPath(); g.moveTo(x, 0); g.lineTo(x, this.height); g.stroke();
      g.fillStyle = this.colour(midnight ? 'text' : 'tick-text');
      const text = midnight ? day(t) : step < 60e3 ? clock(t) : clock(t).slice(0, 5);
      g.fillText(text, x + 4, this.height - 15);
    }
  }

  drawSpans(g) {
    const top = 12, height = this.height - 34;
    g.fillStyle = this.colour('panel-2');
    g.fillRect(0, top, this.width, height);
    const fill = g.createLinearGradient(0, top, 0, top + height);
    fill.addColorStop(0, this.colour('fill'));
    fill.addColorStop(1, this.colour('fill-2'));
    g.fillStyle = fill;
    for (const [from, to] of this.spans) {
      const x = this.x(from);
      if (x > this.width || this.x(to) < 0) continue;
      g.fillRect(Math.max(0, x), top, Math.max(1.5, Math.min(this.width, this.x(to)) - Math.max(0, x)), height);
    }
    const now = this.x(this.now());
    if (now < this.width) { // what has not happened yet
      g.fillStyle = this.colour('future');
      g.fillRect(now, top, this.width - now, height);
    }
  }

  // A band with a border over what is held, named where there is room.
  drawHolds(g) {
    const top = 12, height = this.height - 34;
    for (const {name, fromMs, toMs} of this.holds) {
      const left = Math.max(-2, this.x(fromMs)), right = Math.min(this.width + 2, this.x(toMs ?? this.now()));
      if (right < 0 || left > this.width) continue;
      g.fillStyle = this.colour('hold');
      g.fillRect(left, top, Math.max(2, right - left), height);
      g.fillStyle = this.colour('warn');
      g.fillRect(left, top + height - 3, Math.max(2, right - left), 3);
      g.font = '600 11px system-ui, sans-serif';
      if (right - left > g.measureText(name).width + 12) g.fillText(name, Math.max(0, left) + 6, top + height - 18);
    }
  }

  drawMarks(g) {
    const now = this.x(this.now());
    if (now >= 0 && now <= this.width) {
      g.fillStyle = this.colour('live');
      g.fillRect(now - 1, 8, 2, this.height - 26);
    }
    if (this.playhead) {
      const x = this.x(this.playhead);
      g.fillStyle = this.colour('head');
      g.fillRect(x - 1, 6, 2, this.height - 24);
      g.beginPath(); g.arc(x, 6, 4, 0, 7); g.fill();
    }
    if (this.hover !== undefined && !this.dragging) {
      g.fillStyle = this.colour('dim');
      g.fillRect(this.hover - 0.5, 8, 1, this.height - 26);
      this.label(g, this.hover, moment(this.at(this.hover)), this.colour('line-2'), this.colour('text'));
    } else if (this.playhead) {
      const x = this.x(this.playhead);
      if (x > -40 && x < this.width + 40) this.label(g, x, clock(this.playhead), this.colour('head'), this.colour('ground'));
    }
  }

  label(g, x, text, back, front) {
    g.font = '600 11px system-ui, sans-serif';
    const width = g.measureText(text).width + 12;
    const left = Math.min(this.width - width - 2, Math.max(2, x - width / 2));
    g.fillStyle = back;
    g.beginPath();
    g.roundRect(left, 16, width, 18, 5);
    g.fill();
    g.fillStyle = front;
    g.textBaseline = 'middle';
    g.fillText(text, left + 6, 25.5);
    g.textBaseline = 'top';
  }

  // --- hands
  listen() {
    const on = (name, handler, options = {}) =>
      this.canvas.addEventListener(name, handler, {...options, signal: this.abort.signal});
    on('pointerdown', e => this.down(e));
    on('pointermove', e => this.moved(e));
    on('pointerup', e => this.up(e));
    on('pointercancel', e => this.up(e, true));
    on('pointerleave', () => { this.hover = undefined; this.draw(); });
    on('wheel', e => {
      e.preventDefault();
      if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) this.move(e.deltaX / this.width * this.span);
      else this.setSpan(this.span * (e.deltaY > 0 ? 1.25 : 0.8), this.at(e.offsetX));
    }, {passive: false});
    on('keydown', e => this.key(e));
  }

  down(e) {
    this.canvas.setPointerCapture(e.pointerId);
    this.pointers.set(e.pointerId, {x: e.offsetX, start: e.offsetX});
    this.dragging = false;
  }

  moved(e) {
    const pointer = this.pointers.get(e.pointerId);
    if (!pointer) {
      if (e.pointerType === 'mouse') { this.hover = e.offsetX; this.draw(); }
      return;
    }
    const before = [...this.pointers.values()].map(p => p.x);
    const was = pointer.x;
    pointer.x = e.offsetX;
    if (this.pointers.size === 2) {
      const after = [...this.pointers.values()].map(p => p.x);
      const zoom = Math.max(8, Math.abs(before[0] - before[1])) / Math.max(8, Math.abs(after[0] - after[1]));
      this.dragging = true;
      this.setSpan(this.span * zoom, this.at((after[0] + after[1]) / 2));
    } else if (this.dragging || Math.abs(pointer.x - pointer.start) > DRAG_PIXELS) {
      this.dragging = true;
      this.canvas.classList.add('dragging');
      this.move(-(pointer.x - was) / this.width * this.span);
    }
  }

  up(e, cancelled = false) {
    this.pointers.delete(e.pointerId);
    this.canvas.classList.remove('dragging');
    if (!this.dragging && !cancelled) this.jump(this.at(e.offsetX));
    if (this.pointers.size === 0) setTimeout(() => { this.dragging = false; }, 0);
  }

  // Into a gap means: to where the next recording begins. Past the end means: live.
  jump(ms) {
    const slack = this.span / this.width * 4;
    const hit = this.spans.find(([, to]) => to + slack >= ms);
    if (!hit || ms >= this.now() - 2000) this.onLive();
    else this.onJump(Math.max(ms, hit[0]));
  }

  key(e) {
    const steps = {ArrowLeft: -10e3, ArrowRight: 10e3, PageUp: -600e3, PageDown: 600e3};
    if (e.key in steps) this.onNudge(steps[e.key] * (e.shiftKey ? 6 : 1));
    else if (e.key === 'End') this.onLive();
    else if (e.key === 'Home' && this.spans.length) this.onJump(this.spans[0][0]);
    else if (e.key === '+' || e.key === '=') this.setSpan(this.span / 1.5);
    else if (e.key === '-') this.setSpan(this.span * 1.5);
    else return;
    e.preventDefault();
    e.stopPropagation();
  }
}
