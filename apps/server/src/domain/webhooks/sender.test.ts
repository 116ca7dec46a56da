import { createServer } from 'node:http'
import type { AddressInfo, LookupFunction } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ManualClock } from '../../testing/manual-clock.ts'
import { isPublicAddress } from './addresses.ts'
import { Sender } from './sender.ts'

/** Something on this machine that no webhook may reach. */
let connections = 0
const inside = createServer((_request, response) => {
  response.end('inside')
})
inside.on('connection', () => connections++)
let port = 0
beforeAll(async () => {
  await new Promise<void>((resolve) => inside.listen(0, '::', resolve))
  port = (inside.address() as AddressInfo).port
})
afterAll(() => new Promise((resolve) => inside.close(resolve)))

const hosts4 =
  `127.0.0.1 127.1 127.0.1 127.255.255.254 127.127.127.127 0 0.0.0.0 0.1.2.3 2130706433 017700000001 0x7f000001 0x7f.1 0x7f.0.0.1
  0177.0.0.1 0177.1 00000177.0.0.1 127.0x0.0.1 127.0.0.01 127.0.0.0x1 0x7f.0x0.0x0.0x1 0177.00.00.01 4294967295 0xffffffff 10.0.0.1 10.1
  10.255.255.255 167772161 0xa000001 012.0.0.1 172.16.0.1 172.31.255.255 172.16.1 2886729729 0xac100001 192.168.0.1 192.168.1 192.168.257
  3232235521 0xc0a80001 0300.0250.0.1 169.254.169.254 169.254.43518 2852039166 0xa9fea9fe 0251.0376.0251.0376 0xa9.0xfe.0xa9.0xfe
  169.254.0.1 100.64.0.1 100.100.100.200 100.127.255.255 1681915905 0x64400001 192.0.0.1 192.0.0.170 192.0.0.192 192.0.2.1 198.18.0.1
  198.19.255.255 198.51.100.1 203.0.113.1 192.88.99.1 224.0.0.1 239.255.255.255 3758096385 240.0.0.1 255.255.255.255 127。0。0。1
  １２７.0.0.1 ①②⑦.0.0.1 127.0.0.1. 169.254.169.254. 2130706433. %31%32%37.0.0.1 127%2e0%2e0%2e1 0x7F.0X0.0.1`.split(/\s+/)
const hosts6 = `[::1] [::] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1]
  [::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [::ffff:192.168.0.1] [::ffff:8.8.8.8] [0:0:0:0:0:ffff:127.0.0.1] [::127.0.0.1] [::7f00:1]
  [::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe] [64:ff9b:1::1] [2002:7f00:1::] [2002:a9fe:a9fe::1]
  [2002:c0a8:1::1] [2001::1] [2001:0:7f00:1::] [2001:10::1] [2001:20::1] [2001:db8::1] [3fff::1] [fe80::1] [febf::1] [fec0::1] [fc00::1]
  [fd00::1] [fd00:ec2::254] [fdff:ffff::1] [ff02::1] [ff05::2] [ff0e::1] [100::1] [5f00::1] [4000::1] [::2]`.split(/\s+/)
const names: Readonly<Record<string, readonly string[]>> = {
  localhost: ['127.0.0.1', '::1'],
  'a.localhost': ['::1'],
  'metadata.google.internal': ['169.254.169.254'],
  'mixed.example': ['93.184.215.14', '10.0.0.1'],
  'mapped.example': ['::ffff:127.0.0.1'],
  'six.example': ['fe80::1%eth0'],
  '127.0.0.1.nip.io': ['127.0.0.1'],
  'nothing.example': [],
}
const others = (at: number) => [
  `http://user@127.0.0.1:${at}/`,
  `http://example.com@127.0.0.1:${at}/`,
  `http://example.com:80@127.0.0.1:${at}/`,
  `http://user:word@example.com/`,
  `http://127.0.0.1:${at}#@example.com/`,
  `http://127.0.0.1:${at}?@example.com/`,
  `http://127.0.0.1:${at}\\@example.com/`,
  `http:\\\\127.0.0.1:${at}/`,
  `http:/127.0.0.1:${at}/`,
  `http:127.0.0.1:${at}`,
  `\t http://127.0.0.1:${at}/`,
  `ht\ntp://127.0.0.1:${at}/`,
  `HTTP://127.0.0.1:${at}/`,
  `https://127.0.0.1:${at}/`,
  `https://[::1]:${at}/`,
  `file:///etc/passwd`,
  `ftp://127.0.0.1:${at}/`,
  `gopher://127.0.0.1:${at}/_x`,
  `data:text/plain,x`,
  `unix:/var/run/docker.sock`,
  `http+unix://%2Fvar%2Frun%2Fdocker.sock/`,
  `ws://127.0.0.1:${at}/`,
  `javascript:alert(1)`,
  `http://[fe80::1%25eth0]:${at}/`,
  `http://[::1%lo]:${at}/`,
  `http://127.0.0.256:${at}/`,
  `http://:${at}/`,
  `//127.0.0.1:${at}/`,
  `127.0.0.1:${at}`,
  '',
]

