// What is bundled for pages and web workers: the cases, and the client for browsers.
import { Millrace } from '@millrace/web'
import { cases } from '../cases/all.ts'
import { followCase } from '../cases/follow.ts'
import { runCase, type Setup } from '../kit.ts'

const scope = globalThis as unknown as {
  document?: unknown
  runCase: typeof run
  onmessage: (event: { data: { name: string; setup: Setup } }) => void
  postMessage(answer: unknown): void
}

function run(name: string, setup: Setup): Promise<unknown> {
  return runCase([...cases, followCase].find((one) => one.name === name)!, setup, (options) => new Millrace(options))
}

if (scope.document) scope.runCase = run
else {
  scope.onmessage = ({ data: { name, setup } }) => {
    run(name, setup).then(
      (outcome) => scope.postMessage({ outcome }),
      (error: unknown) => scope.postMessage({ error: String(error) }),
    )
  }
}
