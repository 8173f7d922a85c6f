import { type Filterable, parseFilter } from '../../lib/dashboard/page/filter.js';

const fields: Readonly<Record<string, string | number>> = {
  id: 5,
  state: 'half-closed-local',
  in: 2048,
  age: 1500,
  blocked: '',
};
const line: Filterable = {
  text: '#5\nupload of cats\n:path: /echo/cats',
  field: (name) => fields[name],
};

describe('a filter', () => {
  it.each([
    '',
    '   ',
    'cats',
    'CATS',
    'upload cats',
    '/echo',
    '#5',
    'id:5',
    'state:half',
    'in>1k',
    'in>1.9k in<3k',
    'age>1s',
    '-dogs',
    '-state:open',
    '-in>2k',
    ':path:',
  ])('lets through what fits: %j', (query) => {
    expect(parseFilter(query)(line)).toBe(true);
  });

  it.each([
    'dogs',
    'cats dogs',
    '#50',
    'id:50',
    'state:reset',
    'in>2k',
    'age<1s',
    '-cats',
    'blocked>1',
    'nope:cats',
    '-in>1k',
  ])('holds back what does not: %j', (query) => {
    expect(parseFilter(query)(line)).toBe(false);
  });
});
