import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CreatePipelineRequest, type ProcessJobsRequest, type Settlement } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { commands } from '../src/cli/run.ts'
import { version } from '../src/version.ts'
import { run, withServer } from './cli-runner.ts'
import { type Clients, newJob, Outgoing, startTestServer, temporaryFolder } from './harness.ts'
import { spawnMillrace } from './process.ts'

/** Works off tasks: writes a log line, tells progress, then does what its function is called. */
async function work(client: Clients, count: number): Promise<void> {
  const outgoing = new Outgoing<ProcessJobsRequest>()
  const send = (message: ProcessJobsRequest) => outgoing.send(message)
  send({
    message: {
      $case: 'subscribe',
      value: { queue: '', functions: ['good', 'bad'], workerId: 'w', leaseMs: 0, maxInFlight: 1, attestation: undefined },
    },
  })
  let sequence = 0
  for await (const { message } of client.workers.processJobs(outgoing)) {
    if (message?.$case === 'settled' && message.value.sequence === count) outgoing.end()
    if (message?.$case !== 'deliveries') continue
    for (const { jobId, leaseToken, function: name } of message.value.jobs) {
      const error = { message: 'went wrong\nbadly', code: 'Oops', stack: '' }
      sequence++
      const entries = [{ timestamp: new Date(0), level: 2 as const, message: 'begun', fieldsJson: '{"a":1}', sequence: 0 }]
      const settlements: Settlement[] = [
        { jobId, leaseToken, action: { $case: 'log', value: { entries } } },
        { jobId, leaseToken, action: { $case: 'progress', value: { percent: 50, message: 'half' } } },
        name === 'good'
          ? {
              jobId,
              leaseToken,
              action: {
                $case: 'complete',
                value: { result: Buffer.from('{"ok":true}'), contentType: '', state: undefined, deleteState: false, proof: undefined },
              },
            }
          : { jobId, leaseToken, action: { $case: 'fail', value: { error, noRetry: true, delayMs: undefined } } },
      ]
      send({ message: { $case: 'settle', value: { sequence, settlements } } })
    }
  }
}

describe('tasks', () => {
  it('are submitted, shown, watched, listed and logged', async () => {
    const { admin, cli } = await withServer()
    const submitted = await cli(
      'tasks',
      'submit',
      'good',
      '{"n":1}',
      '--label',
      'team=a',
      '--priority',
      'high',
      '--timeout',
      '5m',
      '--max-attempts',
      '2',
    )
    expect(submitted).toMatchObject({ code: 0, stdout: expect.stringMatching(/^task_\w+\n$/), stderr: '' })
    const id = submitted.stdout.trim()
    expect((await cli('tasks', 'get', id)).stdout).toMatch(
      /status +pending\nfunction +good\n.*\npriority +10\nattempts +0 of 2\nlabels +team=a/,
    )
    const watching = cli('tasks', 'watch', id)
    await work(admin, 1)
    const watched = await watching
    expect(watched.code).toBe(0)
    expect(watched.stdout).toMatch(/completed {2}100 %.*\n\{"ok":true\}\n$/)
    const [task] = (await cli('tasks', 'get', id, '--json')).json()
    expect(task).toMatchObject({
      taskId: id,
      status: 'completed',
      payload: { n: 1 },
      result: { ok: true },
      labels: { team: 'a' },
      workerId: 'w',
    })
    const listed = await cli('tasks', 'list', '--status', 'completed', '--label', 'team=a')
    expect(listed.stdout).toMatch(new RegExp(`^TASK +STATUS +FUNCTION +ATTEMPTS +CREATED +MESSAGE\n${id} +completed +good +1 +\\d{4}-`))
    expect((await cli('tasks', 'list', '--status', 'failed', '--json')).stdout).toBe('')
    expect((await cli('tasks', 'logs', id)).stdout).toBe('00:00:00.000 info  begun {"a":1}\n')
    expect((await cli('tasks', 'logs', id, '--follow', '--json')).json()).toMatchObject([
      { level: 'info', message: 'begun', fields: { a: 1 }, sequence: 1 },
    ])
  })

  it('that fail end a wait with exit code 1 and can be retried', async () => {
    const { admin, cli } = await withServer()
    const waiting = cli('tasks', 'submit', 'bad', '--wait')
    const working = work(admin, 1)
    expect(await waiting).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^error: task_\w+ failed: went wrong\nbadly\n$/),
    })
    await working
    const [task] = (await cli('tasks', 'list', '--json')).json()
    expect((await cli('tasks', 'get', task.taskId)).stdout).toMatch(/error +Oops: went wrong/)
    expect((await cli('tasks', 'retry', task.taskId)).stdout).toBe(`${task.taskId} pending\n`)
    expect((await cli('tasks', 'cancel', task.taskId, '--reason', 'enough')).stdout).toBe(`${task.taskId} cancelled\n`)
    const twice = await cli('tasks', 'cancel', task.taskId)
    expect(twice.code).toBe(1)
    expect(twice.stderr).toMatch(/^error: /)
  })

  it('wait for a result', async () => {
    const { admin, cli } = await withServer()
    const waiting = cli('tasks', 'submit', 'good', '--wait', '--json')
    await work(admin, 1)
    expect((await waiting).json()).toMatchObject([{ status: 'completed', result: { ok: true } }])
  })
})

