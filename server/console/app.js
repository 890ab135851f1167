// SPDX-License-Identifier: Apache-2.0
// The console's page: login, the grid of streams, one stream with its timeline, data streams. Addresses
// are fragments: #/, #/stream/<name>, #/data, #/data/<name>; #login=<token> is a one-time link, spent at once.

import {
  bits, bytes, clock, codecs, copy, day, duration, hours, localInput, make, moment, seconds, shape,
} from './format.js';
import {CameraForm, CameraPanel} from './camera.js';
import {Clip} from './clip.js';
import {DataList, DataView, dataPath} from './data.js';
import {Delete} from './delete.js';
import {Events} from './events.js';
import {Health, badge} from './health.js';
import {Holds} from './holds.js';
import {NewData, NewVideo} from './new.js';
import {Player, canDash, undecodable} from './player.js';
import {DataSettings, VideoSettings} from './settings.js';
import {Timeline} from './timeline.js';

const POLL_MS = 2000;
const TILES_PLAYING_MAX = 16;
const $ = (selector, root = document) => root.querySelector(selector);
const main = $('#main');
let session = {};
let view = null; // {close()} of what is on screen

// --- the server ---------------------------------------------------------------------------------
async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, body === undefined ? {} : {
      method: 'POST', body: JSON.stringify(body), headers: {'content-type': 'application/json'},
    });
  } catch {
    health('The server is out of reach. This page goes on by itself once it is back.');
    throw new Error('the server cannot be reached');
  }
  health('');
  const json = await answer.json().catch(() => ({message: answer.statusText}));
  if (answer.ok) return json;
  if (answer.status === 401 && json.error === 'login_required' && session.authenticated) {
    session = {};
    route();
  }
  throw Object.assign(new Error(json.message), {status: answer.status, word: json.error});
}

const streamPath = name => `/kinema/v1/streams/${encodeURIComponent(name)}`;
const openSession = name => (mode, from, to, protocol) => ask(`${streamPath(name)}/play`, {mode, from, to, protocol});

const cameraForm = new CameraForm($('#camera-form'), {ask, onSaved: name => {
  if (location.hash === `#/stream/${name}`) view?.refresh?.();
  else location.hash = `#/stream/${name}`;
}});

// An operation of the API, as the login's access key would call it.
const call = (operation, members) => ask(`/kinema/v1/operations/${operation}`, members);
const arnOfVideo = info => `arn:aws:kinesisvideo:${session.region}:${session.account}:stream/${info.name}/${info.createdMs}`;
const arnOfData = info => `arn:aws:kinesis:${session.region}:${session.account}:stream/${info.name}`;
const newVideo = new NewVideo($('#new-video'), {call, onMade: name => { location.hash = `#/stream/${name}`; }});
const newData = new NewData($('#new-data'), {call, onMade: name => { location.hash = `#/data/${name}`; }});
const remove = new Delete($('#delete'));

// What is wrong with all streams at once, below the bar.
let full = false;
function health(text) {
  $('#health').textContent = text || (full ? 'The volume is full: nothing more is recorded until there is room. What is stored can be seen.' : '');
}

function volume(isFull) {
  full = isFull;
  health('');
}

// --- finding the view ---------------------------------------------------------------------------
async function route() {
  const hash = decodeURIComponent(location.hash.slice(1));
  if (hash.startsWith('login=')) {
    history.replaceState(null, '', '/#/');
    try {
      await ask('/kinema/v1/login', {token: hash.slice(6)});
      session = await ask('/kinema/v1/session');
    } catch (error) {
      session = await ask('/kinema/v1/session').catch(() => ({}));
      if (!session.authenticated) return show(loginView(error.message));
    }
    return route();
  }
  if (!session.authenticated) {
    session = await ask('/kinema/v1/session').catch(() => ({}));
    if (!session.authenticated) return show(loginView(''));
  }
  $('#logout').hidden = session.noAuth;
  const stream = hash.match(/^\/stream\/([\w.-]+)$/), data = hash.match(/^\/data\/([\w.-]+)$/);
  show(stream ? streamView(stream[1]) : data ? dataView(data[1]) : hash === '/data' ? dataList() : gridView());
}

