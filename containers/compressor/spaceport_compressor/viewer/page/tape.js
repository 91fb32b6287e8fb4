// The tape measure: points on the model's surface, the way along them, and how sure that is.
//
// A point is where the viewer's own picker has the surface: the depth at which the opacity in front of it comes to
// one half, over a disc of a few pixels. It looks at the Gaussians as they are drawn, so haze does not count.

const STILL = 8; // CSS pixels that a finger moves on a tap
// Of each end: nobody points better than to a pixel or two, and a model's surface is about as rough.
const AIM = 1.5;
const STEP = 12; // of the cross hairs by an arrow key, CSS pixels

export const length = (points) => {
  let sum = 0;
  for (let i = 1; i < points.length; i += 1) sum += points[i].at.distance(points[i - 1].at);
  return sum;
};

// Both ways, once in three times: the ends are off by themselves, the scale is of the whole.
export const margin = (points, place) => {
  let squares = 0;
  points.forEach(({ footprint }, i) => {
    const ends = i === 0 || i === points.length - 1 ? 1 : 2;
    squares += ends * (AIM * footprint) ** 2;
  });
  return Math.hypot(Math.sqrt(squares), length(points) * (place?.scaleError ?? 0));
};

// As many digits as the margin leaves: 23.4 ± 0.3.
export const told = (value, off) => {
  const digits = Math.min(2, Math.max(0, Math.ceil(-Math.log10(off || 0.01))));
  return [value, off].map((number) => number.toFixed(digits));
};

const PANEL = `
  <p id="tape-words" role="status"></p>
  <p id="tape-note"></p>
  <div><button type="button" data-do="undo">Take back</button><button type="button" data-do="clear">Start anew</button
  ><button type="button" data-do="done">Done</button></div>`;
const RULER = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="m3 16.5 13.5-13.5 4.5 4.5-13.5 13.5z
  M7 12.5l2 2M10 9.5l3 3M13 6.5l2 2"/></svg>`;
const HOW = 'Point at two places or more on the model.';

