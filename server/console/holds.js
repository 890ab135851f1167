// SPDX-License-Identifier: Apache-2.0
// Legal holds of one stream: the list beside the picture, setting one, lifting one. What they cover
// is drawn on the bar.

import {localInput, make, moment} from './format.js';

const SURE_MS = 5000;

export class Holds {
  // ask(path, body) asks the server; onChange(holds) is told of each list
  constructor(panel, {ask, path, onChange, range}) {
    Object.assign(this, {panel, ask, path, onChange, range});
    this.list = panel.querySelector('#hold-list');
    this.form = panel.querySelector('#hold-form');
    this.error = panel.querySelector('#hold-error');
    this.add = panel.querySelector('#hold-add');
    this.add.onclick = () => this.open(this.form.hidden);
    panel.querySelector('#hold-cancel').onclick = () => this.open(false);
    this.form.forever.onchange = () => { this.form.to.disabled = this.form.forever.checked; };
    this.form.onsubmit = event => { event.preventDefault(); this.set(); };
    this.refresh();
  }

  async refresh() {
    try {
      const {holds, canPut, canLift} = await this.ask(this.path);
      this.panel.hidden = !holds.length && !canPut;
      this.add.hidden = !canPut;
      this.canLift = canLift;
      this.show(holds);
      this.onChange(holds);
    } catch { this.panel.hidden = true; /* the key may not see them */ }
  }

  show(holds) {
    this.list.replaceChildren(...holds.map(hold => make('li', {},
      make('div', {}, make('b', {}, hold.name), ...(this.canLift ? [this.liftButton(hold)] : [])),
      make('div', {class: 'dim small'}, `${moment(hold.fromMs)} – ${hold.toMs === undefined ? 'until lifted' : moment(hold.toMs)}`),
      ...(hold.reason ? [make('div', {class: 'small'}, hold.reason)] : []))));
    if (!holds.length) this.list.replaceChildren(make('li', {class: 'dim small'}, 'None. A hold keeps what it covers past the stream’s retention.'));
  }

  // Twice within a few seconds: what it kept may go at once.
  liftButton(hold) {
    const button = make('button', {type: 'button', class: 'quiet', 'aria-label': `Lift ${hold.name}`, onclick: async () => {
      if (!button.classList.contains('sure')) {
        button.classList.add('sure');
        button.textContent = 'Lift for good?';
        setTimeout(() => { button.classList.remove('sure'); button.textContent = 'Lift'; }, SURE_MS);
        return;
      }
      await this.change(`${this.path}/lift`, {name: hold.name});
    }}, 'Lift');
    return button;
  }

  open(on) {
    this.form.hidden = !on;
    this.add.setAttribute('aria-expanded', on);
    this.error.textContent = '';
    if (!on) return;
    const [from, to] = this.range();
    this.form.from.value = localInput(from);
    this.form.to.value = localInput(to);
    this.form.name.focus();
  }

  async set() {
    const ms = value => new Date(value).getTime();
    const form = this.form;
    const done = await this.change(this.path, {
      name: form.name.value.trim(), reason: form.reason.value.trim(), fromMs: ms(form.from.value),
      ...(form.forever.checked ? {} : {toMs: ms(form.to.value) + 999}),
    });
    if (!done) return;
    form.reset();
    form.to.disabled = false;
    this.open(false);
  }

  async change(path, body) {
    this.error.textContent = '';
    try {
      await this.ask(path, body);
      await this.refresh();
      return true;
    } catch (error) {
      this.error.textContent = error.message;
      return false;
    }
  }
}
