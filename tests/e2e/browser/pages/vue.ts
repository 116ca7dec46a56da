import {
  createMillrace,
  useClusterHealth,
  useKV,
  useMillrace,
  usePipeline,
  useQuery,
  useQueueStats,
  useStream,
  useTable,
  useTask,
  useTaskStatus,
  useTasks,
} from '@millrace/vue'
import type { Millrace } from '@millrace/web'
import { createApp, defineComponent, h, KeepAlive, reactive, ref, Suspense, shallowRef, version } from 'vue'
import { connection, noteFallback, type Scene, shown } from './shown.ts'

const Task = defineComponent({
  props: { queue: { type: String, required: true } },
  setup({ queue }) {
    const { submit, cancel, reset, ...refs } = useTask<number>()
    const task = reactive(refs)
    return () =>
      h('section', [
        h('button', { id: 'submit', onClick: () => void submit({ function: 'work', queue }) }, 'Submit'),
        h('button', { id: 'cancel', onClick: () => void cancel() }, 'Cancel'),
        h('button', { id: 'reset', onClick: () => reset() }, 'Reset'),
        h('pre', { id: 'task' }, shown({ ...task, functions: 3 })),
      ])
  },
})

const List = defineComponent({
  props: { queue: { type: String, required: true } },
  setup(props) {
    const list = reactive({ ...useTasks(() => ({ queue: props.queue, limit: 5 })) })
    const stats = reactive({ ...useQueueStats(() => props.queue) })
    const health = reactive({ ...useClusterHealth() })
    return () =>
      h('section', [
        h('pre', { id: 'list' }, shown({ ...list })),
        h('pre', { id: 'stats' }, shown({ ...stats })),
        h('pre', { id: 'health' }, shown({ ...health })),
      ])
  },
})

const Rows = defineComponent({
  props: { queue: { type: String, required: true } },
  setup(props) {
    const mr = useMillrace() as Millrace
    const table = reactive({ ...useTable('people', () => ({ where: { name: { ne: props.queue } }, order: 'id', limit: 10 })) })
    const query = reactive({ ...useQuery(() => mr.table('people').select('name').where('id=gt.1')) })
    return () => h('section', [h('pre', { id: 'table' }, shown({ ...table })), h('pre', { id: 'query' }, shown({ ...query }))])
  },
})

const Key = defineComponent(() => {
  const { set, remove, ...refs } = useKV<string>('settings', 'theme')
  const theme = reactive(refs)
  return () =>
    h('section', [
      h('button', { id: 'set', onClick: () => void set('light') }, 'Set'),
      h('button', { id: 'remove', onClick: () => void remove({ ifRevision: theme.revision }) }, 'Remove'),
      h('pre', { id: 'key' }, shown({ ...theme })),
    ])
})

const Messages = defineComponent(() => {
  const { write, ...refs } = useStream<number>('orders', { from: 'earliest', limit: 2 })
  const stream = reactive(refs)
  return () =>
    h('section', [
      h('button', { id: 'write', onClick: () => void write([{ payload: 3 }]) }, 'Write'),
      h('pre', { id: 'stream' }, shown({ ...stream })),
    ])
})

const Pipeline = defineComponent({
  props: { pipelineId: { type: String, required: true } },
  setup(props) {
    const pipeline = reactive({ ...usePipeline(() => props.pipelineId) })
    return () => h('pre', { id: 'pipeline' }, shown({ ...pipeline }))
  },
})

const One = defineComponent({
  props: { taskId: { type: String, required: true } },
  setup(props) {
    const { status, progress } = useTaskStatus(() => props.taskId)
    return () => h('li', { class: 'one' }, `${status.value} ${progress.value}`)
  },
})

const Suspended = defineComponent({
  props: { queue: { type: String, required: true } },
  async setup({ queue }) {
    const { tasks, state, error, retry, ready } = useTasks({ queue, limit: queue.startsWith('wrong') ? 1000 : 5 })
    await ready()
    return () =>
      error.value
        ? h('button', { id: 'retry', onClick: retry }, String(error.value))
        : h('pre', { id: 'suspended' }, shown({ count: tasks.value.length, state: state.value }))
  },
})

const Show = defineComponent({
  props: { scene: { type: Object, required: true } },
  setup(props) {
    return () => {
      const { name, queue, taskId = '', pipelineId = '', count = 0 } = props.scene as Scene
      if (name === 'task') return h(Task, { queue })
      if (name === 'list') return h(List, { queue })
      if (name === 'key') return h(Key)
      if (name === 'rows') return h(Rows, { queue })
      if (name === 'pipeline') return h(Pipeline, { pipelineId })
      if (name === 'stream') return h(Messages)
      if (name === 'many')
        return h(
          'ul',
          Array.from({ length: count }, (_, i) => h(One, { key: i, taskId })),
        )
      if (name === 'suspended') {
        return h(Suspense, null, {
          default: () => h(Suspended, { queue }),
          fallback: () => h('i', { onVnodeMounted: noteFallback }, 'loading'),
        })
      }
      return h('i', { id: 'nothing' }, 'nothing')
    }
  },
})

const Page = defineComponent(() => {
  const scene = shallowRef<Scene>({ queue: '' })
  const kept = ref(false)
  window.show = (next) => {
    kept.value = next.keep ?? false
    scene.value = next
  }
  // What is kept alive is kept by its name and queue.
  const content = () => h(Show, { key: JSON.stringify(scene.value), scene: scene.value })
  return () => (kept.value ? h(KeepAlive, content) : content())
})

document.title = `Vue ${version}`
createApp(Page).use(createMillrace(connection())).mount('#app')
