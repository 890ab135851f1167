// SPDX-License-Identifier: Apache-2.0
// For how long something is kept: a choice of what people mean, or so many hours, days or years.

import {hours, make} from './format.js';

const UNITS = [[8760, 'years'], [24, 'days'], [1, 'hours']]; // hours each, the longest first
const CUSTOM = 'custom';

export class Keep {
  // choices in hours; none: what 0 is called, if it may be chosen
  constructor(host, {choices, max, min = 1, none = '', label = 'Keep recordings'}) {
    Object.assign(this, {host, choices, max, min, none});
    this.select = make('select', {name: 'keep'},
      ...(none ? [make('option', {value: 0}, none)] : []),
      ...choices.map(h => make('option', {value: h}, hours(h))), make('option', {value: CUSTOM}, 'Other…'));
    this.number = make('input', {name: 'keepNumber', type: 'number', min: 1, step: 1, required: true, 'aria-label': 'How many'});
    this.unit = make('select', {name: 'keepUnit', 'aria-label': 'Of what'},
      ...UNITS.map(([h, text]) => make('option', {value: h}, text)).reverse());
    this.custom = make('span', {class: 'amount', hidden: true}, this.number, this.unit);
    host.replaceChildren(make('label', {}, label, this.select), this.custom);
    this.select.onchange = () => this.pick();
    this.number.oninput = this.unit.onchange = () => this.bound();
    this.hours = choices[0];
  }

  pick() {
    const custom = this.select.value === CUSTOM;
    if (custom) this.show(this.last || this.min);
    else this.last = +this.select.value;
    this.open(custom);
    if (custom) this.number.select();
  }

  open(custom) {
    this.custom.hidden = !custom;
    this.number.disabled = this.unit.disabled = !custom; // a field that is not seen must not stop a form
  }

  show(n) {
    const [each] = UNITS.find(([h]) => n % h === 0);
    this.number.value = n / each;
    this.unit.value = each;
    this.bound();
  }

  bound() {
    const each = +this.unit.value;
    this.number.min = Math.ceil(this.min / each);
    this.number.max = Math.floor(this.max / each);
  }

  get hours() {
    return this.select.value === CUSTOM ? this.number.value * this.unit.value : +this.select.value;
  }

  set hours(n) {
    const listed = this.choices.includes(n) || (n === 0 && this.none !== '');
    this.last = n;
    this.select.value = listed ? n : CUSTOM;
    if (!listed) this.show(n);
    this.open(!listed);
  }

  set disabled(on) {
    this.select.disabled = on;
    this.number.disabled = this.unit.disabled = on || this.custom.hidden;
  }
}

const DAY = 24, YEAR = 8760;
const NONE = 'Not kept: live only';

export const keepOfVideo = (host, options = {}) => new Keep(host, {
  choices: [DAY, 7 * DAY, 30 * DAY, 90 * DAY, YEAR], max: 10 * YEAR, none: NONE, ...options,
});
export const keepOfCamera = host => keepOfVideo(host, {none: ''});
export const keepOfRecords = host => new Keep(host, {
  choices: [DAY, 3 * DAY, 7 * DAY, 30 * DAY, YEAR], min: DAY, max: YEAR, label: 'Keep records',
});