describe('queues', () => {
  it('are filled, counted, paused and listed', async () => {
    const { env, cli } = await withServer()
    const first = await cli(
      'queues',
      'enqueue',
      'emails',
      '{"to":"ada"}',
      '--idempotency-key',
      'one',
      '--header',
      'h=v',
      '--priority',
      '-5',
      '--json',
    )
    expect(first.json()).toMatchObject([{ jobId: expect.stringMatching(/^job_/), created: true }])
    expect(
      (await cli('queues', 'enqueue', 'emails', '{"to":"ada"}', '--idempotency-key', 'one', '--header', 'h=v', '--priority', '-5')).stdout,
    ).toContain('(enqueued before)')
    await run(['queues', 'enqueue', 'emails', '-', '--delay', '1h'], env, '{"from":"stdin"}')
    expect((await cli('queues', 'stats', 'emails')).stdout).toMatch(/^queue +emails\npending +1\nscheduled +1\n/)
    expect((await cli('queues', 'stats', 'emails', '--json')).json()).toMatchObject([{ pending: 1, scheduled: 1, total: 2 }])
    expect((await cli('queues', 'pause', 'emails')).stdout).toBe('emails paused\n')
    expect((await cli('queues', 'list')).stdout).toMatch(/^QUEUE +STATUS .*\nemails +paused +3 +default/)
    expect((await cli('queues', 'list', '--json')).json()).toMatchObject([{ name: 'emails', retryPolicy: { strategy: 'exponential' } }])
    expect((await cli('queues', 'resume', 'emails', '--json')).json()).toEqual([{ queue: 'emails', paused: false }])
  })

  it('show, replay and purge their dead letters', async () => {
    const { admin, cli } = await withServer()
    await admin.queues.enqueueJobs({ queue: 'q', jobs: [newJob(), newJob()], requestId: '', allowPartial: false })
    const { jobs } = await admin.queues.receiveJobs({ queue: 'q', maxJobs: 2, leaseMs: 0, waitMs: 0, workerId: '' })
    for (const { jobId, leaseToken } of jobs) {
      await admin.queues.failJob({
        queue: 'q',
        jobId,
        leaseToken,
        error: { message: 'no', code: '', stack: '' },
        noRetry: true,
        delayMs: undefined,
      })
    }
    expect((await cli('queues', 'dlq', 'list', 'q')).stdout).toMatch(/^JOB +ATTEMPTS +FAILED +ERROR\njob_\w+ +1 +\S+ \S+ +no\njob_/)
    expect((await cli('queues', 'dlq', 'replay', 'q', jobs[0]!.jobId)).stdout).toBe('1 replayed\n')
    expect(await cli('queues', 'dlq', 'purge', 'q')).toMatchObject({ code: 2, stderr: expect.stringContaining('--confirm') })
    expect((await cli('queues', 'dlq', 'purge', 'q', '--confirm', '--json')).json()).toEqual([{ purged: 1 }])
    expect((await cli('queues', 'dlq', 'replay', 'q', '--all', '--json')).json()).toEqual([{ replayed: 0 }])
  })
})