function show(next) {
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  view?.close();
  view = next;
  full = false; // what the view before was told
  $('#logout').hidden = !session.authenticated || session.noAuth;
  $('#areas').hidden = !session.authenticated;
  for (const link of $('#areas').children)
    link.toggleAttribute('aria-current', link.dataset.area === (location.hash.startsWith('#/data') ? 'data' : 'video'));
}

function place(template) {
  main.replaceChildren($(template).content.cloneNode(true));
  $('#crumbs').textContent = '';
  document.title = 'Kinema';
  window.scrollTo(0, 0); // the tile that was clicked may have stood far down
  main.focus({preventScroll: true}); // what had the focus is gone
}

// Calls work() now and every POLL_MS, never twice at once, and not while nobody looks.
function poll(work) {
  let stopped = false;
  let timer;
  const turn = async () => {
    if (!document.hidden) await work().catch(() => {});
    if (!stopped) timer = setTimeout(turn, POLL_MS);
  };
  turn();
  return () => { stopped = true; clearTimeout(timer); };
}

// --- login --------------------------------------------------------------------------------------
function loginView(message) {
  place('#view-login');
  const form = $('#login-form'), error = $('#login-error');
  error.textContent = message;
  form.addEventListener('submit', async event => {
    event.preventDefault();
    error.textContent = '';
    try {
      await ask('/kinema/v1/login', {
        accessKeyId: form.accessKeyId.value.trim(), secretAccessKey: form.secretAccessKey.value.trim(),
      });
      session = await ask('/kinema/v1/session');
      route();
    } catch (failure) {
      error.textContent = failure.message;
      form.secretAccessKey.select();
    }
  });
  return {close() {}};
}

$('#logout').addEventListener('click', async () => {
  await ask('/kinema/v1/logout', {}).catch(() => {});
  session = {};
  location.hash = '#/';
  route();
});

// --- the grid -----------------------------------------------------------------------------------
function gridView() {
  place('#view-grid');
  const tiles = new Map();
  const grid = $('#grid'), search = $('#search');
  const observer = new IntersectionObserver(entries => {
    for (const entry of entries) {
      const tile = tiles.get(entry.target.dataset.name);
      if (tile) { tile.visible = entry.isIntersecting; tile.settle(); }
    }
  }, {rootMargin: '80px'});
  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    let any = false;
    for (const [name, tile] of tiles) any |= !(tile.element.hidden = !name.toLowerCase().includes(wanted));
    $('#none').hidden = any || !tiles.size;
  };
  search.addEventListener('input', filter);
  $('#camera-add').addEventListener('click', () => cameraForm.open());
  $('#stream-add').addEventListener('click', () => newVideo.open());

  const refresh = async () => {
    const streams = [];
    let after = '';
    do {
      const page = await ask(`/kinema/v1/streams${after ? `?after=${encodeURIComponent(after)}` : ''}`);
      streams.push(...page.streams);
      volume(page.volumeFull);
      session.nowMs = page.nowMs;
      $('#camera-add').hidden = !page.canAddCamera;
      $('#stream-add').hidden = !page.canCreate;
      after = page.next;
    } while (after);
    const live = streams.filter(s => s.live).length;
    $('#count').textContent = streams.length ? `${live} live of ${streams.length}` : '';
    const names = new Set(streams.map(s => s.name));
    for (const [name, tile] of tiles) if (!names.has(name)) { tile.close(); tiles.delete(name); }
    for (const stream of streams) {
      let tile = tiles.get(stream.name);
      if (!tile) {
        tile = new Tile(stream.name, tiles);
        tiles.set(stream.name, tile);
        observer.observe(tile.element);
      }
      tile.update(stream);
    }
    // Live ones first. Moving an element stops its video, so only what stands wrong is moved.
    const order = s => `${s.live ? 0 : 1}${s.name}`;
    streams.sort((a, b) => order(a) < order(b) ? -1 : 1);
    streams.forEach((stream, i) => {
      const {element} = tiles.get(stream.name);
      if (grid.children[i] !== element) grid.insertBefore(element, grid.children[i] || null);
    });
    search.hidden = streams.length < 2;
    $('#empty').hidden = streams.length > 0;
    if (!streams.length && !$('#empty').firstChild) $('#empty').append(firstSteps());
    filter();
  };
  const stop = poll(refresh);
  return {
    close() {
      stop();
      observer.disconnect();
      for (const tile of tiles.values()) tile.close();
    },
  };
}

