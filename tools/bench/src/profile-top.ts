// pnpm profile-top FILE [COUNT]: the functions of a CPU profile in which most time was spent.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** Self time of each function, longest first, in microseconds. */
function selfTimes(profile: CpuProfile): { name: string; place: string; time: number }[] {
  const byId = new Map(profile.nodes.map((node) => [node.id, node.callFrame]))
  const byFunction = new Map<string, { name: string; place: string; time: number }>()
  for (const [i, id] of profile.samples.entries()) {
    const frame = byId.get(id)!
    const place = frame.url === '' ? '' : `${shortPath(frame.url)}:${frame.lineNumber + 1}`
    const key = `${frame.functionName} ${place}`
    const entry = byFunction.get(key) ?? { name: frame.functionName || '(anonymous)', place, time: 0 }
    entry.time += profile.timeDeltas[i]!
    byFunction.set(key, entry)
  }
  return [...byFunction.values()].sort((a, b) => b.time - a.time)
}

/** Where code came from, short enough to read: `bullmq/dist/esm/classes/job.js`, `apps/server/dist/cli.js`. */
function shortPath(url: string): string {
  const inPackage = url.lastIndexOf('/node_modules/')
  if (inPackage >= 0) return url.slice(inPackage + '/node_modules/'.length)
  return url.startsWith('file:') ? url.split('/').slice(-4).join('/') : url
}

const [file, count = '40'] = process.argv.slice(2)
if (file === undefined) {
  console.error('usage: pnpm profile-top FILE.cpuprofile [COUNT]')
  process.exit(1)
}
const functions = selfTimes(JSON.parse(readFileSync(resolve(process.env.INIT_CWD ?? '.', file), 'utf8')) as CpuProfile)
const total = functions.reduce((sum, each) => sum + each.time, 0)
console.log(`${(total / 1e6).toFixed(2)} s in all\n  self ms  share  function`)
for (const { name, place, time } of functions.slice(0, Number(count))) {
  console.log(`${(time / 1000).toFixed(0).padStart(9)}  ${((time / total) * 100).toFixed(1).padStart(4)}%  ${name}  ${place}`)
}
