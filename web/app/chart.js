// Curves as SVG.

import { h, replace, s } from './dom.js';

const [WIDE, NARROW, HEIGHT] = [560, 340, 220]; // on a phone its words would else be too small to read
const EDGE = { left: 34, right: 12, top: 12, bottom: 26 };
const MOST_POINTS = 400; // more than a curve shows; older ones are thinned

// A live curve of PSNR by iteration. `add` takes a point, `points` are all.
export const psnrCurve = (points = []) => {
  const element = h('figure', { class: 'chart' });
  const draw = () => replace(element, h('h3', {}, 'Likeness to the photos'), points.length > 1 ? curve([{ points, kind: 'curve' }]) : waiting());
  draw();
  return {
    element,
    points,
    add: (iteration, psnr) => {
      if (points.length && !(iteration > points.at(-1)[0])) return;
      points.push([iteration, psnr]);
      if (points.length > MOST_POINTS) thin(points);
      draw();
    },
  };
};

const waiting = () => h('div', { class: 'empty' }, 'The curve begins with the training.');

const thin = (points) => {
  const kept = points.filter((_, index) => index % 2 === 0 || index === points.length - 1);
  points.splice(0, points.length, ...kept);
};

// Curves over common axes: [{points: [[x, y]], kind}], y in dB, x in iterations.
export const curve = (curves) => {
  const width = innerWidth < 600 ? NARROW : WIDE;
  const all = curves.flatMap(({ points }) => points);
  const lastX = Math.max(...all.map(([x]) => x));
  const [low, high] = [Math.floor(Math.min(...all.map(([, y]) => y)) - 0.5), Math.ceil(Math.max(...all.map(([, y]) => y)) + 0.5)];
  const x = (value) => EDGE.left + (value / lastX) * (width - EDGE.left - EDGE.right);
  const y = (value) => HEIGHT - EDGE.bottom - ((value - low) / (high - low)) * (HEIGHT - EDGE.top - EDGE.bottom);
  const [endX, endY] = curves.at(-1).points.at(-1);
  const words = `Likeness to the photos, ${endY.toFixed(1)} decibels after ${Math.round(endX)} iterations.`;
  return s('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', 'aria-label': words },
    ticks(low, high).map((value) => [
      s('path', { class: 'grid', d: `M${EDGE.left} ${y(value)}H${width - EDGE.right}` }),
      s('text', { x: EDGE.left - 8, y: y(value) + 4, 'text-anchor': 'end' }, value),
    ]),
    s('text', { x: EDGE.left, y: HEIGHT - 6 }, 'dB, by iteration'),
    s('text', { x: width - EDGE.right, y: HEIGHT - 6, 'text-anchor': 'end' }, Math.round(lastX).toLocaleString('en-US')),
    curves.map(({ points, kind }) =>
      s('path', { class: kind, d: `M${points.map(([a, b]) => `${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join('L')}` })),
    s('circle', { class: 'dot', cx: x(endX), cy: y(endY), r: 4.5 }));
};

const ticks = (low, high) => {
  const step = [1, 2, 5, 10, 20].find((size) => (high - low) / size <= 5) ?? 50;
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, index) => first + index * step);
};
