import { EntryChangeType, type WatchEntriesResponse } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { down } from '../testing/follow.ts'
import { turn } from '../testing/manual-clock.ts'
import { json, setUp } from '../testing/setup.ts'
import { observeKey } from './observe-key.ts'

function change(key: string, revision: number, value?: unknown): WatchEntriesResponse['changes'][number] {
  return {
    type: value === undefined ? EntryChangeType.DELETED : EntryChangeType.SET,
    entry: {
      key,
      value: value === undefined ? new Uint8Array() : json(value),
      contentType: '',
      revision,
      expiresAt: undefined,
      updatedAt: new Date(0),
    },
  }
}

const message = (live: boolean, ...changes: WatchEntriesResponse['changes']): WatchEntriesResponse => ({
  changes,
  revision: 9,
  reset: false,
  live,
})

/** A key that is observed while the server says these messages, one stream after the other. */
function setUpKey(...streams: (WatchEntriesResponse | 'turn')[][]) {
  const { clock, transport, mr } = setUp()
  let opened = 0
  transport.onStream('KvService/WatchEntries', async function* () {
    for (const each of streams[opened++] ?? []) {
      if (each === 'turn') await turn()
      else yield each
    }
    if (opened < streams.length) throw down()
    await new Promise(() => undefined)
  })
  const observer = observeKey<string>(mr, 'settings', 'theme')
  const seen: unknown[] = []
  observer.subscribe(() => {
    const { state, data } = observer.getSnapshot()
    seen.push([state, data?.value, data?.revision])
  })
  return { clock, transport, observer, seen }
}

test('a key is seen as it stands and as it changes; other keys that begin alike are not', async () => {
  const { clock, seen, transport } = setUpKey([
    message(false, change('theme', 3, 'dark'), change('theme-old', 4, 'x')),
    message(true),
    'turn',
    message(true, change('theme', 5, 'light')),
    message(true, change('theme-old', 6, 'y')),
    message(true, change('theme', 7)),
  ])
  await clock.advance(0)
  await clock.advance(0)
  expect(transport.requests('KvService/WatchEntries')).toEqual([{ store: 'settings', prefix: 'theme', afterRevision: 0 }])
  expect(seen).toEqual([
    ['loading', undefined, undefined],
    ['live', 'dark', 3],
    ['live', 'light', 5],
    ['live', undefined, 0],
  ])
})

test('a key that is not there is known not to be', async () => {
  const { clock, observer } = setUpKey([message(false, change('theme-old', 1, 'x')), message(true)])
  await clock.advance(0)
  expect(observer.getSnapshot()).toMatchObject({ state: 'live', data: { value: undefined, revision: 0 } })
})

test('after a break the present value counts, also when the key went away meanwhile', async () => {
  const { clock, observer, seen } = setUpKey([message(true, change('theme', 3, 'dark'))], [message(false), message(true)])
  await clock.advance(500)
  expect(observer.getSnapshot()).toMatchObject({ state: 'live', data: { value: undefined } })
  expect(seen.map((each) => (each as unknown[])[0])).toEqual(['loading', 'live', 'reconnecting', 'live'])
})
