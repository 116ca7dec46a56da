import { spawn } from 'node:child_process'
import type { Socket } from 'node:net'

/** Waits for its input to end: with a line, when all is in order; without one, when the parent died. */
const script = `
if ! read -r line; then
  kill -TERM "$1" 2>/dev/null
  for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" 2>/dev/null || break; sleep 0.3; done
  kill -KILL "$1" 2>/dev/null
fi
rm -rf -- "$2"
`

/** Cleans up behind a process whose parent may die without warning. */
export interface Guard {
  /** Says that the process has ended in order; resolves when the folder is gone. */
  release(): Promise<void>
}

/**
 * Starts a small shell that outlives this process: when this process ends without {@link Guard.release}, however it
 * ends, the shell stops `pid` and removes `dir`. It is a session of its own, so that Ctrl-C does not end it.
 */
export function startGuard(pid: number, dir: string): Guard {
  const shell = spawn('sh', ['-c', script, 'sh', String(pid), dir], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  const ended = new Promise<void>((resolve) => shell.once('exit', () => resolve()))
  shell.unref()
  const input = shell.stdin as Socket
  input.unref()
  return {
    release: () => {
      shell.ref()
      input.end('done\n')
      return ended
    },
  }
}
