import {
  MillraceProvider,
  retryAfter,
  useClusterHealth,
  useKV,
  useMillrace,
  usePipeline,
  useQuery,
  useQueueStats,
  useStream,
  useSuspenseTasks,
  useTable,
  useTask,
  useTaskStatus,
  useTasks,
} from '@millrace/react'
import type { Millrace } from '@millrace/web'
import { Component, type ReactNode, StrictMode, Suspense, useEffect, useRef, useState, version } from 'react'
import { createRoot } from 'react-dom/client'
import { connection, noteFallback, type Scene, shown } from './shown.ts'

interface QueueProps {
  readonly queue: string
}

function Task({ queue }: QueueProps) {
  const task = useTask<number>()
  const { submit, cancel, reset } = task
  // One set as long as the functions are the same.
  const sets = useRef(new Set())
  sets.current.add(submit).add(cancel).add(reset)
  return (
    <section>
      <button id="submit" type="button" onClick={() => void submit({ function: 'work', queue })}>
        Submit
      </button>
      <button id="cancel" type="button" onClick={() => void cancel()}>
        Cancel
      </button>
      <button id="reset" type="button" onClick={() => reset()}>
        Reset
      </button>
      <pre id="task">{shown({ ...task, functions: sets.current.size })}</pre>
    </section>
  )
}

function List({ queue }: QueueProps) {
  // Another object each time, with the same content.
  const list = useTasks({ queue, limit: 5 })
  const stats = useQueueStats(queue)
  const health = useClusterHealth()
  return (
    <section>
      <pre id="list">{shown(list)}</pre>
      <pre id="stats">{shown(stats)}</pre>
      <pre id="health">{shown(health)}</pre>
    </section>
  )
}

function Key() {
  const theme = useKV<string>('settings', 'theme')
  return (
    <section>
      <button id="set" type="button" onClick={() => void theme.set('light')}>
        Set
      </button>
      <button id="remove" type="button" onClick={() => void theme.remove({ ifRevision: theme.revision })}>
        Remove
      </button>
      <pre id="key">{shown(theme)}</pre>
    </section>
  )
}

function Messages() {
  const stream = useStream<number>('orders', { from: 'earliest', limit: 2 })
  return (
    <section>
      <button id="write" type="button" onClick={() => void stream.write([{ payload: 3 }])}>
        Write
      </button>
      <pre id="stream">{shown(stream)}</pre>
    </section>
  )
}

function Rows({ queue }: QueueProps) {
  // Other objects each time, which ask for the same.
  const table = useTable<{ id: number; name: string }>('people', { where: { name: { ne: queue } }, order: 'id', limit: 10 })
  const query = useQuery((useMillrace() as Millrace).table('people').select('name').where('id=gt.1'))
  return (
    <section>
      <pre id="table">{shown(table)}</pre>
      <pre id="query">{shown(query)}</pre>
    </section>
  )
}

function Pipeline({ pipelineId }: { readonly pipelineId: string | undefined }) {
  return <pre id="pipeline">{shown(usePipeline(pipelineId))}</pre>
}

function One({ taskId }: { readonly taskId: string }) {
  const { status, progress } = useTaskStatus(taskId)
  return <li className="one">{`${status} ${progress}`}</li>
}

function Suspended({ queue }: QueueProps) {
  const { tasks, state } = useSuspenseTasks({ queue, limit: queue.startsWith('wrong') ? 1000 : 5 })
  return <pre id="suspended">{shown({ count: tasks.length, state })}</pre>
}

class Boundary extends Component<{ readonly children: ReactNode }, { readonly error: unknown }> {
  override state = { error: undefined as unknown }

  static getDerivedStateFromError(error: unknown) {
    return { error }
  }

  readonly retry = () => {
    retryAfter(this.state.error)
    this.setState({ error: undefined })
  }

  override render() {
    if (this.state.error === undefined) return this.props.children
    return (
      <button id="retry" type="button" onClick={this.retry}>
        {String(this.state.error)}
      </button>
    )
  }
}

function Show({ name, queue, taskId = '', pipelineId, count = 0 }: Scene) {
  switch (name) {
    case 'task':
      return <Task queue={queue} />
    case 'list':
      return <List queue={queue} />
    case 'key':
      return <Key />
    case 'rows':
      return <Rows queue={queue} />
    case 'pipeline':
      return <Pipeline pipelineId={pipelineId} />
    case 'stream':
      return <Messages />
    case 'many':
      return (
        <ul>
          {Array.from({ length: count }, (_, i) => i).map((i) => (
            <One key={i} taskId={taskId} />
          ))}
        </ul>
      )
    case 'suspended':
      return (
        <Boundary>
          <Suspense fallback={<i ref={noteFallback}>loading</i>}>
            <Suspended queue={queue} />
          </Suspense>
        </Boundary>
      )
    default:
      return <i id="nothing">nothing</i>
  }
}

function Page() {
  const [scene, setScene] = useState<Scene>({ queue: '' })
  useEffect(() => {
    window.show = setScene
  }, [])
  return <Show key={JSON.stringify(scene)} {...scene} />
}

document.title = `React ${version}`
const { endpoint, namespace, token } = connection()
createRoot(document.querySelector('#app')!).render(
  <StrictMode>
    <MillraceProvider endpoint={endpoint} namespace={namespace} token={token}>
      <Page />
    </MillraceProvider>
  </StrictMode>,
)
