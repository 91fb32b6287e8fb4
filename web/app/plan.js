// The flight from above: where photos were taken, from cameras.geojson, with north and a scale.

import { s } from './dom.js';

const [WIDE, NARROW, HIGH] = [560, 340, 380];
const EDGE = 46;
const METRES_PER_DEGREE = 111_320; // of latitude; of longitude times the latitude's cosine
const ROUND = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

export const plan = ({ features }, held) => {
  const shots = features.filter(({ properties }) => properties.kind === 'photo' && properties.registered)
    .map(({ geometry: { coordinates }, properties: { name } }) => ({ lon: coordinates[0], lat: coordinates[1], name }));
  const middle = shots.reduce((sum, { lat }) => sum + lat, 0) / shots.length;
  const east = ({ lon }) => lon * METRES_PER_DEGREE * Math.cos((middle * Math.PI) / 180);
  const north = ({ lat }) => lat * METRES_PER_DEGREE;
  const [west, right, south, up] = [Math.min(...shots.map(east)), Math.max(...shots.map(east)), Math.min(...shots.map(north)), Math.max(...shots.map(north))];
  const wide = innerWidth < 600 ? NARROW : WIDE;
  const scale = Math.min((wide - 2 * EDGE) / Math.max(right - west, 1), (HIGH - 2 * EDGE) / Math.max(up - south, 1));
  const x = (shot) => wide / 2 + (east(shot) - (west + right) / 2) * scale;
  const y = (shot) => HIGH / 2 - (north(shot) - (south + up) / 2) * scale;
  const metres = ROUND.findLast((length) => length * scale <= wide / 3) ?? 1;
  const way = shots.map((shot) => `${x(shot).toFixed(1)} ${y(shot).toFixed(1)}`).join('L');
  return s('svg', { viewBox: `0 0 ${wide} ${HIGH}`, role: 'img', 'aria-label': `${shots.length} places where photos were taken, over ${Math.round(Math.max(right - west, up - south))} metres.` },
    s('path', { class: 'flight', d: `M${way}` }),
    shots.map((shot) => s('circle', { class: held.has(shot.name) ? 'held' : 'shot', cx: x(shot), cy: y(shot), r: 5 }, s('title', {}, shot.name))),
    s('path', { class: 'north', d: `M${wide - 28} 20l7 20-7-4-7 4z` }), s('text', { x: wide - 28, y: 55, 'text-anchor': 'middle' }, 'N'),
    s('path', { class: 'scale', d: `M20 ${HIGH - 20}h${metres * scale}` }), s('text', { x: 20, y: HIGH - 28 }, `${metres} m`));
};
