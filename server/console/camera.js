// SPDX-License-Identifier: Apache-2.0
// Cameras that the server connects to: the form that adds or changes one, with a look at what it
// offers before, and the panel of one beside its picture.

import {bits, codec, count, duration, make, moment} from './format.js';
import {keepOfCamera} from './keep.js';

const ASK_MS = 400, SURE_MS = 5000, KEPT_HOURS = 168;

// What kinema-camera calls a failure, in words that say what to do.
const FAULTS = {
  unreachable: ['Nothing answers at that address', 'Check host and port, and whether this server may reach the camera (firewall, VLAN).'],
  unauthorized: ['The camera refuses this user and password', 'Many cameras have users of their own for RTSP, and lock one out after some tries.'],
  not_found: ['The camera has no stream of that path', 'The path differs from maker to maker: look for “RTSP” in the camera’s manual.'],
  unsupported: ['It offers nothing that can be recorded', 'H.264, H.265, AAC, G.711 and Opus can. The camera’s own pages say what it sends.'],
  stalled: ['No picture came', 'It may be busy, or UDP may be blocked on the way: try the transport TCP.'],
  ended: ['The camera has ended the stream', 'It may allow no further viewer: close others, and try again.'],
  full: ['The stream has as much as it may keep', 'It makes no room for newer pictures (DENY_NEW_MEDIA): raise its size, or let older ones go.'],
  broken: ['The camera could not be understood', 'Its stream may be damaged, or of a kind that is not known here.'],
};

// The same of a file that is played.
const FILE_FAULTS = {
  unauthorized: ['This file may not be played', 'Files are played from the folder that the server’s camera_files names, where the server may read them; a link that leads out of it is not followed.'],
  not_found: ['There is no such file', 'The path is one on the server’s machine, from the root.'],
  unsupported: ['It holds nothing that can be recorded', 'MP4, Matroska and MPEG-TS can, with H.264, H.265, AAC, G.711 or Opus in it.'],
  stalled: ['The file gives nothing more', 'It has a hole without frames, or is damaged.'],
  broken: ['The file could not be read', 'It may be damaged, or not be whole yet.'],
};

const isFile = url => /^file:/i.test(url || '');
const fault = (word, url) => (isFile(url) && FILE_FAULTS[word]) || FAULTS[word] || FAULTS.broken;
const fps = value => rounded(value, Math.abs(value - Math.round(value)) < 0.15 ? 0 : 1);
const rounded = (value, digits) => String(+value.toFixed(digits));

// --- what a look found --------------------------------------------------------------------------
const isVideo = track => track.width !== undefined;

function describe(track, seconds) {
  if (!isVideo(track)) {
    if (!track.hz) return [codec(track.codec)];
    const channels = {1: 'mono', 2: 'stereo'}[track.channels] || `${track.channels} channels`;
    return [codec(track.codec), `${rounded(track.hz / 1000, 1)} kHz`, channels];
  }
  return [
    codec(track.codec), track.width ? `${track.width}×${track.height}` : 'size unknown',
    ...(track.framesPerSecond ? [`${fps(track.framesPerSecond)} fps`] : []),
    ...(track.kilobitsPerSecond ? [bits(track.kilobitsPerSecond * 1000)] : []),
    ...(track.keyFrames > 1 ? [`key frame each ${rounded(seconds / track.keyFrames, 1)} s`] : []),
  ];
}

function hints({tracks, leftOut}, seconds) {
  const video = tracks.filter(isVideo), said = [];
  if (!video.length) said.push('There is no picture in it, sound only.');
  if (video.some(t => t.frames > 1 && t.keyFrames <= 1))
    said.push(`At most one key frame came in ${seconds} s. Players start at key frames: set the camera’s interval (GOP) to 1–4 s.`);
  if (video.some(t => t.codec.includes('HEVC'))) said.push('Not every browser plays H.265; recording and Safari do not mind.');
  if (tracks.some(t => t.codec === 'A_MS/ACM' || t.codec === 'A_OPUS'))
    said.push('The sound is recorded; browsers play the picture without it.');
  if (leftOut) said.push(`Not recorded: ${leftOut}.`);
  return said;
}

