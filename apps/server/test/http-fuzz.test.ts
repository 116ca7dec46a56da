import { randomInt } from 'node:crypto'
import { request as httpRequest, type OutgoingHttpHeaders } from 'node:http'
import { type Field, fieldsOf, httpBindings, type Shape } from '@millrace/protocol/http'
import fc from 'fast-check'
import { pino } from 'pino'
import { expect, it, onTestFinished } from 'vitest'
import { startServer } from '../src/serve.ts'
import { temporaryFolder } from './harness.ts'

/** `MILLRACE_FUZZ_RUNS` makes it long; `MILLRACE_TEST_SEED` repeats one. */
const runs = Number(process.env.MILLRACE_FUZZ_RUNS ?? 1500)
const seed = Number(process.env.MILLRACE_TEST_SEED ?? randomInt(2 ** 31))

const texts = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    '',
    '-',
    '.',
    '..',
    'a/b',
    ':',
    '__proto__',
    'constructor',
    'toString',
    'task_1',
    'job_zzzzzzzzzzzz',
    'default',
    '\u0000',
    '%',
    'null',
  ),
)
const numbers = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -0, 1, -1, 2 ** 31, 2 ** 53, 2 ** 63, 1e308, Number.NaN, '1', '9007199254740993', '1e400', '-5'),
)
const anything = fc.oneof(fc.jsonValue({ maxDepth: 3 }), texts, numbers, fc.constantFrom(null, [], {}, true))

/** JSON that is nearly what a shape asks for. */
function nearly(shape: Shape): fc.Arbitrary<unknown> {
  const fields = fieldsOf(shape)
  const record = fc.record(Object.fromEntries(fields.map((field) => [field.name, values(field)])), { requiredKeys: [] })
  const odd = fc.tuple(record, fc.dictionary(texts, anything, { maxKeys: 1 })).map(([known, unknown]) => ({ ...known, ...unknown }))
  return fc.oneof({ weight: 8, arbitrary: record }, { weight: 1, arbitrary: odd }, { weight: 1, arbitrary: anything })
}

function values(field: Field): fc.Arbitrary<unknown> {
  const right = rightValues(field)
  const whole =
    field.many === '*' ? fc.array(right, { maxLength: 3 }) : field.many === '%' ? fc.dictionary(texts, right, { maxKeys: 3 }) : right
  return fc.oneof({ weight: 9, arbitrary: whole }, { weight: 1, arbitrary: anything })
}

function rightValues({ kind, message, names, companion, name }: Field): fc.Arbitrary<unknown> {
  if (companion) return fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('aGk=', '***'))
  switch (kind) {
    case 'z':
      return fc.boolean()
    case 'm':
      return nearly(message!)
    case 'e':
      return fc.oneof(fc.constantFrom(...names.toLowerCase().split(' ')), texts)
    case 't':
      return fc.oneof(fc.constantFrom('2027-01-31T12:00:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999999+23:59'), texts)
    case 's':
      return /contentType/i.test(name) ? fc.constantFrom('', 'application/json', 'text/plain') : texts
    case 'b':
      return fc.constantFrom('', 'aGk=', '_-8', '***')
    default:
      return numbers
  }
}

interface Attempt {
  readonly verb: string
  readonly path: string
  readonly headers: OutgoingHttpHeaders
  readonly body: Buffer | undefined
}

const headerTexts = fc.stringMatching(/^[\x20-\x7e]{0,30}$/)
const oddHeaders = fc.record(
  {
    'content-type': fc.constantFrom('application/json', 'application/json; charset=utf-8', 'text/plain', ''),
    'content-encoding': fc.constantFrom('gzip', 'identity', 'br'),
    'accept-encoding': fc.oneof(fc.constantFrom('gzip', 'br;q=0, gzip', '*'), headerTexts),
    'idempotency-key': headerTexts,
    'if-none-match': headerTexts,
    'last-event-id': fc.oneof(headerTexts, fc.constantFrom('1', '-1', '9007199254740993')),
    'millrace-namespace': fc.oneof(headerTexts, fc.constantFrom('default', 'blue')),
    'request-id': headerTexts,
    origin: headerTexts,
    authorization: headerTexts,
  },
  { requiredKeys: [] },
)

