// Which photos become a job: the rules and the words of `spaceport/archive.py`, so that a flight that the cloud
// would refuse is refused here, before an hour of uploading. tests/browser/test_web_app.py holds the two together.

import { Problem } from './problem.js';

const PHOTOS = 'jpg jpeg png tif tiff bmp webp heic heif dng';
const RAW = '3fr arw cr2 cr3 crw dcr erf fff gpr iiq kdc mef mos mrw nef nrw orf pef raf rw2 rwl sr2 srf srw x3f';
const PICTURE = 'avif exr gif hdr insp j2k jp2 jxl jxr pdf psd svg tga';
const FILM = '360 3gp avi insv lrf lrv m2ts m4v mkv mov mp4 mpeg mpg mts webm wmv';
const ARCHIVE = '7z ace arj bz2 cab dmg gz iso lz4 lzh rar tar tbz2 tgz txz xz z zip zipx zst';

const suffixes = (kind, text) => text.split(' ').map((suffix) => [suffix, kind]);
const KINDS = new Map([
  ...suffixes('photo', PHOTOS),
  ...suffixes('raw', RAW),
  ...suffixes('picture', PICTURE),
  ...suffixes('film', FILM),
  ...suffixes('archive', ARCHIVE),
]);
const HINTS = {
  raw: 'Export the raw photos as JPEG or DNG.',
  picture: 'Export the pictures as JPEG or PNG.',
  film: 'Save frames of the film as JPEG, one or two a second.',
  archive: 'Unpack it, and zip the photos themselves.',
};
const PHOTO_KINDS = 'JPEG, PNG, TIFF, BMP, WebP, HEIC or DNG files';
const JUNK_NAMES = new Set(['thumbs.db', 'desktop.ini']);
const SHOWN_NAME = 200;
const NAMED_IN_MESSAGE = 3;

export const kindOf = (name) => {
  const file = name.split('/').pop();
  const dot = file.lastIndexOf('.');
  return dot > 0 ? (KINDS.get(file.slice(dot + 1).toLowerCase()) ?? null) : null;
};

export const isPhoto = (name) => kindOf(name) === 'photo';

// What an operating system leaves in folders: resource forks, thumbnails, hidden files.
export const isJunk = (name) => {
  const parts = name.split('/').filter(Boolean);
  const file = parts.at(-1)?.toLowerCase();
  return parts.some((part) => part.startsWith('.') || part.toLowerCase() === '__macosx') || JUNK_NAMES.has(file);
};

// Judges what a flight holds: `files` are {name, size, crc?}. Returns {photos, others, warnings}.
// Throws a Problem where no job would come of it.
export const judge = (files, archive, limits) => {
  const wanted = files.filter(({ name }) => !isJunk(name));
  const photos = wanted.filter(({ name }) => isPhoto(name)).sort((a, b) => (a.name < b.name ? -1 : 1));
  const others = wanted.filter(({ name }) => !isPhoto(name)).map(({ name }) => name);
  const left = leftOut(photos, others);
  const out = new Set([...left.lost, ...left.empty, ...left.repeated]);
  const usable = photos.map(({ name }) => name).filter((name) => !out.has(name));
  if (photos.length <= limits.maxPhotos) checkUsable(usable, left, others, archive, limits);
  checkCount(photos.map(({ name }) => name), others, archive, limits);
  return { photos, others, warnings: warnings(left, archive) };
};

const leftOut = (photos, others) => ({
  lost: photos.filter(({ offset }) => offset < 0).map(({ name }) => name),
  empty: photos.filter(({ size }) => size === 0).map(({ name }) => name),
  repeated: repeated(photos),
  unread: withoutTwin(ofKind(others, 'raw', 'picture'), photos.map(({ name }) => name)),
  films: ofKind(others, 'film'),
  nested: ofKind(others, 'archive'),
});

const ofKind = (names, ...kinds) => names.filter((name) => kinds.includes(kindOf(name)));

