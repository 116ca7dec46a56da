import { setFlagsFromString } from 'node:v8'

/**
 * Holds the space that V8 has for new objects at its first size, while a program is loaded and starts. What it makes then stays, which V8
 * takes for a reason to make that space larger: by tens of megabytes, which it does not give back while the program idles.
 *
 * @returns what lets the heap grow, once there is work to do.
 */
export function holdHeap(): () => void {
  setFlagsFromString('--semi-space-growth-factor=1')
  return () => {
    // V8's default.
    setFlagsFromString('--semi-space-growth-factor=2')
    // How far the heap may grow until all of it is collected, V8 reckons from how fast objects are made, and leaves out the buffers, which
    // are most of what passes here: it would collect with each tenth, several times a second. To wait until it has doubled takes no more
    // memory: buffers do not wait in it to be freed beside new ones.
    setFlagsFromString('--heap-growing-percent=100')
  }
}
