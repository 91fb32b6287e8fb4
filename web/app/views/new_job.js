// A new model: drop photos, say how, send.

import { h, replace, say } from '../dom.js';
import { filesOf, isZip, namedFiles } from '../dropped.js';
import { counted, size } from '../format.js';
import { field, land, press, problemBox, progressLine } from '../parts.js';
import { judge, isPhoto } from '../photo_rules.js';
import { Problem, asProblem } from '../problem.js';
import { tuningForm } from '../tuning.js';
import { Upload, markOf } from '../uploads.js';
import { inspectZip } from '../zip_reader.js';
import { zipOf } from '../zip_writer.js';

const PRESETS = {
  preview: ['Preview', 'Minutes, even without a GPU: to see whether the photos are good.'],
  balanced: ['Balanced', 'What most flights deserve.'],
  quality: ['Quality', 'Large photos, many Gaussians: for flights with a lot of detail.'],
};
const THUMBNAILS = 14; // and in the place of the fifteenth how many there are besides
const SHOWABLE = /\.(jpe?g|png|webp|bmp)$/i;
const THUMBNAIL_PX = 240;
const METADATA_LIMIT = 2000; // bytes; S3 holds 2 KB of user metadata, names included

export const newJob = (main, app) => {
  const stage = h('div');
  const told = h('div');
  const name = h('input', { name: 'jobName', maxlength: 200, autocomplete: 'off' });
  const email = h('input', { name: 'email', type: 'email', autocomplete: 'email', maxlength: 254 });
  const presets = presetChoice(app.config.preset);
  const tuning = tuningForm();
  const start = h('button', { class: 'primary', disabled: true }, 'Make the model');
  const sending = h('div', { class: 'sending' });
  let chosen = null;
  let upload = null;
  let addresses = [];

  const free = () => {
    for (const address of addresses) URL.revokeObjectURL(address);
    addresses = [];
  };

  const reset = () => {
    free();
    chosen = null;
    start.disabled = true;
    replace(stage, dropZone(take));
  };

  const take = async (gathered) => {
    replace(told);
    try {
      const found = await gathered;
      chosen = await judged(found, await limitsOf(app));
      if (!name.value) name.value = chosen.suggested;
      free();
      replace(stage, contactSheet(chosen, addresses, reset));
      start.disabled = false;
      app.say(`${counted(chosen.photos.length, 'photo')} chosen.`);
    } catch (error) {
      reset();
      replace(told, problemBox(asProblem(error)));
    }
  };

  const submit = async (event) => {
    event.preventDefault();
    if (!chosen) return;
    replace(told);
    form.inert = true;
    const asked = { preset: presets.read(), ...tuning.read() };
    const request = { ...asked, ...(name.value.trim() && { jobName: name.value.trim() }), ...(email.value && { email: email.value }) };
    const parts = sendingParts(chosen, {
      pause: () => (upload.state === 'paused' ? upload.resume() : upload.pause()),
      cancel: () => upload?.cancel(),
    });
    replace(sending, parts.element);
    try {
      if (JSON.stringify(request).length > METADATA_LIMIT) {
        throw new Problem('too_large', 'The name and the settings are too long to travel with the zip.', 'Choose a shorter name.');
      }
      const zip = chosen.zip ?? (await zipOf(chosen.files, (read) => parts.packing(read / chosen.bytes)));
      upload = new Upload(app.api, zip, {
        fileName: chosen.fileName,
        request,
        mark: await markOf(chosen.files, request),
        onChange: parts.show,
      });
      location.hash = `#/jobs/${await upload.run()}`;
    } catch (error) {
      const problem = asProblem(error);
      replace(sending);
      form.inert = false;
      if (problem.code !== 'cancelled') replace(told, problemBox(problem));
    } finally {
      upload = null;
    }
  };

  const form = h('form', { onsubmit: submit, 'aria-label': 'How to make it' },
    field('Name', name),
    presets.element,
    tuning.element,
    field('E-mail when it is done', email, 'If you like. It is used for nothing else.'),
    h('div', { class: 'actions' }, start));

  reset();
  replace(main,
    h('div', { class: 'headline' }, h('h1', {}, 'New model'), h('a', { class: 'quiet small', href: '#/photos' }, 'How to take good photos')),
    h('div', { class: 'make' }, h('div', {}, told, stage), h('div', {}, form, sending)));

  const warn = (event) => upload && event.preventDefault();
  addEventListener('beforeunload', warn);
  return () => {
    removeEventListener('beforeunload', warn);
    free();
    if (upload && upload.state !== 'done') upload.pause();
  };
};

let limits = null;
const limitsOf = async ({ api }) => (limits ??= (await api.get('/limits')).zip);