class Tile {
  constructor(name, all) {
    this.all = all;
    this.badge = make('span', {class: 'badge'});
    this.note = make('div', {class: 'note'});
    this.shape = make('span', {class: 'shape'});
    this.numbers = make('div', {class: 'numbers'});
    this.picture = make('div', {class: 'picture'}, this.note, this.badge, this.shape);
    this.head = make('div', {class: 'head'}, make('div', {class: 'name'}, name));
    this.element = make('a', {class: 'tile', href: `#/stream/${name}`, 'data-name': name},
      this.picture, make('div', {class: 'below'}, this.head, this.numbers));
  }

  update(stream) {
    this.stream = stream;
    this.badge.textContent = stream.live ? 'LIVE' : 'OFFLINE';
    this.badge.className = `badge${stream.live ? ' live' : ''}`;
    this.head.replaceChildren(this.head.firstChild, badge(stream.health));
    this.shape.textContent = shape(stream.now);
    this.shape.hidden = !this.shape.textContent;
    const value = (label, text) => make('span', {}, `${label} `, make('b', {}, text));
    this.numbers.replaceChildren(...(stream.live && stream.now ? [
      value('', bits(stream.now.bitsPerSecond)), value('fragment', seconds(stream.now.fragmentMs)),
      value('delay', seconds(stream.now.delayMs)), value('stored', bytes(stream.bytes)),
    ] : [
      stream.newestMs ? value('last seen', `${duration(session.nowMs - stream.newestMs)} ago`)
        : make('span', {}, 'nothing received yet'),
      ...(stream.bytes ? [value('stored', bytes(stream.bytes))] : []),
    ]));
    this.cannot = undecodable(stream.now);
    this.settle();
  }

  // Plays exactly while it is seen, live, and the browser can. One that is not live shows the last
  // picture it has sent.
  settle() {
    const stream = this.stream;
    const playing = [...this.all.values()].filter(t => t.player).length;
    const can = this.visible && stream?.canPlay && !this.cannot && stream.status === 'ACTIVE';
    const want = can && stream.live ? 'live' : can && stream.newestMs && shape(stream.now) ? `still ${stream.newestMs}` : '';
    if (this.shows !== want) this.stop();
    if (want && !this.player && playing < TILES_PLAYING_MAX) {
      this.shows = want;
      this.video = make('video', {playsinline: true, muted: true, 'aria-hidden': 'true'});
      this.picture.prepend(this.video);
      this.player = new Player(this.video, openSession(stream.name), {small: true});
      if (stream.live) this.player.live();
      else this.player.still(stream.newestMs);
      this.video.onloadeddata = () => this.element.classList.add('shown');
    }
    this.element.classList.toggle('past', !stream?.live);
    this.note.textContent = !stream ? '' : stream.status === 'DELETING' ? 'Being deleted' : this.cannot ? 'H.265: this browser cannot decode it'
      : !stream.canPlay ? 'Your access key may not play it' : !stream.newestMs ? 'Waiting for the first fragment'
        : stream.now && !shape(stream.now) ? 'Sound only' : stream.live ? '' : this.player ? '' : 'No signal';
  }

  stop() {
    this.player?.stop();
    this.player = null;
    this.shows = '';
    this.video?.remove();
    this.element.classList.remove('shown');
  }

  close() {
    this.stop();
    this.element.remove();
  }
}

// --- how to begin -------------------------------------------------------------------------------
function copyButton(text, label = 'Copy') {
  const button = make('button', {type: 'button', class: 'copy', 'aria-live': 'polite', onclick: async () => {
    button.textContent = await copy(text) ? 'Copied' : 'Select and copy by hand';
    setTimeout(() => { button.textContent = label; }, 1500);
  }}, label);
  return button;
}

