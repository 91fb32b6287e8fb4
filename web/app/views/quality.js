// How good a model is: what it learnt, how it looks beside photos, where they were taken, what it took.

import { curve } from '../chart.js';
import { addressIn, addressOf } from '../config.js';
import { h, replace } from '../dom.js';
import { clock, count, decimal, listed, price, size } from '../format.js';
import { parsed } from '../json.js';
import { figures, press, section } from '../parts.js';
import { Problem } from '../problem.js';
import { plan } from '../plan.js';
import { STAGES } from '../stages.js';

const GAP = 8; // white pixels between the photo and the model in a comparison (pictures/comparisons.py)

export const quality = async (main, app, jobId) => {
  replace(main, h('div', { class: 'headline' }, h('h1', {}, 'How good is it?')));
  const status = await app.api.get(`/jobs/${jobId}`);
  app.title(`Quality of ${status.jobName}`);
  const address = addressOf(app.config, status.outputs?.quality);
  if (!address) throw new Problem('no_quality', 'There are no measurements of this job here.', 'A model that is ready has them.');
  const measured = await json(address);
  const [log, cameras] = await Promise.all([
    text(addressIn(app.config, jobId, 'gaussian/training.log')),
    json(addressOf(app.config, status.outputs.cameras)).catch(() => null),
  ]);
  const { training, delivery, photos, georef } = measured;
  replace(main,
    h('div', { class: 'headline' },
      h('div', {}, h('p', {}, h('a', { href: `#/jobs/${jobId}` }, status.jobName)), h('h1', { tabindex: '-1' }, 'How good is it?')),
      status.outputs.report && h('a', { class: 'button', href: addressOf(app.config, status.outputs.report), target: '_blank', rel: 'noopener' }, 'The whole report')),
    figures([
      training.psnr_holdout === null ? [decimal(training.psnr_train), 'dB', 'PSNR, photos it learnt from'] : [decimal(training.psnr_holdout), 'dB', 'PSNR, photos it never saw'],
      [training.psnr_holdout === null ? null : decimal(training.ssim_holdout, 2), null, 'SSIM, photos it never saw'],
      [count(photos.registered), `of ${count(photos.given)}`, 'photos placed'],
      [decimal(measured.sfm.reprojection_px, 2), 'px', 'reprojection error'],
      [georef && decimal(georef.rms_horizontal_m), 'm', 'from GPS, across'],
      [decimal(delivery.bytes_per_gaussian), 'bytes', 'a Gaussian'],
    ]),
    h('p', { class: 'quiet aside-note' }, training.psnr_holdout === null
      ? 'With few photos none is held out: these numbers are of photos that the model learnt from, and flatter it.'
      : `${counted(training.holdout)} held out: the model never saw them, so they tell what it is worth where no photo was.`),
    comparisons(app, jobId, training),
    h('div', { class: 'pair section' },
      log && h('figure', { class: 'chart' }, h('h2', {}, 'How it learnt'), learning(log), h('figcaption', {}, 'Thin: photo by photo, while they grow from small to full size. Thick: on the same few photos at full size.')),
      cameras && h('figure', { class: 'map' }, h('h2', {}, 'Where the photos were taken'), plan(cameras, new Set(training.holdout)),
        h('figcaption', {}, caption(photos, training)))),
    h('div', { class: 'pair section' }, stages(status), sizes(delivery)));
  main.querySelector('h1').focus({ preventScroll: true });
};

const counted = (names) => (names.length === 1 ? 'One photo was' : `${names.length} photos were`);

const caption = ({ unregistered, refused }, { holdout }) =>
  [
    holdout.length > 0 && 'Held-out photos are coloured.',
    unregistered?.length > 0 && `${unregistered.length} fitted nowhere: ${listed(unregistered)}.`,
    refused.length > 0 && `${refused.length} could not be used: ${listed(refused.map(({ name }) => name))}.`,
  ].filter(Boolean).join(' ') || 'All of them found their place.';