// What was chosen, judged as the cloud will: throws a Problem in its words.
const judged = async (found, rules) => {
  const zips = found.filter(isZip);
  if (zips.length === 1 && !found.some(({ name }) => isPhoto(name))) {
    const [{ file }] = zips;
    const contents = await inspectZip(file, rules);
    const suggested = file.name.replace(/\.zip$/i, '');
    return { ...contents, zip: file, files: zips, fileName: file.name, bytes: file.size, suggested };
  }
  if (zips.length > 1) {
    throw new Problem('several_zips', 'These are several zips.', 'One zip becomes one model: send them one after the other.');
  }
  const folder = found[0]?.name.includes('/') ? found[0].name.split('/')[0] : '';
  const contents = judge(found.map(({ name, file }) => ({ name, size: file.size })), folder || 'Your choice', rules);
  const bytes = found.reduce((sum, { file }) => sum + file.size, 0);
  const files = [...found].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { ...contents, zip: null, files, fileName: `${folder || 'photos'}.zip`, bytes, suggested: folder };
};

const dropZone = (take) => {
  const input = h('input', {
    type: 'file', class: 'unseen', multiple: true, id: 'photos', 'aria-label': 'A zip of photos, or the photos',
    onchange: () => input.files.length && take(namedFiles(input.files)),
  });
  const zone = h('label', { class: 'drop framed', for: 'photos' },
    land(),
    h('p', { class: 'big' }, 'Drop a zip, a folder, or the photos'),
    h('p', { class: 'quiet' }, 'They are looked at here before anything is sent.'),
    h('span', { class: 'button' }, 'Choose files'), input);
  const over = (isOver) => (event) => {
    event.preventDefault();
    zone.classList.toggle('over', isOver);
  };
  zone.addEventListener('dragover', over(true));
  zone.addEventListener('dragleave', over(false));
  zone.addEventListener('drop', (event) => {
    over(false)(event);
    take(filesOf(event.dataTransfer));
  });
  return zone;
};

// What was chosen, like a photographer's contact sheet.
const contactSheet = (chosen, addresses, again) => {
  const shown = chosen.zip ? [] : chosen.files.filter(({ name }) => isPhoto(name) && SHOWABLE.test(name)).slice(0, THUMBNAILS);
  const rest = chosen.photos.length - shown.length;
  return h('div', { class: 'chosen framed' },
    h('header', {},
      h('h2', {}, counted(chosen.photos.length, 'photo')),
      press('Choose others', again, 'plain small')),
    h('p', { class: 'quiet' }, chosen.zip ? `${chosen.fileName}, ${size(chosen.bytes)}` : size(chosen.bytes)),
    chosen.warnings.length > 0 && h('ul', { class: 'notes' }, chosen.warnings.map((words) => h('li', {}, words))),
    chosen.zip
      ? h('p', { class: 'small quiet' }, chosen.photos.slice(0, 6).map(({ name }) => name).join(', '), rest > 6 && ` and ${rest - 6} more`)
      : h('div', { class: 'contact' },
          shown.map(({ name, file }) => h('div', {}, thumbnail(file, name, addresses))),
          rest > 0 && h('div', { class: 'more' }, `+ ${rest}`)));
};

// A small copy: a browser that holds fifteen drone photos at full size is a browser without memory.
const thumbnail = (file, name, addresses) => {
  const image = h('img', { alt: name });
  createImageBitmap(file, { resizeWidth: THUMBNAIL_PX, resizeQuality: 'medium' })
    .then(async (bitmap) => {
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      canvas.getContext('2d').drawImage(bitmap, 0, 0);
      bitmap.close();
      const address = URL.createObjectURL(await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.8 }));
      addresses.push(address);
      image.src = address;
    })
    .catch(() => image.remove()); // the cloud will say what is wrong with it
  return image;
};

const presetChoice = (initial) => {
  const element = h('fieldset', {}, h('legend', {}, 'How good'), h('div', { class: 'presets' },
    Object.entries(PRESETS).map(([value, [words, told]]) =>
      h('label', {}, h('input', { type: 'radio', name: 'preset', value, checked: value === initial }), h('b', {}, words), h('small', {}, told)))));
  return { element, read: () => element.querySelector(':checked').value };
};

// The zip on its way: a line, words, and what can be done about it.
const sendingParts = (chosen, { pause, cancel }) => {
  const line = progressLine('Upload');
  const words = h('span', { role: 'status' }, chosen.zip ? 'Beginning' : 'Packing the photos');
  const amount = h('span');
  const pauseButton = press('Pause', pause, null, { hidden: true });
  const cancelButton = press('Give it up', cancel, 'plain', { hidden: true });
  const element = h('div', {}, line.element, h('p', {}, words, amount), h('div', { class: 'actions' }, pauseButton, cancelButton));
  const WORDS = { sending: 'Sending', paused: 'Paused', waiting: 'No connection; it goes on by itself', done: 'All there' };
  const show = (upload) => {
    line.set(upload.total ? upload.sent / upload.total : 0);
    say(words, WORDS[upload.state] ?? '');
    say(amount, `${size(upload.sent)} of ${size(upload.total)}`);
    say(pauseButton, upload.state === 'paused' ? 'Go on' : 'Pause');
    pauseButton.hidden = cancelButton.hidden = upload.state === 'done';
  };
  return { element, show, packing: (share) => line.set(share) };
};