/** Knows the names above, and what a test adds; nothing outside is asked. */
const lookupOf =
  (more: Readonly<Record<string, () => readonly string[]>> = {}): LookupFunction =>
  (host, options, done) => {
    const found = (more[host]?.() ?? names[host] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    if (options.all) done(null, found)
    else done(new Error('not asked for'), [])
  }

const open = (change: { readonly allowPrivate?: boolean; readonly lookup?: LookupFunction } = {}) =>
  new Sender({ clock: new ManualClock(), allowPrivate: false, lookup: lookupOf(), ...change })
const post = (sender: Sender, url: string) => sender.post(url, {}, '{}', new AbortController().signal)

describe('hostile URLs', () => {
  it('lead nowhere inside', async () => {
    const hosts = [...hosts4, ...hosts6, ...Object.keys(names)]
    const urls = [...hosts.map((host) => `http://${host}:${port}/`), ...others(port)]
    expect(urls.length).toBeGreaterThan(140)
    const sender = open()
    const refusal = /not a public address|is not a URL|begins with|names a user|has no address/
    for (const url of urls) {
      const answer = await post(sender, url)
      expect(`${url}: ${answer.code} ${answer.error}`).toMatch(refusal)
      expect(answer.code).toBe(0)
    }
    expect(connections).toBe(0)
    // Was there something to reach?
    expect(await post(open({ allowPrivate: true }), `http://127.0.0.1:${port}/`)).toEqual({ code: 200, body: 'inside', error: '' })
    expect(connections).toBe(1)
  })

  it('whose name changes its mind are checked in the look-up of the connection', async () => {
    const before = connections
    let asked = 0
    // Public when asked first, as a check before the connection would; inside from then on.
    const rebind = () => (asked++ === 0 ? ['93.184.215.14'] : ['127.0.0.1'])
    const lookup = lookupOf({ 'rebind.example': rebind })
    lookup('rebind.example', { all: true }, () => undefined)
    const answer = await post(open({ lookup }), `http://rebind.example:${port}/`)
    expect(answer.error).toContain('127.0.0.1, which is not a public address')
    expect([asked, connections]).toEqual([2, before])
  })

  it('cannot be redirected to', async () => {
    const sent: string[] = []
    const redirecting = createServer((request, response) => {
      sent.push(request.url!)
      response.writeHead(307, { location: `http://127.0.0.1:${port}/secret` }).end()
    })
    await new Promise<void>((resolve) => redirecting.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void redirecting.close())
    const before = connections
    const answer = await post(open({ allowPrivate: true }), `http://127.0.0.1:${(redirecting.address() as AddressInfo).port}/a`)
    expect(answer).toMatchObject({ code: 307, error: 'The receiver answered 307' })
    expect([sent, connections]).toEqual([['/a'], before])
  })
})

describe('receivers', () => {
  it('that answer without end, or never, are left', async () => {
    const clock = new ManualClock()
    let arrived: () => void = () => undefined
    const endless = createServer((request, response) => {
      if (request.url === '/never') return arrived()
      const write = () => {
        while (response.write('x'.repeat(10_000)));
      }
      response.on('drain', write)
      write()
    })
    await new Promise<void>((resolve) => endless.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      endless.closeAllConnections()
      endless.close()
    })
    const at = `http://127.0.0.1:${(endless.address() as AddressInfo).port}`
    const sender = new Sender({ clock, allowPrivate: true })
    expect(await post(sender, at)).toEqual({ code: 200, body: 'x'.repeat(1024), error: '' })
    const waiting = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const answer = post(sender, `${at}/never`)
    await waiting
    await clock.advance(15_000)
    expect(await answer).toEqual({ code: 0, body: '', error: 'There was no answer within 15 s' })
  })
})

describe('addresses', () => {
  it('of the public internet are public', () => {
    for (const address of [
      '8.8.8.8',
      '1.1.1.1',
      '93.184.215.14',
      '172.15.0.1',
      '172.32.0.1',
      '100.63.0.1',
      '100.128.0.1',
      '2606:4700::1111',
    ]) {
      expect([address, isPublicAddress(address)]).toEqual([address, true])
    }
  })
})
