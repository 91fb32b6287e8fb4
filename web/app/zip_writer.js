// A zip of photos as they are: nothing is packed (a JPEG does not shrink) and nothing copied. The zip is a Blob of
// headers and of the files themselves, so that a flight of many GB takes no memory; only its checksums are read.

const LOCAL = 0x04034b50; // APPNOTE 4.3.7
const ENTRY = 0x02014b50; // 4.3.12
const END = 0x06054b50; // 4.3.16
const [END64, LOCATOR64] = [0x06064b50, 0x07064b50]; // 4.3.14, 4.3.15
const VERSION = 45; // what understands ZIP64
const UTF8 = 0x800;
const FULL = 0xffffffff;
const FLIGHT_DATE = 0x21; // 1980-01-01: photos have their own times in them, and the same photos make the same zip

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

// The zip of `files`, each {name, file}. `onRead` gets the bytes read so far; an aborted `signal` ends it.
export const zipOf = async (files, onRead = () => {}, signal = undefined) => {
  const [parts, entries] = [[], []];
  let [offset, read] = [0, 0];
  for (const { name, file } of files) {
    signal?.throwIfAborted();
    const crc = await checksum(file, (bytes) => onRead((read += bytes)), signal);
    const label = new TextEncoder().encode(name);
    parts.push(localHeader(label, file.size, crc), file);
    entries.push(entryOf(label, file.size, crc, offset));
    offset += 30 + label.length + 20 + file.size;
  }
  const directory = new Blob(entries);
  parts.push(directory, endRecords(entries.length, directory.size, offset));
  return new Blob(parts, { type: 'application/zip' });
};

const checksum = async (file, onBytes, signal) => {
  let crc = FULL;
  const reader = file.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return (crc ^ FULL) >>> 0;
    signal?.throwIfAborted();
    for (let index = 0; index < value.length; index += 1) crc = TABLE[(crc ^ value[index]) & 0xff] ^ (crc >>> 8);
    onBytes(value.length);
  }
};

// A record from [bytes, value] pairs, little-endian, and what follows it.
const record = (fields, ...rest) => {
  const data = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of fields) {
    if (bytes === 2) data.setUint16(at, value, true);
    else if (bytes === 4) data.setUint32(at, value, true);
    else data.setBigUint64(at, BigInt(value), true);
    at += bytes;
  }
  return new Blob([data, ...rest]);
};

// The sizes stand in ZIP64's field always: one form for every flight.
const localHeader = (label, size, crc) =>
  record(
    [[4, LOCAL], [2, VERSION], [2, UTF8], [2, 0], [2, 0], [2, FLIGHT_DATE], [4, crc], [4, FULL], [4, FULL]]
      .concat([[2, label.length], [2, 20]]),
    label,
    record([[2, 1], [2, 16], [8, size], [8, size]]),
  );

const entryOf = (label, size, crc, offset) =>
  record(
    [[4, ENTRY], [2, VERSION], [2, VERSION], [2, UTF8], [2, 0], [2, 0], [2, FLIGHT_DATE], [4, crc], [4, FULL]]
      .concat([[4, FULL], [2, label.length], [2, 28], [2, 0], [2, 0], [2, 0], [4, 0], [4, FULL]]),
    label,
    record([[2, 1], [2, 24], [8, size], [8, size], [8, offset]]),
  );

const endRecords = (count, bytes, offset) =>
  new Blob([
    record([[4, END64], [8, 44], [2, VERSION], [2, VERSION], [4, 0], [4, 0], [8, count], [8, count]]
      .concat([[8, bytes], [8, offset]])),
    record([[4, LOCATOR64], [4, 0], [8, offset + bytes], [4, 1]]),
    record([[4, END], [2, 0], [2, 0], [2, 0xffff], [2, 0xffff], [4, FULL], [4, FULL], [2, 0]]),
  ]);
