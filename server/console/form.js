// SPDX-License-Identifier: Apache-2.0
// A form whose answer comes from an operation of the API: busy meanwhile, and what is wrong stands below
// the field that it is about.

import {make} from './format.js';

const WORDS = {
  NotAuthorizedException: 'Your access key may not do that.',
  AccessDeniedException: 'Your access key may not do that.',
  VersionMismatchException: 'It was changed elsewhere meanwhile. Look at what holds now, and try again.',
  InternalFailure: 'The server failed; its log says why.',
};

// What went wrong, for a person.
export function words(error) {
  const text = WORDS[error.word] || error.message || 'That did not work';
  const upper = text[0].toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(upper) ? upper : `${upper}.`;
}

// Says it below the field, until the field is changed; '' takes it back.
export function complain(field, text) {
  const host = field.closest('label') || field;
  let note = host.nextElementSibling;
  if (!note?.classList.contains('complaint')) {
    if (!text) return;
    note = make('p', {class: 'error complaint', role: 'alert', id: `${field.form.id || field.form.parentNode.id}-${field.name}-complaint`});
    host.after(note);
    field.setAttribute('aria-describedby', note.id);
    field.addEventListener('input', () => complain(field, ''));
  }
  note.textContent = text;
  if (text) field.setAttribute('aria-invalid', 'true');
  else field.removeAttribute('aria-invalid');
}

// The field that a refusal is about: by the fault, or by the member that a violation names.
export function fieldOf(form, error, {faults = {}, members = {}}) {
  const named = (error.message || '').match(/ at '(\w+)/)?.[1]?.toLowerCase();
  const member = Object.keys(members).find(key => key.toLowerCase() === named);
  return form.elements[faults[error.word] || members[member]];
}

export class Form {
  // submit() does it, and may throw what the server said; places: see fieldOf
  constructor(form, {submit, places = {}, error}) {
    Object.assign(this, {form, error, places});
    form.onsubmit = async event => {
      event.preventDefault();
      if (this.busy) return;
      this.clear();
      this.set(true);
      try {
        await submit();
      } catch (failure) {
        this.fail(failure);
      } finally {
        this.set(false);
      }
    };
  }

  // Nothing is sent twice.
  set(busy) {
    this.busy = busy;
    this.form.setAttribute('aria-busy', busy);
    this.form.querySelector('button:not([type=button])').disabled = busy;
  }

  fail(failure) {
    const field = fieldOf(this.form, failure, this.places);
    if (field) {
      complain(field, words(failure));
      field.focus();
    } else {
      this.error.textContent = words(failure);
    }
  }

  clear() {
    this.error.textContent = '';
    for (const field of this.form.elements) if (field.name) complain(field, '');
  }
}

// A form in a dialog over the page.
export class Sheet extends Form {
  constructor(dialog, {submit, places}) {
    super(dialog.querySelector('form'), {submit, places, error: dialog.querySelector('.form-error')});
    this.dialog = dialog;
    for (const button of dialog.querySelectorAll('[data-close]')) button.onclick = () => dialog.close();
  }

  open() {
    this.clear();
    this.set(false);
    this.dialog.showModal();
  }

  close() { this.dialog.close(); }
}
