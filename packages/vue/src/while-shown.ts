import { getCurrentInstance, getCurrentScope, onActivated, onDeactivated, onMounted, onScopeDispose } from 'vue'

/**
 * Runs something while its component is shown: from when it is mounted until it is unmounted, and not while `<KeepAlive>`
 * keeps it aside. Never on the server. Outside of components: at once, until the effect scope ends.
 *
 * @param start - begins; returns what ends it.
 * @returns what begins anew, if it runs.
 */
export function whileShown(start: () => () => void): () => void {
  let stop: (() => void) | undefined
  const begin = () => {
    stop ??= start()
  }
  const end = () => {
    stop?.()
    stop = undefined
  }
  if (getCurrentInstance()) {
    onMounted(begin)
    onActivated(begin)
    onDeactivated(end)
  } else begin()
  if (getCurrentScope()) onScopeDispose(end)
  return () => {
    if (!stop) return
    end()
    begin()
  }
}
