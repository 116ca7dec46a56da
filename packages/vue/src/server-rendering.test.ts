import { compileOptions, MillraceBase, type Transport } from '@millrace/core/adapter'
import { expect, test } from 'vitest'
import { createSSRApp, defineComponent, h, Suspense } from 'vue'
import { renderToString } from 'vue/server-renderer'
import {
  createMillrace,
  useClusterHealth,
  useKV,
  useMillrace,
  usePipeline,
  useQueueStats,
  useStream,
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
  return { used, client }
}

const live = { isLoading: { value: true }, state: { value: 'idle' } }
const composables: [string, () => object, object][] = [
  ['useTask', useTask, { status: { value: undefined }, progress: { value: 0 }, isLoading: { value: false } }],
  ['useTaskStatus', () => useTaskStatus('task_1'), { ...live, status: { value: undefined }, progress: { value: 0 } }],
  ['useTaskStatus without a task', () => useTaskStatus(() => undefined), { isLoading: { value: false } }],
  ['useTasks', () => useTasks({ status: 'running' }), { ...live, tasks: { value: [] }, more: { value: false } }],
  ['useQueueStats', () => useQueueStats('emails'), { ...live, stats: { value: undefined } }],
  ['useKV', () => useKV('settings', 'theme'), { ...live, value: { value: undefined }, revision: { value: 0 } }],
  ['useStream', () => useStream('orders', { from: 'earliest' }), { ...live, messages: { value: [] } }],
  ['usePipeline', () => usePipeline('pipe_1'), { ...live, stages: { value: [] }, results: { value: {} } }],
  ['useClusterHealth', useClusterHealth, { ...live, health: { value: undefined } }],
]

test.each(composables)('%s renders on the server as not known yet, and connects nowhere', async (_, use, expected) => {
  const { used, client } = setUp()
  let seen: object | undefined
  const Show = defineComponent(() => {
    seen = use()
    return () => h('p', 'there')
  })
  const app = createSSRApp(Show).use(createMillrace({ client }))
  expect(await renderToString(app)).toBe('<p>there</p>')
  expect(seen).toMatchObject(expected)
  expect(used).toEqual([])
})

test('on the server, who waits for the first value does not wait', async () => {
  const { used, client } = setUp()
  const Show = defineComponent({
    async setup() {
      const { ready, state } = useTasks()
      await ready()
      return () => h('p', state.value)
    },
  })
  const app = createSSRApp(defineComponent(() => () => h(Suspense, () => h(Show)))).use(createMillrace({ client }))
  expect(await renderToString(app)).toContain('<p>idle</p>')
  expect(used).toEqual([])
})

test('a composable without the plugin says what is missing', async () => {
  const app = createSSRApp(defineComponent(() => () => h('p', String(useMillrace()))))
  app.config.warnHandler = () => undefined
  await expect(renderToString(app)).rejects.toThrow('The app has no Millrace client.')
})
