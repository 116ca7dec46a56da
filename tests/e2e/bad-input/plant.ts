import { type Logger, Millrace } from '@millrace/client'
import { json, type RawClient, type ServiceName } from '../raw/raw.ts'
import type { Loot } from './attempt.ts'
import { attempts } from './every-rpc.ts'

/** Every scope that a call asks for, and `admin`. */
export const everything = [...new Set(['admin', ...Object.values(attempts).flatMap(({ scope }) => scope ?? [])])]
/** Stands in all that the owner keeps. */
export const secretWord = 'owner-secret'
const queue = 'vault'
const store = 'safe'
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

interface Leased {
  readonly jobs: readonly { readonly jobId: string; readonly leaseToken: string }[]
}

/** Makes what others will try to reach: jobs in all states, a task, a state, a KV entry, an object, each with the secret word. */
export async function plant(
  owner: { readonly secret: string; readonly keyId: string },
  endpoint: string,
  clientOf: (service: ServiceName) => RawClient,
): Promise<Loot> {
  const queues = clientOf('QueueService')
  const payload = json(secretWord)
  await queues.call('UpdateQueue', { queue, retryPolicy: { maxAttempts: 9 } })
  const enqueue = (jobs: object[]) => queues.call<{ results: { jobId: string }[] }>('EnqueueJobs', { queue, jobs })
  const [dead] = (await enqueue([{ payload, maxAttempts: 1 }])).results
  const [first] = (await queues.call<Leased>('ReceiveJobs', { queue })).jobs
  await queues.call('FailJob', { jobId: dead!.jobId, leaseToken: first!.leaseToken, error: { message: secretWord } })
  await enqueue([{ payload }])
  const [held] = (await queues.call<Leased>('ReceiveJobs', { queue, leaseMs: 600_000 })).jobs
  const [waiting] = (await enqueue([{ payload }])).results
  const task = { queue, function: 'theirs', payload, labels: { word: secretWord } }
  const { taskId } = await clientOf('TaskService').call<{ taskId: string }>('SubmitTask', { task })
  await clientOf('StreamService').call('WriteMessages', { stream: store, messages: [{ payload }] })
  await clientOf('StreamService').call('CreateReplay', { stream: store, group: 'again' })
  await clientOf('KvService').call('SetEntry', { store, key: store, value: payload })
  const stages = [{ name: 'a', queue, function: 'theirs', payload }]
  const { pipelineId } = await clientOf('PipelineService').call<{ pipelineId: string }>('CreatePipeline', { name: secretWord, stages })
  const schedule = 'nightly'
  const plan = { name: schedule, queue, payload, cron: '0 3 * * *', labels: {}, paused: true }
  await clientOf('ScheduleService').call('CreateSchedule', { schedule: plan })
  // The first call makes the Postgres.
  const rows = { text: `CREATE TABLE "${store}" (id int PRIMARY KEY, word text)` }
  await clientOf('TableService').call('RunSql', rows, { deadline: Date.now() + 60_000 })
  await clientOf('TableService').call('InsertRows', { table: store, rows: Buffer.from(JSON.stringify({ id: 1, word: secretWord })) })
  const collection = 'owned'
  await clientOf('VectorService').call('CreateVectorCollection', { name: collection, dimension: 2 })
  const item = { id: 'a', vector: { values: [1, 2] }, text: secretWord }
  await clientOf('VectorService').call('UpsertVectors', { name: collection, items: [item] })
  await clientOf('WebhookService').call('CreateWebhook', { name: store, url: `https://${secretWord}.invalid/`, queues: ['nowhere'] })
  // Not sent while the others look for it.
  const { deliveryId } = await clientOf('WebhookService').call<{ deliveryId: string }>('TestWebhook', { name: store })
  await clientOf('WebhookService').call('UpdateWebhook', { name: store, enabled: false })
  await clientOf('DatabaseService').call('CreateDatabase', { database: store, metadata: { word: secretWord } })
  const table = `CREATE TABLE ${store} AS SELECT '${secretWord}' AS word`
  await clientOf('DatabaseService').call('ExecuteStatement', { database: store, sql: table })
  const definition = Buffer.from(JSON.stringify({ description: secretWord }))
  await clientOf('SchemaService').call('RegisterSchema', { name: store, definition })
  await clientOf('SchemaService').call('AttachSchema', { name: store, queue: 'nowhere' })
  const objects = clientOf('ObjectService')
  await objects.call('CreateBucket', { bucket: store, tags: { word: secretWord } })
  await objects.send('PutObject', [{ header: { bucket: store, key: store } }, { data: payload }])
  const { upload } = await objects.call<{ upload: { uploadId: string } }>('CreateUpload', { bucket: store, key: secretWord })
  await objects.send('PutPart', [{ header: { bucket: store, uploadId: upload.uploadId, part: 1 } }, { data: payload }])
  const loot = {
    schedule,
    queue,
    pipelineId,
    jobId: waiting!.jobId,
    heldJobId: held!.jobId,
    leaseToken: held!.leaseToken,
    deadJobId: dead!.jobId,
    taskId,
    stateKey: 'session',
    keyId: owner.keyId,
    store,
    collection,
    deliveryId,
    uploadId: upload.uploadId,
  }
  await using mr = new Millrace({ endpoint: endpoint, apiKey: owner.secret, namespace: 'default', logger: silent })
  await mr.worker({ tasks: { keep: () => null }, signals: false }).start()
  const stateful = { function: 'keep', stateKey: loot.stateKey, initialState: secretWord }
  await (await mr.tasks.submit(stateful)).wait()
  return loot
}