const stem = (name) => name.replace(/\.[^./]*$/, '').toLowerCase();

const withoutTwin = (names, photos) => {
  const twins = new Set(photos.map(stem));
  return names.filter((name) => !twins.has(stem(name)));
};

const repeated = (photos) => {
  const seen = new Set();
  const again = [];
  for (const { name, size, crc } of photos) {
    if (crc === undefined || !size) continue;
    const key = `${crc} ${size}`;
    if (seen.has(key)) again.push(name);
    seen.add(key);
  }
  return again;
};

const checkUsable = (usable, left, others, archive, limits) => {
  if (usable.length >= limits.minPhotos) return;
  const holds = `${archive} holds ${found(usable)}`;
  const need = `a model needs at least ${limits.minPhotos}`;
  if (left.lost.length) {
    throw new Problem(
      'truncated_zip',
      `${holds}, and ${listed('photo', left.lost)} lost with the beginning of the zip; ${need}.`,
      'The upload was probably damaged: send the file again.',
    );
  }
  if (left.nested.length) {
    const message = `${holds}, and ${listed('archive', left.nested)} not looked into; ${need}.`;
    throw new Problem('nested_archive', message, HINTS.archive);
  }
  const unsupported = [...left.unread, ...left.films];
  if (unsupported.length) {
    throw new Problem(
      'unsupported_photos',
      `${holds}, and ${listed('file', unsupported)} of a kind that can't be read; ${need}.`,
      [...new Set(unsupported.map(kindOf))].map((kind) => HINTS[kind]).join(' '),
    );
  }
  if (left.repeated.length) {
    throw new Problem(
      'duplicates',
      `${holds}, and ${listed('photo', left.repeated)} the very same as another; ${need}.`,
      'Send the photos of a flight, each taken from another place.',
    );
  }
  checkCount(usable, [...left.empty, ...others], archive, limits);
};

const warnings = (left, archive) =>
  [
    ['photo', left.lost, 'lost with the beginning of the zip. Send it again.'],
    ['photo', left.empty, 'empty, with no bytes at all.'],
    ['photo', left.repeated, 'the very same as another, and used once.'],
    ['picture', left.unread, "of a kind that can't be read. Export JPEGs."],
    ['archive', left.nested, `not looked into. ${HINTS.archive}`],
  ]
    .filter(([, names]) => names.length)
    .map(([noun, names, what]) => `${archive} holds ${listed(noun, names)} ${what}`);

const checkCount = (photos, others, archive, limits) => {
  if (photos.length > limits.maxPhotos) {
    throw new Problem(
      'too_many_photos',
      `${archive} holds ${photos.length} photos; the limit is ${limits.maxPhotos}.`,
      'Split the flight into several parts.',
    );
  }
  if (photos.length >= limits.minPhotos) return;
  const more = others.length > 1;
  const besides = others.length
    ? `It holds ${others.length} other file${more ? 's' : ''} (${shown(others[0])}${more ? ', ...' : ''}). `
    : '';
  throw new Problem(
    'too_few_photos',
    `${archive} holds ${found(photos)}; a model needs at least ${limits.minPhotos}.`,
    `${besides}Photos are ${PHOTO_KINDS}.`,
  );
};

const found = (photos) =>
  photos.length ? `only ${photos.length} photo${photos.length > 1 ? 's' : ''}` : 'no photos';

const listed = (noun, names) => {
  const first = names.slice(0, NAMED_IN_MESSAGE).map(shown).join(', ');
  const rest = names.length > NAMED_IN_MESSAGE ? ', ...' : '';
  return `${names.length} ${noun}${names.length > 1 ? 's' : ''} (${first}${rest}) that ${names.length > 1 ? 'are' : 'is'}`;
};

export const shown = (name) => (name.length <= SHOWN_NAME ? name : `${name.slice(0, SHOWN_NAME)}...`);
