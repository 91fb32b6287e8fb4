// Reads SOG files by the library of the format's makers, all in one process: starting Node takes a second.
//
//     node reference_reader.mjs FOLDER LIBRARY.mjs
//
// For each FOLDER/NAME.sog writes NAME.json, the properties' names and their number of Gaussians, and NAME.f32,
// the properties one after the other; or NAME.json with the error that the library gave.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, library] = process.argv.slice(2);
const { MemoryReadFileSystem, createChunkDataPool, materializeToDataTable, readFile } = await import(pathToFileURL(library).href);

for (const name of readdirSync(folder).filter((file) => file.endsWith('.sog'))) {
    const target = join(folder, name.slice(0, -'.sog'.length));
    try {
        const fileSystem = new MemoryReadFileSystem();
        fileSystem.set(name, new Uint8Array(readFileSync(join(folder, name))));
        const [source] = await readFile({ filename: name, inputFormat: 'sog', fileSystem });
        const table = await materializeToDataTable(source, createChunkDataPool());
        const columns = table.columns.map((column) => Float32Array.from(column.data));
        writeFileSync(`${target}.f32`, Buffer.concat(columns.map((values) => Buffer.from(values.buffer))));
        const names = table.columns.map((column) => column.name);
        writeFileSync(`${target}.json`, JSON.stringify({ names, count: table.numRows }));
    } catch (error) {
        writeFileSync(`${target}.json`, JSON.stringify({ error: String(error) }));
    }
}
