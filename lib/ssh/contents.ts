const path = /^(?:\S*[\\/.]\S*|id_\w+|known_hosts)$/;

/** Whether a text is rather the path of a file than what is in one: a short line without blanks that looks like it. */
export function looksLikePath(text: string): boolean {
  return text.length <= 260 && path.test(text.trim());
}
