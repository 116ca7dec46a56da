// Loaded into a server with `--import`: SIGUSR2 starts a CPU profile of its main thread, the next one writes it.
import { isMainThread } from 'node:worker_threads'
import { startProfile } from './profile.ts'

const file = process.env.BENCH_PROFILE_FILE
let stop: ReturnType<typeof startProfile> | undefined

if (file !== undefined && isMainThread) {
  process.on('SIGUSR2', () => {
    if (stop === undefined) {
      stop = startProfile()
      return
    }
    void stop.then((write) => write(file))
    stop = undefined
  })
}
