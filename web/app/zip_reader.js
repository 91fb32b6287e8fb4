// Looking into a zip without unpacking it: its table of contents, from the last bytes of the file, and what the
// cloud would refuse it for (`spaceport/archive.py`; APPNOTE is PKWARE's specification).

import { Problem } from './problem.js';
import { judge, shown } from './photo_rules.js';

const END = 0x06054b50; // end of central directory record, APPNOTE 4.3.16
const END_BYTES = 22;
const LOCATOR64 = 0x07064b50; // 4.3.15
const LOCATOR64_BYTES = 20;
const END64 = 0x06064b50; // 4.3.14
const END64_BYTES = 56;
const ENTRY = 0x02014b50; // 4.3.12
const ENTRY_BYTES = 46;
const LONGEST_COMMENT = 0xffff;
const MAX_DIRECTORY_BYTES = 8 * 2 ** 20;
const LOCAL_HEADER_BYTES = 30;
const [LINK, FILE_TYPES] = [0o120000, new Set([0o020000, 0o060000, 0o010000, 0o140000])];
const RATIO = 100;
const RATIO_FLOOR_BYTES = 10 * 2 ** 20;

// What the zip `file` holds: {photos, others, warnings}. Throws a Problem where the cloud would refuse it.
export const inspectZip = async (file, limits) => {
  const { entries: all, begin } = await readDirectory(file);
  const entries = all.filter(({ name }) => !name.endsWith('/'));
  const archive = file.name;
  if (!entries.length) {
    throw new Problem('empty_zip', `${archive} is empty.`, 'Zip the folder with the photos and send it again.');
  }
  if (entries.length > limits.maxEntries) {
    throw new Problem(
      'too_many_files',
      `${archive} holds ${entries.length} files; the limit is ${limits.maxEntries}.`,
      'Send only the photos of one flight.',
    );
  }
  for (const entry of entries) checkEntry(entry, archive);
  checkSizes(entries, archive, limits);
  checkOverlap(entries, archive, begin);
  // A zip that was added to may hold a name twice: as for every reader, the last one counts.
  const latest = new Map(entries.map((entry) => [entry.name, entry]));
  const contents = judge([...latest.values()], archive, limits);
  for (const photo of contents.photos) checkMethod(photo, archive);
  return contents;
};

const readDirectory = async (file) => {
  const tailBytes = Math.min(file.size, END_BYTES + LONGEST_COMMENT + LOCATOR64_BYTES + END64_BYTES);
  const tailAt = file.size - tailBytes;
  const tail = await view(file, tailAt, file.size);
  const endAt = findEnd(tail);
  if (endAt === null) throw await broken(file);
  let [bytes, offset] = [tail.getUint32(endAt + 12, true), tail.getUint32(endAt + 16, true)];
  let directoryEnd = tailAt + endAt;
  const locatorAt = endAt - LOCATOR64_BYTES;
  if (locatorAt >= 0 && tail.getUint32(locatorAt, true) === LOCATOR64) {
    const end64At = locatorAt - END64_BYTES;
    if (end64At < 0 || tail.getUint32(end64At, true) !== END64) throw await broken(file);
    [bytes, offset] = [40, 48].map((at) => Number(tail.getBigUint64(end64At + at, true)));
    directoryEnd = tailAt + end64At;
  }
  // What stands before the zip, or what it lost there: offsets count from where it should begin.
  const begin = directoryEnd - bytes;
  if (begin < 0) throw await broken(file);
  if (bytes > MAX_DIRECTORY_BYTES) {
    throw new Problem(
      'too_many_files',
      `${file.name} has a table of contents of ${(bytes / 2 ** 20).toFixed(0)} MB.`,
      'Send only the photos of one flight, with short names.',
    );
  }
  const shift = begin - offset;
  const entries = parseEntries(await view(file, begin, directoryEnd), shift);
  if (entries === null) throw await broken(file);
  return { entries, begin };
};

const view = async (file, from, to) => new DataView(await file.slice(from, to).arrayBuffer());

const findEnd = (tail) => {
  for (let at = tail.byteLength - END_BYTES; at >= 0; at -= 1) {
    if (tail.getUint32(at, true) === END) return at; // what follows is a comment, however long it says it is
  }
  return null;
};

// The entries, as many as there is room for: the count in the end record is often wrong. Null where one is broken.
const parseEntries = (directory, shift) => {
  const entries = [];
  let at = 0;
  while (at < directory.byteLength) {
    if (at + ENTRY_BYTES > directory.byteLength || directory.getUint32(at, true) !== ENTRY) return null;
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((place) => directory.getUint16(at + place, true));
    const next = at + ENTRY_BYTES + nameBytes + extraBytes + commentBytes;
    if (next > directory.byteLength) return null;
    const flags = directory.getUint16(at + 8, true);
    const name = decoded(new Uint8Array(directory.buffer, at + ENTRY_BYTES, nameBytes), flags & 0x800);
    if (name === null) return null;
    const entry = {
      name,
      flags,
      method: directory.getUint16(at + 10, true),
      crc: directory.getUint32(at + 16, true),
      packed: directory.getUint32(at + 20, true),
      size: directory.getUint32(at + 24, true),
      mode: directory.getUint32(at + 38, true) >>> 16,
      offset: directory.getUint32(at + 42, true),
    };
    if (!widen(entry, directory, at + ENTRY_BYTES + nameBytes, extraBytes)) return null;
    entry.offset += shift;
    entries.push(entry);
    at = next;
  }
  return entries;
};