const recipe = (title, text) => make('div', {class: 'recipe'}, make('h3', {}, title), copyButton(text),
  make('pre', {tabindex: '0'}, text));

function recipes(name) {
  const api = session.apiUrl, region = session.region;
  const key = `export AWS_ACCESS_KEY_ID=${session.accessKeyId || 'any'} AWS_SECRET_ACCESS_KEY=…\n`;
  const aws = (service, rest) => `aws ${service} --endpoint-url ${api} --region ${region} \\\n  ${rest}`;
  return [
    recipe('Send: a test camera', `${key}build/release/demo-camera --endpoint ${api} --stream ${name}`),
    recipe('Send: AWS kvssink (GStreamer)', `${key}export CONTROL_PLANE_URI=${api} AWS_DEFAULT_REGION=${region}\n` +
      'gst-launch-1.0 videotestsrc is-live=true ! x264enc tune=zerolatency key-int-max=60 ! h264parse ! \\\n' +
      `  video/x-h264,stream-format=avc,alignment=au ! kvssink stream-name=${name}`),
    recipe('Watch: AWS CLI', `${key}${aws('kinesis-video-archived-media', `get-hls-streaming-session-url --stream-name ${name}`)} \\\n` +
      '  --query HLSStreamingSessionURL --output text   # ffplay, VLC, Safari, hls.js'),
    recipe('Watch: boto3', 'import boto3\n' +
      `kvs = boto3.client("kinesisvideo", endpoint_url="${api}", region_name="${region}")\n` +
      `url = kvs.get_data_endpoint(StreamName="${name}", APIName="GET_HLS_STREAMING_SESSION_URL")["DataEndpoint"]\n` +
      `media = boto3.client("kinesis-video-archived-media", endpoint_url=url, region_name="${region}")\n` +
      `print(media.get_hls_streaming_session_url(StreamName="${name}")["HLSStreamingSessionURL"])`),
  ];
}

// What one pastes into a client's configuration.
function addresses(info) {
  const row = (label, value) => make('div', {class: 'address'}, make('span', {class: 'dim'}, label),
    make('code', {tabindex: '0'}, value), copyButton(value));
  return make('div', {class: 'addresses'},
    row('Stream ARN', arnOfVideo(info)),
    row('API endpoint', session.apiUrl), row('Ingest endpoint', session.ingestUrl));
}

function firstSteps() {
  return make('section', {class: 'panel start'}, make('h1', {}, 'No streams yet'),
    make('p', {}, 'Point any Kinesis Video producer at this server; the stream appears here by itself. ' +
      ($('#camera-add').hidden ? '' : 'Or add an IP camera above: the server connects to it by RTSP. ') +
      'Streams that your access key may not see are not shown.'),
    ...recipes('my-first-camera'));
}

// --- one stream ---------------------------------------------------------------------------------
const ICONS = {
  play: 'M8 5v14l11-7z', pause: 'M6 5h4v14H6zm8 0h4v14h-4z', full: 'M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z',
  back: 'M12 5V1L7 6l5 5V7a6 6 0 1 1-6 6H4a8 8 0 1 0 8-8z', forward: 'M12 5V1l5 5-5 5V7a6 6 0 1 0 6 6h2a8 8 0 1 1-8-8z',
  loud: 'M4 9v6h4l5 5V4L8 9zm12.5 3A4.5 4.5 0 0 0 14 8v8a4.5 4.5 0 0 0 2.500-4zM14 3.200v2.100a7 7 0 0 1 0 13.400v2.100a9 9 0 0 0 0-17.600z',
  quiet: 'M4 9v6h4l5 5V4L8 9zm17 .4L19.600 8 17 10.600 14.400 8 13 9.400 15.600 12 13 14.600l1.400 1.400 2.600-2.600 2.600 2.600 1.400-1.400-2.600-2.600z',
  picture: 'M9 4 7.500 6H4a2 2 0 0 0-2 2v10a2 2 0 0 0 2 2h16a2 2 0 0 0 2-2V8a2 2 0 0 0-2-2h-3.500L15 4zm3 4.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9z',
};