export const addTape = ({ viewer, camera, page, tools, place, onMove }) => {
  const { canvas } = viewer.app.graphicsDevice;
  const unit = place ? 'm' : 'units';
  let picker = null;
  let surface = null; // the picker's own `pickSurface`, while it is away
  let points = [];

  const button = document.createElement('button');
  Object.assign(button, { id: 'measure', type: 'button', innerHTML: `${RULER}<span>Measure</span>`, hidden: true });
  button.setAttribute('aria-pressed', 'false');
  tools.append(button);

  const panel = document.createElement('section');
  Object.assign(panel, { id: 'tape', innerHTML: PANEL, hidden: true });
  panel.setAttribute('aria-label', 'Measure');
  const [words, note] = panel.querySelectorAll('p');

  // Drawn over the picture; with the keyboard it is the cross hairs that point.
  const sheet = document.createElement('div');
  Object.assign(sheet, { id: 'sheet', tabIndex: 0, hidden: true });
  sheet.setAttribute('role', 'application');
  sheet.setAttribute('aria-label', 'Cross hairs: arrow keys move them, Enter measures there, Backspace takes back');
  sheet.innerHTML = '<svg><polyline/><g></g></svg><i></i><output></output>';
  const [line, dots, hairs, label] = ['polyline', 'g', 'i', 'output'].map((name) => sheet.querySelector(name));
  page.append(sheet, panel);
  const aim = { x: 0.5, y: 0.5 };

  const onScreen = ({ at }) => {
    const seen = camera.camera.worldToScreen(at);
    return seen.z > 0 ? seen : null;
  };

  const draw = () => {
    if (sheet.hidden) return;
    const seen = points.map(onScreen);
    // A line to what is behind the camera would lead anywhere.
    line.setAttribute('points', seen.filter(Boolean).map(({ x, y }) => `${x},${y}`).join(' '));
    dots.innerHTML = seen.filter(Boolean).map(({ x, y }) => `<circle cx="${x}" cy="${y}" r="5"/>`).join('');
    const last = seen.at(-1);
    label.hidden = points.length < 2 || !last;
    if (!label.hidden) {
      label.style.left = `${Math.min(last.x, canvas.clientWidth - label.offsetWidth - 20)}px`;
      label.style.top = `${Math.max(last.y, 40)}px`;
    }
    Object.assign(hairs.style, { left: `${aim.x * 100}%`, top: `${aim.y * 100}%` });
  };

  const tell = (text = '') => {
    const sum = length(points);
    const off = margin(points, place);
    const [value, about] = told(sum, off);
    label.textContent = points.length < 2 ? '' : `${value} ${unit}`;
    if (points.length < 2) {
      words.textContent = text || (points.length ? 'And where to?' : HOW);
      note.textContent = '';
    } else {
      words.textContent = text || `${value} ${unit}, give or take ${about}`;
      const rise = points.at(-1).at.y - points[0].at.y;
      const [up] = told(Math.abs(rise), off);
      const height = place && Math.abs(rise) > off ? ` From end to end it ${rise > 0 ? 'rises' : 'falls'} by ${up} m.` : '';
      note.textContent = place
        ? `${points.length > 2 ? `Along ${points.length - 1} pieces.` : ''}${height}${place.scaleError === null ? ' How true the model’s scale is is not known.' : ''}`
        : 'This model has a scale of its own: nothing tells how long a metre is in it.';
    }
    for (const [what, isOff] of [['undo', !points.length], ['clear', !points.length]]) {
      panel.querySelector(`[data-do="${what}"]`).disabled = isOff;
    }
    draw();
  };

  // The surface at a place of the picture, 0..1 from its left and top, and how large a CSS pixel is there, in the
  // model's units; null where there is none.
  const surfaceAt = async (x, y) => {
    const found = await picker.pick(x, y);
    if (!found) return null;
    // The picker answers for a pixel's corner: along the very ray, as deep.
    const eye = camera.getPosition();
    const depth = found.sub(eye).dot(camera.forward);
    const { data } = camera.camera.projectionMatrix;
    const at = eye.clone();
    for (const [axis, by] of [
      [camera.forward, depth],
      [camera.right, ((2 * x - 1 + data[8]) * depth) / data[0]],
      [camera.up, ((1 - 2 * y + data[9]) * depth) / data[5]],
    ]) at.add(axis.clone().mulScalar(by));
    return { at, footprint: (2 * depth) / (data[5] * canvas.clientHeight) };
  };

  const add = async (x, y) => {
    const found = await surfaceAt(x, y);
    if (panel.hidden) return;
    if (found) points.push(found);
    tell(found ? '' : 'There is nothing of the model there.');
  };

  const undo = () => {
    points.pop();
    tell();
  };

  const clear = () => {
    points = [];
    tell();
  };

  const switchTo = (isOn) => {
    panel.hidden = !isOn;
    sheet.hidden = !isOn;
    button.setAttribute('aria-pressed', String(isOn));
    page.classList.toggle('measuring', isOn);
    // The viewer takes a click as an order to turn about that place, and asks the picker for it.
    if (isOn) {
      surface = picker.pickSurface;
      picker.pickSurface = async () => null;
    } else {
      picker.pickSurface = surface;
    }
    clear();
  };

  button.addEventListener('click', (event) => {
    switchTo(panel.hidden);
    if (!panel.hidden && event.detail === 0) sheet.focus(); // pressed by a key
  });
  panel.addEventListener('click', ({ target }) => {
    if (target.dataset.do === 'done') {
      switchTo(false);
      button.focus();
    } else if (target.dataset.do) {
      ({ undo, clear })[target.dataset.do]();
    }
  });

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  sheet.addEventListener('keydown', (event) => {
    const move = moves[event.key];
    const does = { Enter: () => add(aim.x, aim.y), Backspace: undo, Escape: () => panel.querySelector('[data-do="done"]').click() }[event.key];
    if (!move && !does) return;
    event.preventDefault();
    event.stopPropagation(); // or the viewer would move, too
    if (!move) return does();
    const step = event.shiftKey ? 1 : STEP;
    const within = (value) => Math.min(1, Math.max(0, value));
    aim.x = within(aim.x + (step * move[0]) / canvas.clientWidth);
    aim.y = within(aim.y + (step * move[1]) / canvas.clientHeight);
    draw();
  });

  // A click or a tap is a point; what moves further turns the view as ever.
  let pressed = null;
  canvas.addEventListener('pointerdown', (event) => {
    pressed = pressed || !event.isPrimary || event.button !== 0 ? null : { id: event.pointerId, x: event.clientX, y: event.clientY };
  });
  canvas.addEventListener('pointermove', (event) => {
    if (pressed?.id === event.pointerId && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > STILL) pressed = null;
  });
  canvas.addEventListener('pointercancel', () => { pressed = null; });
  canvas.addEventListener('pointerup', (event) => {
    const isTap = !panel.hidden && pressed?.id === event.pointerId;
    pressed = null;
    if (isTap) add(event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight);
  });

  // Without one, as another version of the viewer may come, there is no button.
  viewer.events.once('picker:ready', (ready) => {
    picker = ready;
    button.hidden = false;
  });
  onMove(draw);
  tell();
  return { surfaceAt };
};