const decoded = (bytes, isUtf8) => {
  try {
    return new TextDecoder(isUtf8 ? 'utf-8' : 'latin1', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
};

// Sizes and offsets that 32 bits can't hold stand in the ZIP64 field (APPNOTE 4.5.3), in this order.
const widen = (entry, directory, at, bytes) => {
  const end = at + bytes;
  while (at + 4 <= end) {
    const [kind, length] = [directory.getUint16(at, true), directory.getUint16(at + 2, true)];
    if (at + 4 + length > end) return false;
    if (kind === 1) {
      let place = at + 4;
      for (const name of ['size', 'packed', 'offset']) {
        if (entry[name] !== 0xffffffff) continue;
        if (place + 8 > at + 4 + length) return false;
        entry[name] = Number(directory.getBigUint64(place, true));
        place += 8;
      }
    }
    at += 4 + length;
  }
  return true;
};

const broken = async (file) => {
  const head = file.size >= 4 ? (await view(file, 0, 4)).getUint32(0, false) : 0;
  if (head === 0x504b0304) {
    return new Problem(
      'truncated_zip',
      `${file.name} begins like a zip but its end is missing or damaged.`,
      'It was probably cut short: zip the photos again, and send that.',
    );
  }
  return new Problem('not_a_zip', `${file.name} is not a zip file.`, 'Put the photos into a .zip and send that.');
};

const isSafe = (name) => {
  if (!name || /[\x00-\x1f\x7f\\]/.test(name) || /^[A-Za-z]:/.test(name) || name.startsWith('/')) return false;
  const parts = name.split('/').filter((part) => part && part !== '.');
  return parts.length > 0 && !parts.includes('..');
};

// A name with what can't be seen written out, as Python's repr() does.
const quoted = (name) => {
  const seen = name.replaceAll('\\', '\\\\').replace(/[\x00-\x1f\x7f]/g, (letter) =>
    ({ '\n': '\\n', '\r': '\\r', '\t': '\\t' })[letter] ?? `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return name.includes("'") && !name.includes('"') ? `"${seen}"` : `'${seen.replaceAll("'", "\\'")}'`;
};

const checkEntry = ({ name, flags, mode }, archive) => {
  if (!isSafe(name)) {
    throw new Problem(
      'unsafe_name',
      `${archive} holds a file named ${shown(quoted(name))}, which can't be unpacked safely.`,
      'Zip the photos with plain relative names.',
    );
  }
  const type = mode & 0o170000;
  if (type === LINK || FILE_TYPES.has(type)) {
    throw new Problem(
      'link',
      `${archive} holds a ${type === LINK ? 'link' : 'device or pipe'} (${shown(name)}) instead of a file.`,
      'Zip the photo itself, not a link to it.',
    );
  }
  if (flags & 1) {
    throw new Problem(
      'encrypted',
      `${archive} is encrypted (${shown(name)} needs a password).`,
      'Zip the photos without a password.',
    );
  }
};

const gigabytes = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GB`;

const checkSizes = (entries, archive, limits) => {
  const total = entries.reduce((sum, { size }) => sum + size, 0);
  if (total > limits.maxUnpackedBytes) {
    throw new Problem(
      'zip_bomb',
      `${archive} holds ${gigabytes(total)}, the limit is ${gigabytes(limits.maxUnpackedBytes)}.`,
      'Split the flight into several zips.',
    );
  }
  for (const { name, size, packed } of entries) {
    const ratio = size / Math.max(packed, 1);
    if (size > RATIO_FLOOR_BYTES && ratio > RATIO) {
      throw new Problem(
        'zip_bomb',
        `${archive} holds ${shown(name)}, which unpacks ${ratio.toFixed(0)}-fold.`,
        'No photo shrinks like that: leave this file out.',
      );
    }
  }
};

const checkOverlap = (entries, archive, begin) => {
  const present = entries.filter(({ offset }) => offset >= 0).sort((a, b) => a.offset - b.offset);
  if (present.length && present[0].offset >= 2 ** 32 && present[0].offset % 2 ** 32 === 0) {
    throw new Problem(
      'no_zip64',
      `${archive} is larger than 4 GB, but its table of contents has no room for that.`,
      'Zip the photos by a program that knows ZIP64 (on a Mac: `zip -r` in the Terminal), or in parts.',
    );
  }
  present.forEach(({ name, offset, packed }, index) => {
    if (offset + LOCAL_HEADER_BYTES + packed > (present[index + 1]?.offset ?? begin)) {
      throw new Problem(
        'zip_bomb',
        `${archive} holds ${shown(name)}, which takes more room than there is for it: it shares bytes with another file.`,
        'Zip the photos anew with a usual program.',
      );
    }
  });
};

const checkMethod = ({ name, method }, archive) => {
  if (method !== 0 && method !== 8) {
    throw new Problem(
      'unusual_compression',
      `${archive} holds ${shown(name)}, packed by an unusual method (number ${method}).`,
      'Zip the photos with the usual settings (deflate), or without compression.',
    );
  }
};
