import { lookup as systemLookup } from 'node:dns'
import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import type { Clock } from '../../clock.ts'
import { isPublicAddress } from './addresses.ts'

/** Longest attempt, from the look-up to the end of the answer, in milliseconds. */
const timeoutMs = 15_000
/** Bytes kept of an answer; reading ends there. */
const keptBytes = 1024

/** What came of an attempt. `code` is 0 when there was no answer. */
export interface Answer {
  readonly code: number
  readonly body: string
  /** '' when the receiver took it. */
  readonly error: string
}

export interface SenderOptions {
  readonly clock: Clock
  /** Sends to addresses that are not public, too. */
  readonly allowPrivate: boolean
  /** Finds the addresses of a name. Default: as the system does. */
  readonly lookup?: LookupFunction
}

/** Why a URL may not be called, for its author; undefined when it may. A name's addresses are checked when it is called. */
export function urlProblem(text: string, allowPrivate: boolean): string | undefined {
  const url = URL.parse(text)
  if (!url) return 'is not a URL'
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return `begins with ${url.protocol}; give http: or https:`
  if (url.username !== '' || url.password !== '') return 'names a user; receivers verify the signature instead'
  const host = hostOf(url)
  if (!allowPrivate && isIP(host) !== 0 && !isPublicAddress(host)) return closed(host)
  return undefined
}

/**
 * Posts to receivers whom anybody may have named, so it connects to public addresses alone: what a name stands for is checked in
 * the very look-up that the connection is made from, and redirects are answers like any other.
 */
export class Sender {
  readonly #options: SenderOptions
  readonly #lookup: LookupFunction

  constructor(options: SenderOptions) {
    this.#options = options
    const lookup = options.lookup ?? (systemLookup as LookupFunction)
    this.#lookup = (host, wanted, done) =>
      lookup(host, { ...wanted, all: true }, (error, found) => {
        const all = typeof found === 'string' ? [{ address: found, family: isIP(found) }] : (found ?? [])
        const wrong = options.allowPrivate ? undefined : all.find(({ address }) => !isPublicAddress(address))
        if (error || wrong || all.length === 0) {
          done(error ?? new Error(wrong ? closed(wrong.address) : `${host} has no address`), [])
        } else if (wanted.all) done(null, all)
        else done(null, all[0]!.address, all[0]!.family)
      })
  }

  /** Makes one attempt; never rejects. @param signal - ends it early. */
  post(to: string, headers: Readonly<Record<string, string>>, body: string, signal: AbortSignal): Promise<Answer> {
    const { clock, allowPrivate } = this.#options
    const problem = urlProblem(to, allowPrivate)
    if (problem) return Promise.resolve({ code: 0, body: '', error: `The URL ${problem}` })
    return new Promise((resolve) => {
      const url = new URL(to)
      const options: RequestOptions = {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'user-agent': 'millrace' },
        // A connection of its own: none is reused whose address was checked for another time.
        agent: false,
        lookup: this.#lookup,
        signal,
        maxHeaderSize: 16 * 1024,
      }
      const request = url.protocol === 'https:' ? httpsRequest(url, options) : httpRequest(url, options)
      const stopTimer = clock.timer(timeoutMs, () => end({ code: 0, body: '', error: `There was no answer within ${timeoutMs / 1000} s` }))
      const end = (answer: Answer) => {
        stopTimer()
        resolve(answer)
        request.destroy()
      }
      request.on('error', (error) => end({ code: 0, body: '', error: reasonOf(error) }))
      request.on('response', (response) => {
        const code = response.statusCode ?? 0
        const chunks: Buffer[] = []
        let size = 0
        const over = () => {
          const taken = code >= 200 && code < 300
          const text = Buffer.concat(chunks).subarray(0, keptBytes).toString('utf8').replaceAll('\0', '')
          end({ code, body: text, error: taken ? '' : `The receiver answered ${code}` })
        }
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          size += chunk.length
          if (size >= keptBytes) over()
        })
        response.on('end', over)
        response.on('error', (error) => end({ code, body: '', error: reasonOf(error) }))
      })
      request.end(body)
    })
  }
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1')
}

function closed(address: string): string {
  return `leads to ${address}, which is not a public address (the server's --webhook-allow-private would allow it)`
}

function reasonOf(error: Error): string {
  return (error.message || (error as NodeJS.ErrnoException).code || 'the connection failed').slice(0, 1024)
}
