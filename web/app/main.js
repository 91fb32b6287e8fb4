// The app: its address decides the view, its session who looks at it.

import { Api } from './api.js';
import { loadConfig } from './config.js';
import { h, replace, say } from './dom.js';
import { press, problemBox } from './parts.js';
import { asProblem } from './problem.js';
import { Session } from './session.js';
import { welcome } from './views/welcome.js';

// A view is `show(main, app, id)`, and returns what ends it. It is read when it is wanted; true: anybody may see it.
const ROUTES = [
  [/^#\/new$/, async () => (await import('./views/new_job.js')).newJob, 'New model'],
  [/^#\/jobs$/, async () => (await import('./views/jobs.js')).jobs, 'Models'],
  [/^#\/jobs\/([\w-]+)$/, async () => (await import('./views/job.js')).job, 'Model'],
  [/^#\/jobs\/([\w-]+)\/quality$/, async () => (await import('./views/quality.js')).quality, 'Quality'],
  [/^#\/photos$/, async () => (await import('./views/guide.js')).guidePage, 'Good photos', true],
  [/^#\/shared\/([\w-]+)$/, async () => (await import('./views/shared.js')).shared, 'A shared model', true],
];
const HOME = '#/jobs';
const HANDED_OVER = /^#\/session\/([\w.-]+)(\/.*)?$/; // a token from the command: it never leaves the browser

const main = document.getElementById('main');
const top = document.getElementById('top');
const said = document.getElementById('said');
let app = null;
let leave = () => {};
let turn = 0;

// The address is the view's, so the way past what is on every page is no part of it.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});

const begin = async () => {
  try {
    const config = await loadConfig();
    const session = new Session(config);
    app = { config, session, api: new Api(config, session), say: (text) => say(said, text), title, show };
    session.onEnd = show;
  } catch (error) {
    console.error(error);
    const words = { message: 'This page doesn’t know its cloud.', hint: 'Its config.json is missing or damaged: publish it again.' };
    replace(main, problemBox(words));
    return;
  }
  addEventListener('hashchange', show);
  await show();
};

const show = async () => {
  takeOver();
  const mine = ++turn;
  leave();
  leave = () => {};
  window.scrollTo(0, 0);
  const route = ROUTES.map(([pattern, ...view]) => [pattern.exec(location.hash), ...view]).find(([found]) => found);
  drawTop();
  if (!app.session.isSignedIn && !route?.[3]) {
    title('');
    leave = welcome(main, app) ?? (() => {});
    return;
  }
  if (!route) {
    location.replace(HOME);
    return;
  }
  const [found, load, name] = route;
  title(name);
  try {
    const view = await load();
    if (mine !== turn) return;
    replace(main);
    const end = await view(main, app, found[1]);
    if (mine !== turn) end?.();
    else leave = end ?? (() => {});
  } catch (error) {
    if (mine === turn) replace(main, problemBox(asProblem(error)));
  }
  focusHeading();
};

const takeOver = () => {
  const handed = HANDED_OVER.exec(location.hash);
  if (!handed) return;
  if (app.config.handsOver) app.session.adopt(handed[1]);
  history.replaceState(null, '', `#${handed[2] ?? HOME.slice(1)}`);
};

const title = (name) => {
  document.title = name ? `${name} · Spaceport` : 'Spaceport';
};

// A new page begins at its heading, for the keyboard and for screen readers too.
const focusHeading = () => {
  const heading = main.querySelector('h1');
  heading?.setAttribute('tabindex', '-1');
  (heading ?? main).focus({ preventScroll: true });
};

const drawTop = () => {
  const { session } = app;
  const brand = h('a', { class: 'brand', href: '#/' }, 'Spaceport');
  if (!session.isSignedIn) return replace(top, brand, nav(['#/photos', 'Good photos']));
  return replace(top, brand, nav(['#/jobs', 'Models'], ['#/new', 'New model']), account(session));
};

const nav = (...links) =>
  h('nav', { 'aria-label': 'Main' }, links.map(([address, words]) =>
    h('a', { href: address, 'aria-current': location.hash === address && 'page' }, words)));

const account = (session) => {
  const signOut = async () => {
    await session.signOut();
    location.hash = '#/';
    await show();
  };
  return h('details', { class: 'menu' },
    h('summary', { 'aria-label': `Account of ${session.name}`, title: session.name }, (session.name ?? '?')[0]),
    h('div', {},
      h('p', { class: 'small' }, h('span', { class: 'quiet' }, 'Signed in as '), h('b', {}, session.name)),
      h('p', { class: 'small' }, h('a', { href: '#/photos' }, 'Good photos')),
      press('Sign out', signOut)));
};

begin();
