// The process that runs DuckDB. It is apart from the server, so that no query holds up the server's event loop or takes its
// memory, and none that DuckDB cannot cope with ends more than itself.
import { createHandlers, HostCall } from './calls.ts'
import { failureOf } from './failure.ts'
import type { FromHost, HostLimits, ToHost } from './protocol.ts'

const handlers = createHandlers(JSON.parse(process.argv[2]!) as HostLimits)
const calls = new Map<number, HostCall>()

process.on('message', (message: ToHost) => {
  if (message.type === 'interrupt') {
    calls.get(message.id)?.interrupt()
    return
  }
  const { id, operation, input } = message
  const call = new HostCall()
  calls.set(id, call)
  const handle = handlers[operation] as (input: unknown, call: HostCall) => Promise<unknown>
  handle(input, call).then(
    (output) => answer({ type: 'result', id, output }),
    (error: unknown) => answer({ type: 'error', id, error: failureOf(error, '', '') }),
  )
})

// Without its server nobody waits for anything. What is in DuckDB's log stays; queries under way are not waited for.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

function answer(message: FromHost): void {
  calls.get(message.id)?.end()
  calls.delete(message.id)
  if (process.connected) process.send!(message)
}
