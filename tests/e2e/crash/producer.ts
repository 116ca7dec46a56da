// A producer process of the crash test. See `ProducerSettings` for its argument.
import { setTimeout as sleep } from 'node:timers/promises'
import { ConflictError, Millrace, UnavailableError } from '@millrace/client'
import { createRandom } from '../harness/random.ts'
import { deadAttempts, openJournal, type Payload, type Plan } from './journal.ts'
import { functionName, obeyParent, type ProducerSettings, queueName, readSettings, statefulName, stateKeys, stubborn } from './settings.ts'

const { endpoint, key, namespace, name, folder, seed, rate } = readSettings<ProducerSettings>()
const journal = openJournal(folder, name)
const random = createRandom(seed)
const mr = new Millrace({ endpoint, apiKey: key, namespace, ...stubborn })
const queue = mr.queue<Payload>(queueName)
/** Another client, at another server when there are several. */
const beside = new Millrace({ endpoint, apiKey: key, namespace, ...stubborn })

/** Plans, as often as they come. */
const plans: readonly Plan[] = [...Array<Plan>(12).fill('ok'), 'flaky', 'flaky', 'dead', 'slow', 'cancel', 'cancel']
const patience = 100

const optionsOf = (plan: Plan) => (plan === 'dead' ? deadAttempts : patience)

let submissions = 0
let stopped = false

function nextPayload(): Payload {
  return { n: `${name}.${++submissions}`, plan: random.pick(plans) }
}

function submitted(id: string, { n, plan, key }: Payload): void {
  journal.write({ type: 'submitted', id, n, plan, key })
}

async function enqueueOne(): Promise<void> {
  const payload = nextPayload()
  const idempotencyKey = random.next() < 0.3 ? payload.n : undefined
  const options = { maxAttempts: optionsOf(payload.plan), idempotencyKey }
  const calls = [queue.enqueue(payload, options)]
  // With a key, twice at once: both must be told the same job.
  if (idempotencyKey) calls.push(beside.queue<Payload>(queueName).enqueue(payload, options))
  const handles = await Promise.all(calls)
  for (const { jobId } of handles) submitted(jobId, payload)
  const { jobId } = handles[0]!
  if (payload.plan === 'cancel') await cancel(jobId, () => queue.cancel(jobId))
}

async function enqueueBatch(): Promise<void> {
  const payloads = Array.from({ length: 5 }, nextPayload).map(({ n }): Payload => ({ n, plan: 'ok' }))
  const handles = await queue.enqueueBatch(payloads.map((payload) => ({ payload, maxAttempts: patience })))
  for (const [i, { jobId }] of handles.entries()) submitted(jobId, payloads[i]!)
}

async function submitOne(): Promise<void> {
  const payload = nextPayload()
  if (random.next() < 0.5) return submitStateful(payload)
  const retry = { maxAttempts: optionsOf(payload.plan), initialBackoff: 50, strategy: 'fixed' as const }
  const { taskId } = await mr.tasks.submit({ function: functionName, payload, retry })
  submitted(taskId, payload)
  if (payload.plan === 'cancel') await cancel(taskId, () => mr.tasks.cancel(taskId))
  if (random.next() < 0.3) {
    const { status } = await mr.tasks.wait(taskId, { timeout: '10m' })
    const { attempts } = await mr.tasks.get(taskId)
    journal.write({ type: 'terminal', id: taskId, state: status, attempts })
  }
}

/** Short work alone: the tasks of a state wait for each other. */
async function submitStateful({ n, plan }: Payload): Promise<void> {
  const payload: Payload = { n, plan: plan === 'slow' ? 'ok' : plan, key: random.pick(stateKeys) }
  const retry = { maxAttempts: optionsOf(payload.plan), initialBackoff: 50, strategy: 'fixed' as const }
  const { taskId } = await mr.tasks.submit({ function: statefulName, payload, retry, stateKey: payload.key, initialState: [] })
  submitted(taskId, payload)
  if (payload.plan === 'cancel') await cancel(taskId, () => mr.tasks.cancel(taskId))
}

async function cancel(id: string, call: () => Promise<unknown>): Promise<void> {
  try {
    await call()
    journal.write({ type: 'cancelled', id })
  } catch (error) {
    // It had ended already, or the answer was lost: then nobody knows, and the job may end either way.
    if (!(error instanceof UnavailableError) && !(error instanceof ConflictError)) throw error
  }
}

const lanes = 8

async function produce(): Promise<void> {
  while (!stopped) {
    await sleep((lanes * 1000) / rate)
    const dice = random.next()
    await (dice < 0.45 ? enqueueOne() : dice < 0.55 ? enqueueBatch() : submitOne())
  }
}

const lanesDone = Promise.all(Array.from({ length: lanes }, produce))
obeyParent(async () => {
  stopped = true
  await lanesDone
  await Promise.all([mr.close(), beside.close()])
}, journal)
process.send?.('ready')
