import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { startServer } from '../src/serve.ts'
import { allServices } from '../src/service-names.ts'
import { withServer } from './cli-runner.ts'
import { connectTo, failureOf, newTask, startTestServer } from './harness.ts'

describe('the services of a server', () => {
  it('are all by default, each healthy, in the order of their names', async () => {
    const { admin } = await startTestServer()
    const { services } = await admin.cluster.listServices({})
    expect(services).toEqual(allServices.toSorted().map((name) => ({ name, healthy: true, detail: '' })))
  })

  it('are those it was told to offer; who calls another hears what there is, over gRPC and HTTP', async () => {
    const { admin, server } = await startTestServer({ services: 'streams, kv', http: '127.0.0.1:0' })
    const { services } = await admin.cluster.listServices({})
    expect(services.map(({ name }) => name)).toEqual(['kv', 'streams'])
    await admin.kv.deleteEntry({ store: 'settings', key: 'a', ifRevision: undefined, requestId: '' })

    const message = "This server offers streams, kv alone. Ask another one for tasks, or add it to this server's --services."
    const details = { reason: 'NOT_FOUND', message, resource: 'service', id: 'tasks' }
    const unary = await failureOf(admin.tasks.submitTask({ task: newTask(), requestId: '' }))
    expect(unary.details).toMatchObject(details)
    const watched = admin.tasks.watchTask({ taskId: 'task_1', afterRevision: 0 })[Symbol.asyncIterator]()
    expect((await failureOf(Promise.resolve(watched.next()))).details).toMatchObject(details)

    const headers = { 'x-api-key': server.key! }
    const response = await fetch(`http://${server.http}/v1/tasks/task_1`, { headers })
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ detail: message })
  })

  it('say nothing to who has no key, also those that are elsewhere', async () => {
    const { server } = await startTestServer({ services: 'kv' })
    const { details } = await failureOf(connectTo(server, undefined).tasks.submitTask({ task: newTask(), requestId: '' }))
    expect(details.reason).toBe('UNAUTHENTICATED')
  })

  it('of data have a server of their own', async () => {
    const { admin } = await startTestServer({ services: 'objects,analytics' })
    const { services } = await admin.cluster.listServices({})
    expect(services.map(({ name }) => name)).toEqual(['analytics', 'objects'])
  })

  it('are each as well as what they keep their things in', async () => {
    const data = await mkdtemp(join(tmpdir(), 'millrace-services-'))
    // Files where folders should be, and a Postgres that is not there.
    await writeFile(join(data, 'objects'), '')
    await writeFile(join(data, 'analytics'), '')
    const log: Record<string, unknown>[] = []
    const logger = pino({ level: 'warn' }, { write: (line: string) => void log.push(JSON.parse(line)) })
    const settings = { data, tables: 'postgres://nobody@127.0.0.1:1/none', services: 'analytics,objects,tables,kv' }
    await using server = await startServer({ ...settings, grpc: '127.0.0.1:0', dev: true }, { logger })
    const admin = connectTo(server, server.key)
    const { services } = await admin.cluster.listServices({})
    expect(services).toEqual([
      { name: 'analytics', healthy: false, detail: expect.stringContaining('The directory of the databases cannot be used') },
      { name: 'kv', healthy: true, detail: '' },
      { name: 'objects', healthy: false, detail: expect.stringContaining('The folder with the objects cannot be used') },
      { name: 'tables', healthy: false, detail: expect.stringContaining('The Postgres of the tables cannot be reached') },
    ])
    expect(await admin.cluster.getHealth({})).toMatchObject({ healthy: true })
    // Whoever starts it is told before anybody calls.
    const warned = () => log.filter(({ service }) => service !== undefined).map(({ service, msg }) => `${service}: ${msg}`)
    const unhealthy = services.filter(({ healthy }) => !healthy).map(({ name, detail }) => `${name}: ${detail}`)
    await expect.poll(() => warned().sort()).toEqual(unhealthy)
  })

  it('have names: another one ends the start', async () => {
    await expect(startTestServer({ services: 'kv,tasks,mail' })).rejects.toThrow(/services.*'mail' is none of tasks, queues,/s)
  })

  it('are listed by the command line', async () => {
    const { cli } = await withServer()
    expect((await cli('services')).stdout).toMatch(/^SERVICE +STATE +DETAIL\n(.*\n)*kv +healthy\n/)
    expect((await cli('services', '--json')).json()).toMatchObject([
      { services: expect.arrayContaining([{ name: 'kv', healthy: true, detail: '' }]) },
    ])
  })
})