function found(result, seconds, url) {
  if (!result.ok) {
    const [title, advice] = fault(result.fault, url);
    return make('div', {class: 'verdict bad'}, make('b', {}, title), make('p', {}, advice),
      ...(result.said ? [make('p', {class: 'dim small'}, `In its words: ${result.said}`)] : []));
  }
  return make('div', {class: 'verdict good'}, make('b', {}, isFile(url) ? 'This file can be played' : 'This camera can be recorded'),
    make('dl', {}, ...result.tracks.flatMap(track => [make('dt', {}, isVideo(track) ? 'Picture' : 'Sound'),
      make('dd', {}, ...describe(track, seconds).map(text => make('span', {}, text)))])),
    ...hints(result, seconds).map(text => make('p', {class: 'small'}, text)));
}

// --- the form -----------------------------------------------------------------------------------
export class CameraForm {
  // onSaved(name) once the server connects to it
  constructor(dialog, {ask, onSaved}) {
    Object.assign(this, {dialog, ask, onSaved, turn: 0});
    const at = selector => dialog.querySelector(selector);
    this.form = at('form');
    this.result = at('#camera-found');
    this.error = at('#camera-error');
    this.look = at('#camera-look');
    this.save = at('#camera-save');
    this.keep = keepOfCamera(at('.keep'));
    this.form.url.onchange = () => this.takeApart();
    this.form.onsubmit = event => { event.preventDefault(); this.submit(); };
    this.look.onclick = () => this.probe();
    at('#camera-close').onclick = () => dialog.close();
    dialog.onclose = () => { this.turn++; this.form.reset(); this.cancel(); };
  }

  // now: as the server says the stream's camera; none: a new one
  open(name = '', now = undefined) {
    const {form} = this;
    this.editing = Boolean(name);
    form.reset();
    form.name.value = name;
    form.name.readOnly = this.editing;
    form.url.value = now?.url || '';
    form.user.value = now?.user || '';
    form.transport.value = now?.transport || 'auto';
    form.password.placeholder = now?.hasPassword ? 'unchanged' : '';
    this.kept = Boolean(now?.hasPassword);
    this.keep.hours = KEPT_HOURS;
    this.keep.disabled = this.keep.host.hidden = this.editing;
    this.dialog.querySelector('#camera-title').textContent = this.editing ? `Camera of ${name}` : 'Add a camera';
    this.save.textContent = this.editing ? 'Save' : 'Add camera';
    this.error.textContent = '';
    this.result.replaceChildren();
    this.idle();
    this.dialog.showModal();
    (this.editing ? form.url : form.name).focus();
  }

  // rtsp://user:password@host/… comes apart; the last @ before the path counts.
  takeApart() {
    const {form} = this;
    const parts = form.url.value.trim().match(/^(rtsps?:\/\/)([^/]*)@(.*)$/i);
    if (!parts) return;
    const plain = text => { try { return decodeURIComponent(text); } catch { return text; } };
    const colon = parts[2].indexOf(':');
    form.url.value = parts[1].toLowerCase() + parts[3];
    form.user.value = plain(colon < 0 ? parts[2] : parts[2].slice(0, colon));
    form.password.value = colon < 0 ? '' : plain(parts[2].slice(colon + 1));
  }

  wish() {
    const {form} = this;
    this.takeApart();
    return {
      url: form.url.value.trim(), user: form.user.value, transport: form.transport.value,
      ...(form.password.value || !this.kept ? {password: form.password.value} : {}),
    };
  }

  idle() {
    this.look.disabled = false;
    this.look.textContent = 'Test the connection';
    this.result.removeAttribute('aria-busy');
  }

  // Whoever has closed the dialog waits for nothing; four may be looked at at once.
  cancel() {
    if (this.probing) this.ask(`/kinema/v1/probes/${this.probing}/cancel`, {}).catch(() => {});
    this.probing = undefined;
  }

  async probe() {
    if (!this.form.url.reportValidity()) return;
    const turn = ++this.turn;
    this.error.textContent = '';
    this.look.disabled = true;
    this.look.textContent = 'Testing…';
    this.result.setAttribute('aria-busy', 'true');
    this.result.replaceChildren(make('div', {class: 'verdict'}, make('b', {}, 'Testing the connection'),
      make('p', {}, 'The server connects to it, and watches for a few seconds.'), make('div', {class: 'progress'})));
    try {
      const {probe, seconds} = await this.ask('/kinema/v1/probes', {stream: this.form.name.value.trim(), ...this.wish()});
      this.probing = probe;
      if (turn !== this.turn) this.cancel();
      let result;
      do {
        await new Promise(done => { setTimeout(done, ASK_MS); });
        if (turn !== this.turn) return;
        result = await this.ask(`/kinema/v1/probes/${probe}`);
      } while (result.looking);
      this.probing = undefined;
      if (turn === this.turn) this.result.replaceChildren(found(result, seconds, this.form.url.value.trim()));
    } catch (error) {
      if (turn !== this.turn) return;
      this.result.replaceChildren();
      this.error.textContent = error.message;
    }
    if (turn === this.turn) this.idle();
  }

