// SPDX-License-Identifier: Apache-2.0
// Deleting a stream, once its name is typed: what goes with it is said before.

import {Sheet} from './form.js';
import {make} from './format.js';

export class Delete extends Sheet {
  constructor(dialog) {
    super(dialog, {submit: () => this.run()});
    this.button = dialog.querySelector('button.danger');
    this.consumers = dialog.querySelector('.consumers');
    this.form.typed.oninput = () => this.ready();
  }

  // wish: name, what: what goes with it, remove(consumersToo), onGone()
  open(wish) {
    const at = selector => this.dialog.querySelector(selector);
    this.wish = wish;
    this.form.reset();
    this.consumers.hidden = true;
    at('h1').textContent = `Delete ${wish.name}?`;
    at('.what').replaceChildren(...wish.what.map(text => make('li', {}, text)));
    at('.typed-name').textContent = wish.name;
    super.open();
    this.form.typed.focus();
  }

  is() { return this.form.typed.value.trim() === this.wish?.name; }

  ready() { this.button.disabled = this.busy || !this.is(); }

  set(busy) {
    super.set(busy);
    this.ready();
  }

  async run() {
    if (!this.is()) return;
    await this.wish.remove(this.form.consumers.checked);
    this.close();
    this.wish.onGone();
  }

  fail(failure) {
    const held = /has (\d+) registered consumers?/.exec(failure.message); // told of only here
    if (!held) return super.fail(failure);
    this.consumers.hidden = false;
    this.consumers.lastChild.textContent = `and the ${held[1] === '1' ? 'consumer that is' : `${held[1]} consumers that are`} registered with it`;
    this.form.consumers.focus();
  }
}