function icon(button, name) {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg'), path = document.createElementNS(space, 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  button.replaceChildren(svg);
}

function streamView(name) {
  place('#view-stream');
  document.title = `${name} · Kinema`;
  $('#crumbs').textContent = `/ ${name}`;
  $('#title').textContent = name;
  return new StreamView(name);
}

// --- data streams -------------------------------------------------------------------------------
function dataRecipes(name) {
  const api = session.apiUrl, region = session.region;
  const key = `export AWS_ACCESS_KEY_ID=${session.accessKeyId || 'any'} AWS_SECRET_ACCESS_KEY=…\n`;
  return [
    recipe('AWS CLI', `${key}alias kds="aws kinesis --endpoint-url ${api} --region ${region}"\n` +
      `kds create-stream --stream-name ${name} --shard-count 2\n` +
      `kds put-record --stream-name ${name} --partition-key door --data $(echo -n '{"open":true}' | base64)`),
    recipe('boto3', 'import boto3\n' +
      `kinesis = boto3.client("kinesis", endpoint_url="${api}", region_name="${region}")\n` +
      `kinesis.put_record(StreamName="${name}", PartitionKey="door", Data=b'{"open": true}')\n` +
      `shard = kinesis.list_shards(StreamName="${name}")["Shards"][0]["ShardId"]\n` +
      `at = kinesis.get_shard_iterator(StreamName="${name}", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]\n` +
      'print(kinesis.get_records(ShardIterator=at)["Records"])'),
  ];
}

function dataList() {
  place('#view-data-list');
  document.title = 'Data streams · Kinema';
  $('#data-add').addEventListener('click', () => newData.open());
  return new DataList({ask, poll, recipes: dataRecipes});
}

function dataView(name) {
  place('#view-data');
  document.title = `${name} · Kinema`;
  $('#crumbs').textContent = `/ ${name}`;
  $('#data-title').textContent = name;
  const settings = new DataSettings($('#data-settings'), {
    ask, call, name, path: dataPath(name), arn: arnOfData, remove, onGone: () => { location.hash = '#/data'; },
  });
  return new DataView(name, {ask, poll, recipes: dataRecipes, settings, absent: () => main.replaceChildren(absent(name, '#/data'))});
}

function absent(name, all = '#/') {
  return make('section', {class: 'panel start'}, make('h1', {}, 'There is no such stream'),
    make('p', {}, `Nothing named ${name} is here, or your access key may not see it.`),
    make('a', {class: 'button', href: all}, 'All streams'));
}

class StreamView {
  constructor(name) {
    this.name = name;
    this.abort = new AbortController();
    this.video = $('#video');
    this.stage = $('#stage');
    this.player = new Player(this.video, openSession(name), {
      onState: (state, error) => this.state(state, error), onFallback: why => this.fallback(why),
    });
    this.timeline = new Timeline($('#timeline'), {
      fetchCoverage: (from, to, gap) => ask(`${streamPath(name)}/coverage?from=${from}&to=${to}&gap=${gap}`),
      onJump: ms => this.jump(ms), onLive: () => this.live(), onNudge: ms => this.nudge(ms),
      onRange: () => this.range(),
    });
    this.holds = new Holds($('#holds'), {
      ask, path: `${streamPath(name)}/holds`, range: () => [this.timeline.from(), Math.min(this.timeline.to(), this.timeline.now())],
      onChange: holds => { this.timeline.holds = holds; this.timeline.draw(); },
    });
    this.clip = new Clip($('#clip'), {
      ask, path: `${streamPath(name)}/clip`, range: () => [this.timeline.from(), Math.min(this.timeline.to(), this.timeline.now())],
    });
    this.health = new Health($('#health-panel'), {ask, poll, path: `${streamPath(name)}/health`});
    this.camera = new CameraPanel($('#camera'), {
      ask, poll, path: `${streamPath(name)}/camera`, edit: now => cameraForm.open(name, now),
    });
    this.events = new Events($('#events'), {ask, poll, path: `${streamPath(name)}/events`});
    this.settings = new VideoSettings($('#settings'), {
      ask, call, name, path: streamPath(name), arn: arnOfVideo, remove, onGone: () => { location.hash = '#/'; },
    });
    window.kinemaView = this; // for a look from the browser's developer tools
    this.buttons();
    this.stopPoll = poll(() => this.refresh());
    this.ticker = setInterval(() => this.tick(), 250);
    this.range();
  }

