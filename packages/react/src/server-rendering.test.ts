import { compileOptions, MillraceBase, type Transport } from '@millrace/core/adapter'
import { createElement, type ReactElement, StrictMode, Suspense } from 'react'
import { renderToString } from 'react-dom/server'
import { expect, test } from 'vitest'
import {
  MillraceProvider,
  useClusterHealth,
  useKV,
  useMillrace,
  usePipeline,
  useQueueStats,
  useStream,
  useSuspenseClusterHealth,
  useSuspenseKV,
  useSuspensePipeline,
  useSuspenseQueueStats,
  useSuspenseTaskStatus,
  useSuspenseTasks,
  useTask,
  useTaskStatus,
  useTasks,
} from './index.ts'

/** A client that notes when it is used. */
function setUp() {
  const used: string[] = []
  const use = (what: string) => {
    used.push(what)
    throw new Error(`${what} was called.`)
  }
  const nothing = () => undefined
  const transport: Transport = {
    unary: use,
    serverStream: use,
    follow: () => ({ add: () => use('follow'), remove: nothing, close: nothing }),
    ready: () => use('ready'),
    close: async () => undefined,
  }
  const client = new MillraceBase(transport, compileOptions({ endpoint: 'nowhere', apiKey: 'key' }, {}))
  return { used, client, render: (what: () => unknown) => renderToString(page(client, what)) }
}

/** Shows what a hook says, as text. */
function Show({ hook }: { readonly hook: () => unknown }): string {
  return JSON.stringify(hook())
}

function page(client: MillraceBase, hook: () => unknown): ReactElement {
  const fallback = createElement('i', {}, 'fallback')
  const content = createElement(Suspense, { fallback }, createElement(Show, { hook }))
  return createElement(StrictMode, {}, createElement(MillraceProvider, { client }, content))
}

const plain: [string, () => unknown, Record<string, unknown>][] = [
  ['useTask', useTask, { progress: 0, message: '', isLoading: false, state: 'idle' }],
  ['useTaskStatus', () => useTaskStatus('task_1'), { progress: 0, message: '', isLoading: true, state: 'idle' }],
  ['useTaskStatus without a task', () => useTaskStatus(undefined), { progress: 0, message: '', isLoading: false, state: 'idle' }],
  ['useTasks', () => useTasks({ status: 'running' }), { tasks: [], more: false, isLoading: true, state: 'idle' }],
  ['useQueueStats', () => useQueueStats('emails'), { isLoading: true, state: 'idle' }],
  ['useKV', () => useKV('settings', 'theme'), { revision: 0, isLoading: true, state: 'idle' }],
  ['useStream', () => useStream('orders', { from: new Date(0) }), { messages: [], isLoading: true, state: 'idle' }],
  ['usePipeline', () => usePipeline('pipe_1'), { stages: [], results: {}, isLoading: true, state: 'idle' }],
  ['useClusterHealth', useClusterHealth, { isLoading: true, state: 'idle' }],
]

test.each(plain)('%s renders on the server as not known yet, and connects nowhere', (_, hook, expected) => {
  const { used, render } = setUp()
  const html = render(hook)
  expect(JSON.parse(html.replace(/<!--.*?-->/g, '').replaceAll('&quot;', '"'))).toEqual(expected)
  expect(used).toEqual([])
})

test.each([
  ['useSuspenseTaskStatus', () => useSuspenseTaskStatus('task_1')],
  ['useSuspenseTasks', () => useSuspenseTasks()],
  ['useSuspenseQueueStats', () => useSuspenseQueueStats('emails')],
  ['useSuspenseKV', () => useSuspenseKV('settings', 'theme')],
  ['useSuspensePipeline', () => useSuspensePipeline('pipe_1')],
  ['useSuspenseClusterHealth', () => useSuspenseClusterHealth()],
])('%s leaves its place on the server to the fallback, and connects nowhere', (_, hook) => {
  const { used, render } = setUp()
  expect(render(hook)).toContain('<i>fallback</i>')
  expect(used).toEqual([])
})

test('a hook without a provider says what is missing', () => {
  expect(() => renderToString(createElement(Show, { hook: useMillrace }))).toThrow('There is no <MillraceProvider> around this component.')
})