  async submit() {
    const name = this.form.name.value.trim();
    this.error.textContent = '';
    this.save.disabled = true;
    try {
      await this.ask(`/kinema/v1/streams/${encodeURIComponent(name)}/camera`, {
        ...this.wish(), ...(this.editing ? {} : {retentionHours: this.keep.hours}),
      });
      this.dialog.close();
      this.onSaved(name);
    } catch (error) {
      this.error.textContent = error.message;
    }
    this.save.disabled = false;
  }
}

// --- beside the picture -------------------------------------------------------------------------
const STATES = {RECORDING: 'Recording', CONNECTING: 'Connecting', WAITING: 'Trying again',
    RESTING: 'Resting, by its schedule'};

export class CameraPanel {
  // ask(path, body) asks the server; poll(fn) calls again and again and returns what stops it
  constructor(panel, {ask, poll, path, edit}) {
    Object.assign(this, {panel, ask, path});
    this.body = panel.querySelector('#camera-body');
    this.error = panel.querySelector('#camera-panel-error');
    this.change = panel.querySelector('#camera-change');
    this.remove = panel.querySelector('#camera-remove');
    this.change.onclick = () => edit(this.camera);
    this.remove.onclick = () => this.drop();
    this.stop = poll(() => this.refresh());
  }

  close() { this.stop(); }

  async refresh() {
    try {
      this.show(await this.ask(this.path));
    } catch (error) {
      if (error.status === 404) this.panel.hidden = true; // the key may not see it
    }
  }

  show({camera, canPut, canRemove}) {
    this.camera = camera;
    this.panel.hidden = !camera;
    if (!camera) return;
    this.change.hidden = !canPut;
    this.remove.hidden = !canRemove;
    const bad = camera.state === 'WAITING';
    const line = (label, text) => [make('dt', {}, label), make('dd', {}, text)];
    const [title, advice] = camera.fault ? fault(camera.fault, camera.url) : [];
    this.body.replaceChildren(
      make('p', {class: `camera-state ${camera.state.toLowerCase()}`}, STATES[camera.state],
        ...(camera.sinceMs ? [make('span', {class: 'dim'}, ` since ${moment(camera.sinceMs)}`)] : [])),
      ...(bad && title ? [make('p', {class: 'verdict bad small'}, make('b', {}, title), ' ', advice)] : []),
      make('dl', {class: 'lines'},
        ...line('Address', make('code', {}, camera.url || '')),
        ...(camera.user ? line('User', camera.user) : []),
        ...(isFile(camera.url) ? [] : line('Transport', camera.transport === 'auto' ? 'automatic' : camera.transport.toUpperCase())),
        ...line('Reconnected', camera.reconnects ? `${count(camera.reconnects)} times` : 'never'),
        ...(camera.lost ? line('Left out', `${count(camera.lost)} frames: the disk was behind`) : []),
        ...(camera.cuts ? line('Cut', `${count(camera.cuts)} times: too long without a key frame`) : []),
        ...(camera.leftOut ? line('Not recorded', camera.leftOut) : []),
        ...(camera.silent ? line('Does not send', `${camera.silent}; the rest is recorded`) : []),
        ...(!bad && title ? line('Last failure', `${title}, ${duration(Date.now() - camera.faultMs)} ago`) : [])));
  }

  // Twice within a few seconds.
  async drop() {
    const button = this.remove;
    this.error.textContent = '';
    if (!button.classList.contains('sure')) {
      button.classList.add('sure');
      button.textContent = 'Stop recording it?';
      setTimeout(() => { button.classList.remove('sure'); button.textContent = 'Remove'; }, SURE_MS);
      return;
    }
    try {
      this.show(await this.ask(`${this.path}/remove`, {}));
    } catch (error) {
      this.error.textContent = error.message;
    }
  }
}

