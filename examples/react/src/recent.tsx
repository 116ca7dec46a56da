import type { Picture } from '@millrace/example-web/fractal'
import { useTasks } from '@millrace/react'
import { Canvas } from './canvas.tsx'

/** The last tasks, of this page and of others. */
export function Recent() {
  const { tasks, isLoading } = useTasks<Picture>({ function: 'paint', limit: 6 })
  return (
    <section className="card">
      <h2>Recent</h2>
      {tasks.length === 0 && <p className="note">{isLoading ? 'Loading …' : 'Nothing yet'}</p>}
      <ul>
        {tasks.map(({ taskId, status, progress, result, createdAt, durationMs }) => (
          <li key={taskId}>
            <div className="thumb">{result && <Canvas picture={result} />}</div>
            <div>
              <span className={status}>{status}</span>
              {status === 'running' ? (
                <div className="bar">
                  <i style={{ width: `${progress}%` }} />
                </div>
              ) : (
                <p className="note">{createdAt.toLocaleTimeString()}</p>
              )}
            </div>
            <span className="note">{durationMs !== undefined && `${(durationMs / 1000).toFixed(1)} s`}</span>
          </li>
        ))}
      </ul>
    </section>
  )
}