describe('keys', () => {
  it('are made, used, listed and revoked', async () => {
    const { env, cli } = await withServer()
    const made = await cli('keys', 'create', 'worker-1', '--scope', 'workers', '--scope', 'queues:read', '--expires', '30d')
    expect(made).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^mr_\w{43}\n$/),
      stderr: expect.stringContaining('for workers, queues:read'),
    })
    const secret = made.stdout.trim()
    expect((await run(['health', '--key', secret], env)).code).toBe(0)
    const refused = await run(['tasks', 'submit', 'x'], { ...env, MILLRACE_API_KEY: secret })
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("lacks the scope 'tasks:write'") })
    const [key] = (await cli('keys', 'list', '--json')).json().filter(({ name }: { name: string }) => name === 'worker-1')
    expect(JSON.stringify(key)).not.toContain(secret)
    expect((await cli('keys', 'revoke', key.keyId)).stdout).toBe(`${key.keyId} revoked\n`)
    expect((await cli('keys', 'list')).stdout).toMatch(/worker-1 +mr_\w+… +revoked/)
    expect((await cli('keys', 'revoke', 'key_1')).stderr).toBe("error: There is no key 'key_1' of this tenant.\n")
    expect((await cli('keys', 'list', '--tenant', 'none')).stderr).toBe("error: There is no tenant 'none' here.\n")
    expect((await run(['health', '--key', secret], env)).stderr).toContain('revoked')
    const slow = (await cli('keys', 'create', 'slow', '--rate-limit', '20')).stdout.trim()
    expect((await cli('keys', 'list')).stdout).toMatch(/slow +mr_.* 20\/s /)
    const account = await run(['account', '--key', slow], env)
    expect(account.stdout).toMatch(/calls per second +20\n(?:.*\n)*queues +0 of 10000/)
    expect((await cli('account', '--json')).json()).toMatchObject([
      { rateLimit: { limit: 0 }, quotas: [{ type: 'queues' }, {}, {}, { type: 'buckets' }] },
    ])
  })
})

it('pipelines are written as JSON with words, not numbers of the contract', async () => {
  const { admin, cli } = await withServer()
  await admin.pipelines.createPipeline(CreatePipelineRequest.fromPartial({ name: 'p', stages: [{ name: 's', function: 'f' }] }))
  const [listed] = (await cli('pipelines', 'list', '--json')).json()
  expect(listed).toMatchObject({ name: 'p', status: 'running', onFailure: 'stop' })
  expect(listed).not.toHaveProperty('state')
  const [shown] = (await cli('pipelines', 'get', listed.pipelineId, '--json')).json()
  expect(shown).toMatchObject({ onFailure: 'stop', stages: [{ name: 's', status: 'pending' }] })
})

it('a state that is not there cannot be deleted', async () => {
  const { cli } = await withServer()
  expect(await cli('states', 'delete', 'k')).toMatchObject({ code: 1, stderr: "error: There is no state of 'k'.\n" })
  expect((await cli('states', 'delete', 'k', '--json')).json()).toEqual([{ key: 'k', deleted: false }])
})

describe('health and version', () => {
  it('tell how the server is', async () => {
    const { cli } = await withServer()
    expect((await cli('health', '--json')).json()).toMatchObject([{ healthy: true, version, queue: { depth: 0 } }])
    expect((await cli('version')).stdout).toBe(`${version}\n`)
    for (const flag of ['--version', '-v']) expect((await run([flag])).stdout).toBe(`${version}\n`)
  })

  it('tell a probe without a key whether the server works, and no more', async () => {
    const { server } = await startTestServer()
    const without = ['health', '--endpoint', server.grpc]
    expect(await run(without)).toMatchObject({ code: 0, stdout: 'status  healthy\n', stderr: '' })
    expect((await run([...without, '--json'])).json()).toEqual([{ healthy: true }])
    await server.stop()
    expect(await run(without)).toMatchObject({ code: 1, stdout: '' })
  })

  it('speak TLS, with a certificate when the server wants one', async () => {
    const path = (name: string) => fileURLToPath(new URL(`certs/${name}`, import.meta.url))
    const { server } = await startTestServer({ tlsCert: path('server.pem'), tlsKey: path('server.key'), tlsClientCa: path('ca.pem') })
    const line = [
      'health',
      '--endpoint',
      `https://localhost:${server.grpc.split(':')[1]}`,
      '--key',
      server.key!,
      '--tls-ca',
      path('ca.pem'),
    ]
    expect(await run([...line, '--tls-cert', path('client.pem'), '--tls-key', path('client.key')])).toMatchObject({ code: 0, stderr: '' })
    expect(await run([...line, '--tls-cert', path('client.pem')])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('belong together'),
    })
    expect(await run([...line, '--tls-cert', path('none'), '--tls-key', path('client.key')])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('none'),
    })
    expect((await run(line)).code).toBe(1)
  })
})