  on(target, event, handler) {
    target.addEventListener(event, handler, {signal: this.abort.signal});
  }

  buttons() {
    icon($('#back'), 'back'); icon($('#forward'), 'forward'); icon($('#full'), 'full'); icon($('#picture'), 'picture');
    this.on($('#play'), 'click', () => this.toggle());
    this.on($('#back'), 'click', () => this.nudge(-10e3));
    this.on($('#forward'), 'click', () => this.nudge(10e3));
    this.on($('#mute'), 'click', () => { this.video.muted = !this.video.muted; });
    this.on($('#volume'), 'input', () => { this.video.volume = +$('#volume').value; this.video.muted = this.video.volume === 0; });
    this.on($('#speed'), 'change', () => { this.video.playbackRate = +$('#speed').value; });
    this.on($('#protocol'), 'change', () => this.protocol($('#protocol').value));
    this.on($('#live'), 'click', () => this.live());
    this.on($('#full'), 'click', () => this.full());
    this.on($('#picture'), 'click', () => this.save());
    this.on($('#day-before'), 'click', () => this.timeline.move(-this.timeline.span * 0.8));
    this.on($('#day-after'), 'click', () => this.timeline.move(this.timeline.span * 0.8));
    this.on($('#go'), 'submit', event => {
      event.preventDefault();
      const ms = new Date($('#jump').value).getTime();
      if (ms) { this.timeline.show(ms); this.jump(ms); }
    });
    for (const button of document.querySelectorAll('.zooms button'))
      this.on(button, 'click', () => this.timeline.setSpan(+button.dataset.span));
    for (const event of ['play', 'pause', 'volumechange']) this.on(this.video, event, () => this.faces());
    this.on(this.video, 'loadeddata', () => { this.video.playbackRate = +$('#speed').value; });
    this.on(this.video, 'dblclick', () => this.full());
    this.on(this.stage, 'pointermove', () => this.awake());
    this.on(this.stage, 'pointerdown', () => this.awake());
    this.on(this.video, 'click', event => { if (event.pointerType === 'mouse') this.toggle(); });
    this.on(document, 'keydown', event => this.key(event));
    this.faces();
    this.awake();
  }

  key(event) {
    if (event.target.closest('input, select, summary, dialog') || event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      ' ': () => this.toggle(), k: () => this.toggle(), f: () => this.full(), l: () => this.live(),
      m: () => { this.video.muted = !this.video.muted; },
      ArrowLeft: () => this.nudge(event.shiftKey ? -60e3 : -10e3), ArrowRight: () => this.nudge(event.shiftKey ? 60e3 : 10e3),
    };
    if (!keys[event.key] || (event.key === ' ' && event.target.closest('button'))) return;
    event.preventDefault();
    keys[event.key]();
  }

  faces() {
    icon($('#play'), this.video.paused ? 'play' : 'pause');
    $('#play').setAttribute('aria-label', this.video.paused ? 'Play' : 'Pause');
    icon($('#mute'), this.video.muted ? 'quiet' : 'loud');
    $('#mute').setAttribute('aria-label', this.video.muted ? 'Sound on' : 'Sound off');
  }

  awake() {
    this.stage.classList.remove('idle');
    clearTimeout(this.idle);
    this.idle = setTimeout(() => { if (!this.video.paused) this.stage.classList.add('idle'); }, 2600);
  }

  // --- where it plays
  live() {
    this.started = true;
    this.timeline.end = null;
    $('#speed').value = '1';
    this.player.live();
    this.timeline.changed();
    this.marks();
  }

