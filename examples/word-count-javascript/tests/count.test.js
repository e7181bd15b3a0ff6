// The logic, in node: `npm test`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, parse } from '../count.js';

const bytes = (...texts) => texts.map((text) => new TextEncoder().encode(text));

test('lines may lie across chunks', () => {
  assert.deepEqual(count(bytes('roses a', 're\n\nred'), true), { lines: 2, words: 3 });
  assert.deepEqual(count(bytes('roses\n\n'), false), { lines: 2, words: 1 });
});

test('misspelt parameters are refused', () => {
  assert.match(parse({ skip_emtpy: true }).wrong, /skip_emtpy/);
  assert.deepEqual(parse({ skip_empty: true }), { skipEmpty: true });
});
