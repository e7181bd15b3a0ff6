// Makes app.js a component: `node build.mjs WIT OUTPUT`, as `hypermesh guest build` calls it.
import { componentize } from '@bytecodealliance/componentize-js';
import { writeFile } from 'node:fs/promises';

const [witPath, output] = process.argv.slice(2);
const { component } = await componentize({
  sourcePath: new URL('app.js', import.meta.url).pathname,
  witPath,
  worldName: 'job',
  // A guest has no network; the host refuses a component that imports it.
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(output, component);