  jump(ms) {
    this.started = true;
    if (this.player.mode !== 'LIVE' && this.player.seekWithin(ms)) this.player.play();
    else this.player.replay(ms);
    this.timeline.setPlayhead(ms);
    this.marks();
  }

  // The other protocol, from where it is.
  protocol(name) {
    const at = this.player.mode === 'LIVE' ? 0 : this.player.wallClock() || this.timeline.playhead;
    this.player.protocol = name;
    $('#fallback').replaceChildren();
    if (at) this.player.replay(at);
    else if (this.started) this.live();
  }

  fallback(why) {
    $('#protocol').value = 'HLS';
    $('#fallback').replaceChildren(make('span', {}, `DASH failed: ${why}. HLS plays instead.`),
      make('button', {type: 'button', class: 'quiet', onclick: () => {
        $('#protocol').value = 'DASH';
        this.protocol('DASH');
      }}, 'Try DASH again'));
  }

  nudge(by) {
    const at = this.player.wallClock() || this.timeline.playhead || this.timeline.now();
    if (at + by >= this.timeline.now() - 3000) this.live();
    else { this.timeline.show(at + by); this.jump(at + by); }
  }

  toggle() {
    if (!this.started) this.live();
    else if (this.video.paused) this.player.play();
    else this.video.pause();
  }

