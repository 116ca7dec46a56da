/** Writes a value in JSON, of the text that Postgres writes. */
export type Write = (text: string) => string

/** How a value of a type is written in JSON. */
export function writerOf(type: number): Write {
  switch (type) {
    case 16:
      return (text) => (text === 't' ? 'true' : 'false')
    case 21:
    case 23:
    case 26:
    case 114:
    case 3802:
      return bare
    case 20:
      return integer
    case 700:
    case 701:
      return float
    case 1114:
      return (text) => quote(text.replace(' ', 'T'))
    case 1184:
      return (text) => quote(text.replace(' ', 'T').replace(/\+00$/, 'Z'))
    default:
      return quote
  }
}

/** What is JSON as it stands. */
export function bare(text: string): string {
  return text
}

/** Shorter integers are held by a double. */
export const safeLength = 16

/** A number, or a text when a double does not hold it. */
export function integer(text: string): string {
  return text.length < safeLength || Number.isSafeInteger(Number(text)) ? text : `"${text}"`
}

/** A number, or a text: NaN and Infinity are no numbers of JSON. */
export function float(text: string): string {
  return /\d$/.test(text) ? text : `"${text}"`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what JSON escapes.
const escaped = /["\\\u0000-\u001f]/

/** A text. Most have nothing to escape, which is seen faster than they are written by `JSON.stringify`. */
export function quote(text: string): string {
  return escaped.test(text) ? JSON.stringify(text) : `"${text}"`
}

/** A list, of an array as Postgres writes it: `{1,NULL,"a \"b\"",{…}}`, perhaps with bounds before it. */
export function writeArray(text: string, write: Write, delimiter = ','): string {
  let at = text.indexOf('{')
  const list = (): string => {
    const parts: string[] = []
    at++
    while (text[at] !== '}') {
      if (text[at] === delimiter) at++
      parts.push(text[at] === '{' ? list() : element())
    }
    at++
    return `[${parts.join(',')}]`
  }
  const element = (): string => {
    if (text[at] !== '"') {
      const start = at
      while (text[at] !== delimiter && text[at] !== '}') at++
      const word = text.slice(start, at)
      return word === 'NULL' ? 'null' : write(word)
    }
    let value = ''
    for (at++; text[at] !== '"'; at++) {
      if (text[at] === '\\') at++
      value += text[at]
    }
    at++
    return write(value)
  }
  return list()
}
