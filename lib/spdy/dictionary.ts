/**
 * The dictionary both sides feed to zlib before the first header block (SPDY §2.6.10.1). It looks like the start of
 * a header block, words with their length before them, and then has loose text, so it is kept in that readable form.
 */

/** Each goes in as four bytes of length and the word. */
const words =
  'options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|accept-ranges|age|' +
  'allow|authorization|cache-control|connection|content-base|content-encoding|content-language|content-length|' +
  'content-location|content-md5|content-range|content-type|date|etag|expect|expires|from|host|if-match|' +
  'if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|location|max-forwards|pragma|' +
  'proxy-authenticate|proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|' +
  'upgrade|user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|public|' +
  'set-cookie|keep-alive|origin';

/** Goes in as it is. */
const text =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505' +
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized' +
  '403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable' +
  'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT' +
  'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,' +
  'text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';

function build(): Uint8Array {
  // No word is longer than 255, so three of the four bytes of its length are 0.
  const all = words
    .split('|')
    .map((word) => `\0\0\0${String.fromCharCode(word.length)}${word}`)
    .concat(text)
    .join('');
  return Uint8Array.from(all, (char) => char.charCodeAt(0));
}

/** The 1,423 bytes. Shared: never write to it. */
export const spdyDictionary: Uint8Array = build();

/** Its Adler-32, by which a zlib stream names it (RFC 1950 §2.2, DICTID). */
export const SPDY_DICTIONARY_ID = 0xe3c6a7c2;
