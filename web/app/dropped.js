// What was dropped or chosen: a zip, photos, or folders of them.

import { isJunk } from './photo_rules.js';

// All files in a drop as {name, file}; those in folders with their path. Folders are read to their ends.
export const filesOf = async (transfer) => {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return namedFiles(transfer.files);
  const found = [];
  await Promise.all(entries.map((entry) => walk(entry, '', found)));
  return found.filter(({ name }) => !isJunk(name));
};

export const namedFiles = (files) =>
  [...files].map((file) => ({ name: file.webkitRelativePath || file.name, file })).filter(({ name }) => !isJunk(name));

const walk = async (entry, folder, found) => {
  const name = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ name, file });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const children = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!children.length) return; // a browser gives a hundred at a time
    await Promise.all(children.map((child) => walk(child, `${name}/`, found)));
  }
};

export const isZip = ({ name }) => name.toLowerCase().endsWith('.zip');
