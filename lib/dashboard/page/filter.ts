/** What a filter can ask of a line. */
export interface Filterable {
  /** In small letters. */
  readonly text: string;
  /** The value of a field such as `state`; undefined if the line has no such field. */
  field(name: string): string | number | undefined;
}

/** True for the lines to be shown. */
export type Filter = (line: Filterable) => boolean;

const comparison = /^([a-z]+)([<>])(\d+(?:\.\d+)?)(k|m|g|s|min)?$/;
const factors: Readonly<Record<string, number>> = {
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  s: 1000,
  min: 60_000,
};

/**
 * Words that must all be there: `upload state:open in>1m -blocked:reader`. A minus negates; `field:value` looks for a
 * part of that field, `field>number` compares; everything else is looked for in the line's text.
 */
export function parseFilter(query: string): Filter {
  const terms = query.toLowerCase().split(/\s+/).filter(Boolean).map(parseTerm);
  return (line) => terms.every((term) => term(line));
}

function parseTerm(term: string): Filter {
  if (term.startsWith('-') && term.length > 1) {
    const inner = parseTerm(term.slice(1));
    return (line) => !inner(line);
  }
  const compared = comparison.exec(term);
  if (compared !== null) {
    const [, name = '', sign, digits, unit = ''] = compared;
    const limit = Number(digits) * (factors[unit] ?? 1);
    return (line) => {
      const value = line.field(name);
      return typeof value === 'number' && (sign === '>' ? value > limit : value < limit);
    };
  }
  const colon = term.indexOf(':');
  if (colon > 0) {
    const name = term.slice(0, colon);
    const wanted = term.slice(colon + 1);
    return (line) => {
      const value = line.field(name);
      if (value === undefined) return line.text.includes(term);
      return typeof value === 'number' ? String(value) === wanted : value.toLowerCase().includes(wanted);
    };
  }
  if (/^#\d+$/.test(term)) {
    const id = Number(term.slice(1));
    return (line) => line.field('id') === id;
  }
  return (line) => line.text.includes(term);
}
