// How to photograph, with pictures of our own demo flight (demo/spaceport_demo/guide.py makes them).

import { h, replace } from '../dom.js';

export const guidePage = (main) => {
  replace(main, guide(true));
};

export const guide = (alone = false) =>
  h('section', { class: alone ? 'guide alone' : 'guide', 'aria-labelledby': 'guide' },
    h(alone ? 'h1' : 'h2', { id: 'guide' }, 'How to take the photos'),
    h('p', {}, 'A model is as good as what the photos agree on. Three habits make most of the difference.'),
    h('div', { class: 'advice' }, ADVICE.map(advice)),
    h('dl', { class: 'takes' }, TAKES.map(([what, told]) => h('div', {}, h('dt', {}, what), h('dd', {}, told)))));

const layers = (picture, lines, words) =>
  h('div', { class: 'layers' },
    h('img', { src: `pictures/${picture}`, alt: words, width: 900, height: 675, loading: 'lazy' }),
    h('img', { src: `pictures/${lines}`, alt: '', loading: 'lazy' }));

const image = (name, words) => h('img', { src: `pictures/${name}`, alt: words, loading: 'lazy' });

const ADVICE = [
  {
    title: 'Let them overlap',
    words: 'Each place in several photos: 80 % overlap ahead, 70 % to the sides. Fly lines back and forth, and let the drone take a photo every few metres.',
    pictures: () => layers('overlap.jpg', 'overlap.svg', 'A hamlet by a lake from above. Dots mark where the photos were taken, in three lines; the frames of two photos in a row overlap by most of their area.'),
    shape: '',
  },
  {
    title: 'Look from the side, too',
    words: 'Straight down, walls are lines and heights are guesses. A round of photos tilted by 40 to 50 degrees shows the walls, and what stands under the eaves.',
    pictures: () => [image('straight.jpg', 'A house from straight above: only its roof shows.'), image('slanted.jpg', 'The same house at a slant: its walls and windows show.')],
    shape: 'rows',
  },
  {
    title: 'Lock the exposure',
    words: 'Set exposure and white balance once, by hand, before take-off. On automatic the same roof is dark in one photo and pale in the next, and the model shows both.',
    pictures: () => [image('locked.jpg', 'Three photos in a row, all equally bright.'), image('automatic.jpg', 'The same three photos on automatic: one dark, one right, one pale.')],
    shape: 'rows',
  },
];

const advice = ({ title, words, pictures, shape }) =>
  h('article', {}, h('div', { class: `pictures ${shape}` }, pictures()), h('h3', {}, title), h('p', {}, words));

const TAKES = [
  ['What it takes', 'JPEG, PNG, TIFF, BMP, WebP, HEIC or DNG, as the camera wrote them: 3 photos or more, 20 to 200 for a place.'],
  ['GPS', 'In the photos’ EXIF, as drones write it. Then the model has metres, a north and a place on the map.'],
  ['Ground control', 'A gcp_list.txt beside the photos makes the model as exact as its points.'],
  ['Light and wind', 'A bright overcast day, and still air: what moves between two photos becomes a blur.'],
];
