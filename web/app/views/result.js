// A finished model: look around in it, take it away, pass it on.

import { addressOf } from '../config.js';
import { h, replace } from '../dom.js';
import { clock, counted, date, decimal, price, size } from '../format.js';
import { modelFigures, modelScreen } from '../model.js';
import { compass, copyButton, figures, press, problemBox, section } from '../parts.js';
import { asProblem } from '../problem.js';
import { STAGES, costOf } from '../stages.js';
import { tuningForm } from '../tuning.js';

const FILES = [
  ['sog', 'model.sog', 'The model itself, for the web: PlayCanvas, SuperSplat'],
  ['spz', 'model.spz', 'For engines and phones'],
  ['ply', 'model.ply', 'For editors: every number as it was trained'],
  ['gltf', 'model.glb', 'For glTF tools'],
  ['report', 'report.html', 'The whole report, to keep, print or send'],
  ['points', 'points.ply', 'The points that the poses rest on'],
  ['cameras', 'cameras.geojson', 'Where each photo was taken, for a map'],
  ['georef', 'georef.json', 'The way back to coordinates on Earth'],
];
const DAYS = [[1, 'for a day'], [7, 'for a week'], [30, 'for a month']];

export const result = (app, status, { retry }) => {
  const { outputs = {}, metrics } = status;
  const address = (name) => addressOf(app.config, outputs[name]);
  const poster = address('thumbnail');
  const cost = costOf(status);
  const total = Object.values(status.stages).reduce((sum, { seconds }) => sum + (seconds ?? 0), 0);
  const numbers = figures([...modelFigures(metrics), [clock(total), null, cost ? `of work, for ${price(cost)}` : 'of work']]);
  const files = h('ul', { class: 'files' });
  const place = h('div');
  const drawFiles = (quality) => replace(files, FILES.filter(([name]) => address(name)).map(([name, file, words]) => {
    const bytes = name === 'sog' ? metrics.sog_bytes : quality?.delivery?.files?.[file];
    return h('li', {}, h('a', { href: address(name), download: file }, file), h('span', {}, bytes && size(bytes)), h('small', {}, words));
  }));
  drawFiles(null);
  const measured = address('quality');
  if (measured) {
    fetch(measured).then((response) => response.json()).then((quality) => {
      drawFiles(quality);
      if (quality.georef) replace(place, onEarth(quality.georef));
    }).catch((error) => console.error(error)); // the page is whole without it
  }

  return {
    element: h('div', {},
      modelScreen(status.jobName, outputs.viewerUrl, poster),
      h('div', { class: 'section' }, numbers),
      status.warnings.length > 0 && h('ul', { class: 'notes section' }, status.warnings.map((words) => h('li', {}, words))),
      h('div', { class: 'result section' },
        section('Take it with you',
          files.firstChild ? files : h('p', { class: 'quiet' }, 'This stack does not serve its files on the web. ', h('code', {}, `spaceport watch ${status.jobId}`), ' fetches them.')),
        h('div', { class: 'aside' }, outputs.viewerUrl && share(app, status.jobId), place, film(address('video'), poster))),
      anew(retry)),
  };
};

// Other settings, from the stage that they matter to; what the stages before it made is used again.
const anew = (retry) => {
  const tuning = tuningForm();
  const from = h('select', { 'aria-label': 'Where to begin' },
    h('option', { value: '' }, 'from where the settings matter'),
    STAGES.map(([name, words]) => h('option', { value: name }, `from ${words.toLowerCase()}`)));
  const again = (event) => {
    event.preventDefault();
    retry({ ...(from.value && { pipelineStep: from.value }), tuning: tuning.read() });
  };
  return h('form', { class: 'section anew', onsubmit: again, 'aria-label': 'Make it otherwise' },
    h('h2', {}, 'Make it otherwise'),
    h('p', { class: 'quiet' }, 'With other settings, from the same photos. This model gives way to the new one.'),
    tuning.element,
    h('div', { class: 'actions' }, h('div', {}, from), h('button', {}, 'Do it again')));
};

// Links that end by themselves, and that can all be taken back. Each is told once: nobody keeps them.
const share = (app, jobId) => {
  const days = h('select', { 'aria-label': 'For how long' }, DAYS.map(([value, words]) => h('option', { value, selected: value === 7 }, words)));
  const told = h('div', { role: 'status' });
  const asked = (work) => async () => {
    try {
      replace(told, await work());
    } catch (error) {
      replace(told, problemBox(asProblem(error)));
    }
  };
  const give = async () => {
    const { token, expiresAt } = await app.api.post(`/jobs/${jobId}/share`, { days: Number(days.value) });
    const link = new URL(`#/shared/${token}`, location.href).href;
    return [
      h('div', { class: 'share' }, h('input', { readonly: true, value: link, 'aria-label': 'Link to the model', onfocus: (event) => event.target.select() }), copyButton(link)),
      h('p', { class: 'small' }, `Good until ${date(expiresAt)}. It is shown only now: keep it.`)];
  };
  const takeBack = async () => {
    const { links } = await app.api.delete(`/jobs/${jobId}/share`);
    return h('p', { class: 'small' }, links ? `${counted(links, 'link')} taken back: nobody gets in by ${links === 1 ? 'it' : 'them'} any more.` : 'There was none to take back.');
  };
  return section('Pass it on',
    h('p', { class: 'quiet small' }, 'Whoever has the link can look around in the model, and needs no account.'),
    h('div', { class: 'share' }, days, press('Make a link', asked(give))),
    told,
    press('Take all links back', asked(takeBack), 'plain small'));
};

// Nothing of it is loaded before it is played.
const film = (address, poster) =>
  address && section('A short flight',
    h('video', { controls: true, preload: 'none', playsinline: true, poster, src: address, 'aria-label': 'A flight over the model, without sound' }),
    h('p', { class: 'small' }, h('a', { href: address, download: 'flight.mp4' }, 'flight.mp4')));

const onEarth = ({ origin, rms_horizontal_m: off, source }) => {
  const where = `${Math.abs(origin.lat).toFixed(5)}° ${origin.lat < 0 ? 'S' : 'N'}, ${Math.abs(origin.lon).toFixed(5)}° ${origin.lon < 0 ? 'W' : 'E'}`;
  const map = `https://www.openstreetmap.org/?mlat=${origin.lat}&mlon=${origin.lon}#map=18/${origin.lat}/${origin.lon}`;
  return section('On Earth',
    h('div', { class: 'place' }, compass(),
      h('p', {}, where, h('br'),
        h('span', { class: 'quiet small' }, `The model is in metres and knows north; it is ${decimal(off)} m off ${source === 'gps' ? 'the photos’ GPS' : 'the control points'}. `,
          h('a', { href: map, target: '_blank', rel: 'noopener noreferrer' }, 'On a map'), ' (OpenStreetMap)'))));
};
