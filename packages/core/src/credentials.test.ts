import { expect, test } from 'vitest'
import { createCredentials } from './credentials.ts'
import { AuthenticationError, UnavailableError } from './errors/errors.ts'
import { ManualClock, turn } from './testing/manual-clock.ts'
import { collect, setUp } from './testing/setup.ts'

const minutes = 60_000

/** A token as a server makes it. */
const tokenFor = (lifetimeMs: number, n: number) =>
  `mrt_${btoa(JSON.stringify({ iat: 1000, exp: 1000 + lifetimeMs / 1000, n })).replace(/=/g, '')}.signature`

function setUpTokens(lifetimeMs: number) {
  const clock = new ManualClock()
  const state = { fetches: 0, fails: false as unknown }
  const credentials = createCredentials(async () => {
    state.fetches++
    if (state.fails) throw state.fails
    return tokenFor(lifetimeMs, state.fetches)
  }, clock)
  return { clock, state, credentials }
}

test('a token is replaced shortly before it ends, once for all who ask, whatever the clock of the machine says', async () => {
  const { clock, state, credentials } = setUpTokens(15 * minutes)
  const first = await credentials.get()
  await clock.advance(13.9 * minutes)
  expect(credentials.get()).toBe(first)
  await clock.advance(0.2 * minutes)
  const [one, two] = await Promise.all([credentials.get(), credentials.get()])
  expect(one).not.toBe(first)
  expect(two).toBe(one)
  expect(state.fetches).toBe(2)
})

test('a short one is used for most of its time', async () => {
  const { clock, state, credentials } = setUpTokens(10_000)
  await credentials.get()
  await clock.advance(8900)
  await credentials.get()
  expect(state.fetches).toBe(1)
  await clock.advance(200)
  await credentials.get()
  expect(state.fetches).toBe(2)
})

test('while no other can be got, a token is used to its end', async () => {
  const { clock, state, credentials } = setUpTokens(15 * minutes)
  const first = await credentials.get()
  state.fails = new TypeError('fetch failed')
  await clock.advance(14.5 * minutes)
  expect(await credentials.get()).toBe(first)
  await clock.advance(minutes)
  await expect(Promise.resolve(credentials.get())).rejects.toThrow(UnavailableError)
  state.fails = false
  expect(await credentials.get()).not.toBe(first)
})

test('what its source threw is told as it is when it is an error of ours', async () => {
  const { state, credentials } = setUpTokens(minutes)
  const loggedOut = new AuthenticationError({ reason: 'UNAUTHENTICATED', message: 'Log in again.' })
  state.fails = loggedOut
  await expect(Promise.resolve(credentials.get())).rejects.toBe(loggedOut)
  state.fails = new Error('offline')
  await expect(Promise.resolve(credentials.get())).rejects.toMatchObject({ code: 'UNAVAILABLE', cause: state.fails })
})

test('a token that says nothing of its end is kept until it is refused', async () => {
  const clock = new ManualClock()
  for (const text of ['opaque', 'mrt_', 'mrt_e30.x', 'mrt_!!!.x', `mrt_${btoa('null')}.x`]) {
    let fetches = 0
    const credentials = createCredentials(() => {
      fetches++
      return text
    }, clock)
    await credentials.get()
    await clock.advance(365 * 24 * 60 * minutes)
    expect(credentials.get()).toBe(text)
    expect(fetches).toBe(1)
  }
})

test('many that learn that one token was refused get one other between them', async () => {
  const { state, credentials } = setUpTokens(15 * minutes)
  await credentials.get()
  const { version } = credentials
  credentials.renew(version)
  const second = credentials.get()
  credentials.renew(version)
  expect(await second).toBe(await credentials.get())
  credentials.renew(version)
  await credentials.get()
  expect(state.fetches).toBe(2)
})

test('calls made together with a token that has ended fetch one other between them', async () => {
  let fetches = 0
  const { transport, mr } = setUp({ token: () => tokenFor(15 * minutes, ++fetches), retry: false })
  transport.on('ClusterService/GetHealth', async () => {
    const token = await transport.credentials!.get()
    await turn()
    if (token === tokenFor(15 * minutes, 1)) throw new AuthenticationError({ reason: 'TOKEN_EXPIRED', message: 'expired' })
    return { healthy: true, detail: '', version: '1', nodes: undefined, queue: undefined }
  })
  await Promise.all([mr.health(), mr.health(), mr.health()])
  expect(fetches).toBe(2)
})

test('many streams that end with one token go on with one other', async () => {
  let fetches = 0
  const { clock, transport, mr } = setUp({ token: () => tokenFor(15 * minutes, ++fetches) })
  let ended = ''
  transport.onStream('TaskService/TailTaskLogs', async function* () {
    const token = (await transport.credentials!.get())!
    await new Promise((resolve) => clock.timer(1000, () => resolve(undefined)))
    ended ||= token
    if (token === ended) throw new AuthenticationError({ reason: 'TOKEN_EXPIRED', message: 'expired' })
    yield { entries: [{ timestamp: undefined, level: 2, message: 'line', fieldsJson: '', sequence: 1 }] }
  })
  const all = Promise.all(Array.from({ length: 20 }, (_, i) => collect(mr.tasks.logs(`task_${i}`, { follow: true }))))
  await clock.advance(10_000)
  expect((await all).map((lines) => lines.length)).toEqual(Array.from({ length: 20 }, () => 1))
  expect(fetches).toBe(2)
})

test('a source whose every token is refused is asked twice, not for ever', async () => {
  let fetches = 0
  const { clock, transport, mr } = setUp({ token: () => tokenFor(15 * minutes, ++fetches) }, { duplex: false })
  const refuse = async () => {
    await transport.credentials!.get()
    throw new AuthenticationError({ reason: 'UNAUTHENTICATED', message: 'no' })
  }
  transport.on('ClusterService/GetHealth', refuse)
  await expect(mr.health()).rejects.toThrow(AuthenticationError)
  expect(fetches).toBe(2)
  // biome-ignore lint/correctness/useYield: it fails before the first one.
  transport.onStream('TaskService/FollowTaskSet', async function* () {
    await refuse()
  })
  const watched = expect(collect(mr.tasks.watch('task_1'))).rejects.toThrow(AuthenticationError)
  await clock.advance(60_000)
  await watched
  expect(fetches).toBe(3)
})
