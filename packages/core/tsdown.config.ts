import { defineConfig } from 'tsdown'

export default defineConfig({
  entry: ['src/index.ts', 'src/adapter.ts'],
  dts: true,
  target: 'node20',
  platform: 'neutral',
  fixedExtension: false,
})