const encoded = texts.map((text) => encodeURIComponent(text.toWellFormed()))
const rawSegments = fc.stringMatching(/^[\x21-\x7e]{0,12}$/).map((text) => text.replace(/[?#]/g, ''))

const attempts: fc.Arbitrary<Attempt> = fc.constantFrom(...httpBindings).chain(([route, http = route[1]]) => {
  const [verb = '', template = ''] = http.split(' ')
  const segments = template.split(/(\{\w+\})/)
  const path = fc
    .tuple(...segments.map((part) => (part.startsWith('{') ? fc.oneof(encoded, encoded, rawSegments) : fc.constant(part))))
    .map((parts) => parts.join(''))
  const names = fieldsOf(route[2]).flatMap(({ name, message }) => [
    name,
    ...(message ? fieldsOf(message).map((one) => `${name}.${one.name}`) : []),
  ])
  const parameter = fc.tuple(fc.oneof(fc.constantFrom('lastEventId', ...names), texts), fc.oneof(texts, numbers.map(String)))
  const query = fc
    .array(parameter, { maxLength: 3 })
    .map((list) => new URLSearchParams(list.map(([k, v]): [string, string] => [k.toWellFormed(), v.toWellFormed()])).toString())
  const body = fc.oneof(
    { weight: 8, arbitrary: nearly(route[2]).map((json) => Buffer.from(JSON.stringify(json) ?? '')) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(undefined, Buffer.from('['.repeat(50_000)), Buffer.from(`${'{"a":'.repeat(9000)}1${'}'.repeat(9000)}`)),
    },
  )
  return fc.record({
    verb: fc.oneof(
      { weight: 9, arbitrary: fc.constant(verb) },
      { weight: 1, arbitrary: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE') },
    ),
    path: fc.tuple(path, fc.oneof(fc.constant(''), query)).map(([one, two]) => (two ? `${one}?${two}` : one)),
    headers: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: oddHeaders }),
    body: verb === 'GET' ? fc.constant(undefined) : body,
  })
})

/** What came back: at least status and headers; of a call that waits, what came within the time. */
function send(
  address: string,
  key: string,
  { verb, path, headers, body }: Attempt,
): Promise<{ status: number; requestId: unknown } | 'waits'> {
  const { hostname, port } = new URL(`http://${address}`)
  const sent = { 'x-api-key': key, 'content-type': 'application/json', ...headers }
  return new Promise((resolve, reject) => {
    const options = { host: hostname, port, method: verb, path, headers: sent, agent: false, insecureHTTPParser: true }
    const request = httpRequest(options, (response) => {
      resolve({ status: response.statusCode!, requestId: response.headers['request-id'] })
      response.destroy()
    })
    request.setTimeout(1000, () => {
      resolve('waits')
      request.destroy()
    })
    request.on('error', reject)
    request.end(body)
  })
}

it('no request makes the gateway fail', { timeout: 600_000 }, async () => {
  console.log(`seed ${seed}; repeat with MILLRACE_TEST_SEED=${seed}`)
  const faults: string[] = []
  const logger = pino({ level: 'error' }, { write: (line: string) => void faults.push(line) })
  const server = await startServer({ data: await temporaryFolder(), grpc: '127.0.0.1:0', dev: true, shutdownGrace: 0 }, { logger })
  onTestFinished(() => server.stop())
  const statuses = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(attempts, async (attempt) => {
      const answer = await send(server.http!, server.key!, attempt)
      expect(faults).toEqual([])
      if (answer === 'waits') return
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      expect(answer.status).toBeLessThan(500)
      expect(answer.requestId).toMatch(/^[\x21-\x7e]{1,128}$/)
    }),
    { numRuns: runs, seed, endOnFailure: true },
  )
  expect((await fetch(`http://${server.http}/healthz`)).status).toBe(200)
  // It reached what is behind the checks, and the checks.
  console.log(
    `answers by status: ${[...statuses]
      .sort()
      .map(([status, count]) => `${status}: ${count}`)
      .join(', ')}`,
  )
  expect(statuses.get(200)).toBeGreaterThan(0)
  expect(statuses.get(400)).toBeGreaterThan(0)
})