  full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.stage.requestFullscreen) this.stage.requestFullscreen();
    else this.video.webkitEnterFullscreen?.();
  }

  save() {
    if (!this.video.videoWidth) return;
    const canvas = make('canvas', {width: this.video.videoWidth, height: this.video.videoHeight});
    canvas.getContext('2d').drawImage(this.video, 0, 0);
    canvas.toBlob(blob => {
      const url = URL.createObjectURL(blob);
      const stamp = new Date(this.player.wallClock() || Date.now()).toISOString().replace(/[:.]/g, '-');
      make('a', {href: url, download: `${this.name}-${stamp}.png`}).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    }, 'image/png');
  }

  // --- what it says
  state(state, error) {
    this.playing = state === 'playing';
    const silent = this.player.mode === 'LIVE' && this.info && !this.info.live; // asked again and again: no flicker
    this.stage.classList.toggle('busy', !silent && (state === 'loading' || state === 'waiting'));
    if (state === 'playing' || (state === 'loading' && !silent)) this.message('');
    else if (state === 'ended') this.message('The recording ends here.');
    else if (state === 'failed') {
      const nothing = error.word === 'nothing_to_play' || error.status === 404;
      if (!nothing) this.message(error.final ? error.message : `Trying again: ${error.message}`);
      else if (this.player.mode === 'LIVE') this.message(this.waiting(), false, this.lastMinute());
      else this.message('Nothing is recorded there.');
    }
    this.marks();
  }

  waiting() {
    const newest = this.info?.newestMs;
    return newest ? `No signal since ${moment(newest)}. The picture comes back by itself.` : 'Waiting for the first fragment.';
  }

  // The way into the archive of a camera that is silent.
  lastMinute() {
    const newest = this.info?.newestMs;
    return newest ? make('button', {class: 'primary', onclick: () => {
      const from = Math.max(this.info.oldestMs, newest - 60e3);
      this.timeline.show(from);
      this.jump(from);
    }}, 'Play the last minute') : undefined;
  }

  message(text, strong = false, action = undefined) {
    const box = $('#message');
    const same = text && box.textContent === text + (action?.textContent || '');
    if (!same) box.replaceChildren(...(text ? [make('div', {}, text, action)] : []));
    box.classList.toggle('strong', strong);
  }

  marks() {
    const live = this.player.mode === 'LIVE';
    $('#live').setAttribute('aria-pressed', String(live && this.started === true && this.info?.live === true));
    const badge = $('#state');
    badge.textContent = live ? (this.info?.live ? 'LIVE' : 'OFFLINE') : 'RECORDED';
    badge.className = `badge ${live ? (this.info?.live ? 'live' : '') : 'replay'}`;
  }

  range() {
    const {timeline} = this;
    if (!timeline) return;
    const from = timeline.from(), to = timeline.to();
    $('#range').textContent = day(from) === day(to) ? `${day(from)}, ${clock(from).slice(0, 5)}–${clock(to).slice(0, 5)}`
      : `${day(from)} ${clock(from).slice(0, 5)} – ${day(to)} ${clock(to).slice(0, 5)}`;
    for (const button of document.querySelectorAll('.zooms button'))
      button.setAttribute('aria-pressed', String(+button.dataset.span === timeline.span));
    $('#day-after').disabled = timeline.end === null;
  }

  tick() {
    const at = this.player.wallClock();
    $('#clock').textContent = at && this.video.videoWidth ? moment(at) : '';
    const jump = $('#jump');
    if (document.activeElement !== jump) jump.value = localInput(at || this.timeline.playhead || this.timeline.now());
    this.timeline.setPlayhead(at || (this.player.mode === 'LIVE' ? 0 : this.timeline.playhead));
    if (this.timeline.end === null && Date.now() - (this.rangedAt || 0) > 5000) {
      this.rangedAt = Date.now();
      this.range();
      this.timeline.load();
    }
    const behind = this.player.behind();
    const cell = $('#behind');
    if (cell) cell.textContent = isFinite(behind) ? seconds(behind * 1000) : '–';
  }

  async refresh() {
    let info;
    try {
      info = await ask(streamPath(this.name));
    } catch (error) {
      if (error.status === 404) {
        this.close();
        main.replaceChildren(absent(this.name));
      }
      throw error;
    }
    this.info = info;
    volume(info.volumeFull);
    this.timeline.offset = info.nowMs - Date.now();
    $('#protocol').hidden = !info.canDash || !canDash();
    $('#clip').hidden = !info.canClip;
    const cannot = undecodable(info.now); // live; older recordings may be of another codec
    const live = !this.started || this.player.mode === 'LIVE';
    if (cannot && live) this.player.stop();
    if (cannot && (live || !this.playing)) this.message(cannot, true);
    else if (!info.canPlay) this.message('Your access key may not play this stream.', true);
    else if (!this.started && info.newestMs) this.live();
    else if (!this.started) this.message(this.waiting());
    // A session outlives the signal, and stands; only one that cannot be opened fails by itself.
    else if (live && !info.live && !this.playing) this.message(this.waiting(), false, this.lastMinute());
    this.facts(info);
    this.settings.show(info);
    this.marks();
    if (!$('#connect').firstChild) $('#connect').append(addresses(info), ...recipes(this.name));
  }

  facts(info) {
    const now = info.now || {};
    const live = info.live ? [
      ['Bitrate', bits(now.bitsPerSecond)], ['Fragment', now.fragmentMs ? seconds(now.fragmentMs) : '–'],
      ['Camera to server', seconds(now.delayMs)], ['Player behind live', '–', 'behind'],
    ] : [
      ['Last fragment', info.newestMs ? `${duration(info.nowMs - info.newestMs)} ago` : 'none yet', '', 'wide'],
    ];
    const picture = shape(now);
    const rows = [
      ...live, ...(picture ? [['Picture', picture]] : []),
      ...(codecs(now) ? [['Codec', codecs(now), '', picture ? '' : 'wide']] : []),
      ['Stored', bytes(info.bytes || 0)], ['Kept for', hours(info.retentionHours)],
      ...(info.oldestMs ? [['Recorded since', moment(info.oldestMs), '', 'wide']] : []),
    ];
    const behind = $('#behind')?.textContent;
    $('#facts').replaceChildren(...rows.map(([label, value, id, wide]) => make('div', {class: wide || ''},
      make('dt', {}, label), make('dd', id ? {id} : {}, value))));
    if (behind && $('#behind')) $('#behind').textContent = behind;
  }

  close() {
    if (this.abort.signal.aborted) return;
    this.abort.abort();
    this.stopPoll();
    this.camera.close();
    this.health.close();
    this.events.close();
    clearInterval(this.ticker);
    clearTimeout(this.idle);
    this.player.stop();
    this.timeline.close();
  }
}

window.addEventListener('hashchange', route);
route();
