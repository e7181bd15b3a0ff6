// A HyperMesh job: counts lines and words of every granted file.
//
// The logic is in count.js, which node tests without the host; this is its edge to the host.
import { inputs, open } from 'hypermesh:guest/blobs@0.1.0';
import { log } from 'hypermesh:guest/logging@0.1.0';
import { report } from 'hypermesh:guest/progress@0.1.0';
import { count, parse } from './count.js';

const CHUNK = 1 << 20;

const fail = (tag, val) => {
  throw { payload: { tag, val } };
};

function* chunks({ name, size }) {
  const file = open(name);
  for (let offset = 0n; offset < size; ) {
    const chunk = file.read(offset, CHUNK);
    if (chunk.length === 0) return;
    offset += BigInt(chunk.length);
    report(offset, size, name);
    yield chunk;
  }
}

export const handler = {
  describe() {
    const parameters = JSON.stringify({
      type: 'object',
      properties: { skip_empty: { type: 'boolean', default: false } },
      additionalProperties: false,
    });
    return [{ name: 'count', description: 'Lines and words of every granted file', parameters }];
  },

  run(operation, parameters) {
    const { skipEmpty, wrong } = parse(JSON.parse(parameters));
    if (wrong) fail('invalid-parameters', wrong);
    const granted = inputs();
    if (granted.length === 0) fail('failed', 'no-input: grant a file, e.g. by --input FILE');
    const counts = granted.map((blob) => {
      const counted = { name: blob.name, ...count(chunks(blob), skipEmpty) };
      log('info', `${blob.name}: ${counted.lines} lines`);
      return counted;
    });
    return JSON.stringify(counts);
  },
};
