// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them, and small helpers for the page.

export function bytes(n) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i++; }
  return `${n.toFixed(n >= 100 || i === 0 ? 0 : 1)} ${units[i]}`;
}

export const count = n => n.toLocaleString('en').replace(/,/g, '\u202f');

export function bits(n) {
  if (!n) return '–';
  return n >= 1e6 ? `${(n / 1e6).toFixed(n >= 1e7 ? 1 : 2)} Mbit/s` : `${Math.round(n / 1e3)} kbit/s`;
}

export function seconds(ms) {
  if (ms === undefined || ms === null || !isFinite(ms)) return '–';
  const s = ms / 1000;
  return Math.abs(s) < 10 ? `${s.toFixed(2)} s` : `${s.toFixed(1)} s`;
}

export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

export function hours(n) {
  if (n === 0) return 'not kept';
  if (n === 24) return '1 day';
  if (n < 48) return `${n} h`;
  return n % 24 === 0 ? `${n / 24} days` : `${(n / 24).toFixed(1)} days`;
}

const time = new Intl.DateTimeFormat([], {hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false});
const date = new Intl.DateTimeFormat([], {weekday: 'short', day: 'numeric', month: 'short'});
const dateYear = new Intl.DateTimeFormat([], {day: 'numeric', month: 'short', year: 'numeric'});

export const clock = ms => time.format(ms);
export const day = ms => date.format(ms);
export const moment = ms => `${dateYear.format(ms)} ${time.format(ms)}`;

export function codec(id) {
  const names = {
    'V_MPEG4/ISO/AVC': 'H.264', 'V_MPEGH/ISO/HEVC': 'H.265', 'A_AAC': 'AAC', 'A_MS/ACM': 'G.711',
    'A_OPUS': 'Opus', 'D_ONVIF/METADATA': 'ONVIF metadata', 'V_AV1': 'AV1', 'V_VP9': 'VP9', 'A_PCM/INT/LIT': 'PCM',
  };
  return names[id] || id.replace(/^[AV]_/, '');
}

export function shape(now) {
  const video = (now?.tracks || []).find(t => t.type === 'video');
  return video?.width ? `${video.width}×${video.height}` : '';
}

export const codecs = now => (now?.tracks || []).map(t => codec(t.codec)).join(' + ');

// For <input type="datetime-local">, in the browser's own zone.
export const localInput = ms => new Date(ms - new Date(ms).getTimezoneOffset() * 60e3).toISOString().slice(0, 19);

// Pages that come by plain HTTP from another machine have no navigator.clipboard.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* the old way */ }
  const area = make('textarea', {readonly: true, class: 'offscreen'});
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}

// An element with attributes and children; strings become text, never markup.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter(c => c !== undefined && c !== null));
  return element;
}