describe('help', () => {
  it('lists every command, and teaches each', async () => {
    const overview = await run([])
    expect(overview.code).toBe(0)
    for (const { name, examples, options } of commands) {
      expect(overview.stdout).toContain(`  ${name}`)
      const words = name.split(' ')
      const help = await run([...words, '--help'])
      expect(help).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(new RegExp(`^Usage: millrace ${name}`)) })
      expect((await run(['help', ...words])).stdout).toBe(help.stdout)
      expect(examples.length).toBeGreaterThan(0)
      for (const option of options) expect(help.stdout).toContain(`--${option.name}`)
      // The exit code alone does not say what a command does.
      expect(help.stdout.split('\n')[2]).not.toMatch(/^(Exit code|With --)/)
    }
  })

  it('shows a group', async () => {
    const group = await run(['queues', 'dlq', '--help'])
    expect(group).toMatchObject({ code: 0, stdout: expect.stringContaining('queues dlq replay') })
    expect(group.stdout).not.toContain('queues stats')
    expect((await run(['queues', 'dlq'])).code).toBe(2)
  })

  it('has examples that the parser takes', async () => {
    const { parseCommandLine } = await import('../src/cli/parse.ts')
    for (const command of commands) {
      for (const { line } of command.examples) {
        const words = [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]!)
        const begin = words.indexOf('millrace')
        const rest = words.slice(begin + 1 + command.name.split(' ').length)
        // The shell's: where input comes from, and where output goes.
        const redirection = rest.findIndex((word) => word === '<' || word === '>')
        expect(() => parseCommandLine(command, redirection < 0 ? rest : rest.slice(0, redirection))).not.toThrow()
      }
    }
  })
})

describe('a wrong command line', () => {
  it.each([
    [['tsks', 'list'], "There is no command 'tsks list'; did you mean 'millrace tasks list'?"],
    [['tasks', 'lst'], "did you mean 'millrace tasks list'?"],
    [['serv'], "did you mean 'millrace serve'?"],
    [['zzz'], "There is no command 'zzz'\n"],
    [['tasks', 'foo'], "There is no command 'tasks foo'\nSee: millrace tasks --help"],
    [['tasks-list'], "did you mean 'millrace tasks list'?"],
    [['databases', 'query', 'sales', 'SELECT 1'], "There is no command 'databases query'\nSee: millrace databases --help"],
    [['serve', '--gprc', 'x'], 'There is no flag --gprc; did you mean --grpc?'],
    [['serve', '--grpc'], '--grpc needs a value: --grpc HOST:PORT'],
    [['serve', '--dev=yes'], '--dev is a switch and takes no value'],
    [['serve', '--data', 'a', '--data', 'b'], '--data is given more than once'],
    [['serve', 'now'], "'now' is one word too many"],
    [['tasks', 'get'], 'TASK_ID is missing'],
    [['tasks', 'get', 'task_1'], 'There is no API key'],
    [['tasks', 'submit', 'f', '{bad', '--key', 'k'], 'PAYLOAD is not JSON'],
    [['kv', 'set', 's', 'k', 'dark', '--key', 'k'], 'VALUE is not JSON'],
    [['schemas', 'register', 's', '{', '--key', 'k'], 'SCHEMA is not JSON'],
    [['import', 'no-such-file'], 'The archive cannot be read (ENOENT'],
    [['tasks', 'submit', 'f', '--priority', 'urgent', '--key', 'k'], "--priority: 'urgent' is none of low, normal, high, critical"],
    [['tasks', 'submit', 'f', '--timeout', 'soon', '--key', 'k'], "--timeout: 'soon' is not a duration"],
    [['tasks', 'submit', 'f', '--label', 'x', '--key', 'k'], "--label: 'x' is not NAME=VALUE"],
    [['tasks', 'list', '--status', 'done', '--key', 'k'], "--status: 'done' is none of scheduled, pending"],
    [['tasks', 'list', '--limit', 'x', '--key', 'k'], "--limit: 'x' is not a whole number"],
    [['tasks', 'list', '--limit', '0', '--key', 'k'], '--limit: 0 shows nothing; give 1 or more'],
    [['queues', 'dlq', 'replay', 'q', '--key', 'k'], 'Give either JOB_ID or --all'],
    [['--verison'], "'--verison' stands where a command is expected; flags come after it\nSee: millrace --help"],
    [['--json', 'tasks', 'list'], "'--json' stands where a command is expected"],
  ])('is met with what is wrong and exit code 2: %j', async (line, message) => {
    const { code, stdout, stderr } = await run(line)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(message)
  })

  it('of a whole process ends it with 2', async () => {
    const program = await spawnMillrace(['tasks', 'gte'])
    expect(await program.ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('did you mean') })
  })
})

it('serve reads the file of settings in its working directory', async () => {
  const cwd = await temporaryFolder()
  writeFileSync(
    join(cwd, 'millrace.config.ts'),
    "export default { grpc: '127.0.0.1:0', json: true, data: './here' as string, logLevel: 'info' }\n",
  )
  const server = await spawnMillrace(['serve'], { cwd })
  expect(JSON.parse(await server.firstLine()).grpc).toMatch(/^127/)
  server.child.kill('SIGTERM')
  expect((await server.ended).stderr).toContain(join(cwd, 'here'))
})