// Photos beside the model from the same place, under a slider.
const comparisons = (app, jobId, { views, holdout }) => {
  if (!views?.length) return null;
  const folder = holdout.length ? 'held_out' : 'trained_on';
  const range = h('input', { type: 'range', min: 0, max: 100, value: 50, 'aria-label': 'How much of the photo to show' });
  const [photo, render] = [h('canvas'), h('canvas')];
  const frame = h('div', { class: 'compare' }, photo, render, h('i'), h('span', { class: 'left' }, 'Photo'), h('span', { class: 'right' }, 'Model'), range);
  const told = h('figcaption', { 'aria-live': 'polite' });
  const move = () => frame.style.setProperty('--at', `${range.value}%`);
  range.addEventListener('input', move);
  move();

  const show = (view, button) => {
    for (const other of strip.children) other.setAttribute('aria-pressed', String(other === button));
    const name = view.name.replaceAll('/', '_').replace(/\.jpg$/, '');
    const image = new Image();
    image.src = addressIn(app.config, jobId, `gaussian/${folder}/${name}.jpg`);
    image.decode().then(() => {
      const width = (image.naturalWidth - GAP) / 2;
      for (const [canvas, from] of [[photo, 0], [render, width + GAP]]) {
        Object.assign(canvas, { width, height: image.naturalHeight });
        canvas.getContext('2d').drawImage(image, from, 0, width, image.naturalHeight, 0, 0, width, image.naturalHeight);
      }
      whole.hidden = false;
    }).catch(() => {}); // an older image of training makes none
    told.textContent = `${view.name}: ${decimal(view.psnr)} dB, SSIM ${decimal(view.ssim, 2)}, ${Math.round(100 * view.detail)} % of the photo’s detail`;
  };
  const strip = h('div', { class: 'strip', role: 'group', 'aria-label': 'Photos' }, views.map((view) => {
    const button = press(view.name.split('/').pop().replace(/^\d{4}_/, '').replace(/\.jpe?g$/i, ''), () => show(view, button));
    return button;
  }));
  const whole = h('div', { class: 'section', hidden: true }, section('Beside the photos', h('figure', {}, frame, told), strip));
  show(views[0], strip.firstChild);
  return whole;
};

const learning = (log) => {
  const steps = log.split('\n').map(parsed).filter((line) => line?.event === 'step');
  const curves = [
    { points: steps.map(({ iteration, psnr_running: psnr }) => [iteration, psnr]), kind: 'faint' },
    { points: steps.filter(({ psnr_subset: psnr }) => psnr !== null).map(({ iteration, psnr_subset: psnr }) => [iteration, psnr]), kind: 'curve' },
  ].filter(({ points }) => points.length > 1);
  return curves.length ? curve(curves) : h('p', { class: 'quiet' }, 'It was too short for a curve.');
};

const stages = (status) => {
  const rows = STAGES.map(([name, words]) => [words, status.stages[name] ?? {}]);
  const seconds = rows.reduce((sum, [, stage]) => sum + (stage.seconds ?? 0), 0);
  const known = rows.every(([, { cost }]) => cost !== null && cost !== undefined);
  return section('Time and cost', h('table', { class: 'times' },
    h('thead', {}, h('tr', {}, ['Stage', 'Machine', 'Time', 'Cost'].map((words) => h('th', { scope: 'col' }, words)))),
    h('tbody', {}, rows.map(([words, stage]) => h('tr', {},
      h('th', { scope: 'row' }, words), h('td', { class: 'quiet' }, stage.instance ?? '–'), h('td', {}, stage.seconds ? clock(stage.seconds) : '–'), h('td', {}, price(stage.cost)))),
    h('tr', {}, h('th', { scope: 'row' }, h('b', {}, 'All')), h('td', {}), h('td', {}, h('b', {}, clock(seconds))), h('td', {}, h('b', {}, known ? price(rows.reduce((sum, [, { cost }]) => sum + cost, 0)) : price(null)))))));
};

const sizes = ({ ply_bytes: ply, sog_bytes: sog, decode_psnr_db: decoded, psnr_loss_db: lost, files }) => {
  const rows = [['As trained (.ply)', ply, false], ['.spz', files?.['model.spz'], false], ['Delivered (.sog)', sog, true]].filter(([, bytes]) => bytes);
  const most = Math.max(...rows.map(([, bytes]) => bytes));
  return section('Size',
    h('ul', { class: 'bars' }, rows.map(([words, bytes, isOurs]) => h('li', { class: isOurs && 'ours' }, h('span', {}, words),
      bar(bytes / most), h('span', {}, size(bytes))))),
    h('p', { class: 'quiet small' }, `${Math.round(ply / sog)} times smaller than plain 3DGS keeps the same model. It shows it at ${decimal(decoded)} dB, and ${lost > 0.005 ? `loses ${decimal(lost, 2)} dB` : 'loses nothing'} against the photos.`));
};

const bar = (share) => {
  const element = h('i');
  element.style.width = `${100 * share}%`;
  return element;
};

const json = async (address) => (await found(address)).json();
const text = async (address) => found(address).then((response) => response.text()).catch(() => '');

const found = async (address) => {
  if (!address) throw new Problem('not_served', 'This stack does not serve its files on the web.', '');
  const response = await fetch(address);
  if (!response.ok) throw new Problem('not_found', 'The measurements of this job are gone.', 'Results may be deleted after a while.', response.status);
  return response;
};
