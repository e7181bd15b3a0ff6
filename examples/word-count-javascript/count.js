// Counting, without the host.

/** Lines and words of a text that comes in pieces of bytes. */
export function count(chunks, skipEmpty) {
  const decoder = new TextDecoder();
  let [lines, words, rest] = [0, 0, ''];
  const add = (line) => {
    if (line !== '' || !skipEmpty) lines += 1;
    words += line.split(/\s+/).filter((word) => word !== '').length;
  };
  for (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop();
    parts.forEach(add);
  }
  rest += decoder.decode();
  if (rest !== '') add(rest);
  return { lines, words };
}

/** The parameters, or in `wrong` what is wrong with them. */
export function parse(parameters) {
  const unknown = Object.keys(parameters).find((name) => name !== 'skip_empty');
  if (unknown !== undefined) return { wrong: `unknown member ${unknown}` };
  const skipEmpty = parameters.skip_empty ?? false;
  return typeof skipEmpty === 'boolean' ? { skipEmpty } : { wrong: 'skip_empty is not true or false' };
}
