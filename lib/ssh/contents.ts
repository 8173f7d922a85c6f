/** Where nothing else begins: neither a host in `known_hosts` nor a key. */
const pathOnly = /^(?:[~.]?[\\/]|[A-Za-z]:[\\/])/;
const pathLike = /[\\/]|known_hosts|^id_/;

/** Whether a text is rather the path of a file than what is in one: a line that is neither a comment nor an entry. */
export function looksLikePath(text: string): boolean {
  const line = text.trim();
  if (line.includes('\n') || line.startsWith('#')) return false;
  // A host, the kind of its key and the key.
  return pathOnly.test(line) || (line.split(/\s+/).length < 3 && pathLike.test(line));
}
