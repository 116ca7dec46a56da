import { setFlagsFromString } from 'node:v8'

/**
 * Holds the space that V8 has for new objects at its first size, while a program is loaded and starts. What it makes then stays, which V8
 * takes for a reason to make that space larger: by tens of megabytes, which it does not give back while the program idles.
 *
 * @returns what lets it grow again, once there is work to do.
 */
export function holdNewSpace(): () => void {
  setFlagsFromString('--semi-space-growth-factor=1')
  // V8's default.
  return () => setFlagsFromString('--semi-space-growth-factor=2')
}
