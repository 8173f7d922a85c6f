import type { StreamHeaders } from '../api.js';

/** Names whose values nobody else should see. */
const secretName =
  /auth|cookie|token|secret|passw|api-?key|access-?key|private-?key|credential|session|signature|jwt/i;
/** Values that are credentials whatever their name is. */
const secretValue =
  /^(?:bearer|basic|digest|negotiate|token)\s+\S|eyJ[\w-]{8,}\.[\w-]+\.|-----BEGIN|\b(?:gh[pousr]_|sk-|xox[abpr]-|AKIA|AIza)\w{8,}|:\/\/[^/\s:@]+:[^/\s@]+@/i;
/** The part of an address that says as much. */
const secretParameter = /([?&;][^=&;#]*(?:token|secret|passw|key|sig|auth|session|code)[^=&;#]*=)[^&;#]+/gi;

const hidden = '•••';

/** Headers for people's eyes. */
export function redactHeaders(headers: StreamHeaders): [string, string][] {
  return Array.from(headers, ([name, value]) => [name, redactValue(name, value)]);
}

function redactValue(name: string, value: string): string {
  if (secretName.test(name) || secretValue.test(value)) return hidden;
  return value.replace(secretParameter, `$1${hidden}`);
}
