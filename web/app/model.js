// A finished model, wherever it is shown: the screen that its viewer begins on, and its numbers.

import { h, replace } from './dom.js';
import { count, decimal, size } from './format.js';
import { land, press } from './parts.js';

// The viewer is loaded once someone wants to look.
export const modelScreen = (name, viewerUrl, poster) => {
  const screen = h('div', { class: 'screen wide' });
  const fullscreen = press('Fill the screen', () => screen.requestFullscreen(), 'plain small', { hidden: true });
  const begin = () => {
    replace(screen, h('iframe', { src: viewerUrl, title: `The model ${name}, to look around in`, allow: 'fullscreen; xr-spatial-tracking' }));
    fullscreen.hidden = false;
    screen.firstChild.focus();
  };
  replace(screen, land(), poster && h('img', { src: poster, alt: `The model ${name} from above`, onerror: (event) => event.target.remove() }),
    viewerUrl && h('div', { class: 'play' }, press('Look around in it', begin)));
  return h('div', {}, screen, fullscreen);
};

const known = (value, shown) => (value === undefined ? null : shown(value));

// Rows for `figures`, of a job's metrics.
export const modelFigures = ({ registered, photos, psnr_holdout: unseen, psnr_train: seen, gaussians, sog_bytes: bytes }) => [
  [known(registered, count), known(photos, (all) => `of ${count(all)}`), 'photos placed'],
  unseen === undefined
    ? [known(seen, decimal), 'dB', 'likeness to photos it learnt from']
    : [decimal(unseen), 'dB', 'likeness to photos it never saw'],
  [known(gaussians, count), null, 'Gaussians'],
  [...(known(bytes, (all) => size(all).split(' ')) ?? [null, null]), 'to load'],
];
