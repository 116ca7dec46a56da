import { type Picture, places } from '@millrace/example-web/fractal'
import { useTask } from '@millrace/react'
import { useState } from 'react'
import { Canvas } from './canvas.tsx'

/** Submits a task and shows it live to its end. */
export function Painter() {
  const [chosen, setChosen] = useState(0)
  const { submit, cancel, status, progress, message, result, error, isLoading, state } = useTask<Picture>()
  return (
    <section className="card">
      <h2>Paint</h2>
      <div className="controls">
        <select aria-label="Place" value={chosen} onChange={(event) => setChosen(Number(event.target.value))}>
          {places.map(({ name }, i) => (
            <option key={name} value={i}>
              {name}
            </option>
          ))}
        </select>
        <button
          className="primary"
          type="button"
          disabled={isLoading}
          onClick={() => submit({ function: 'paint', payload: places[chosen] })}
        >
          {isLoading ? 'Painting …' : 'Paint'}
        </button>
        <button type="button" disabled={!isLoading} onClick={() => cancel({ reason: 'The button was pressed.' })}>
          Cancel
        </button>
      </div>
      <div className="stage">{result ? <Canvas picture={result} /> : <p>{status ?? 'Nothing painted yet'}</p>}</div>
      <div className="bar">
        <i style={{ width: `${progress}%` }} />
      </div>
      <p className={error ? 'note error' : 'note'}>{state === 'reconnecting' ? 'Reconnecting …' : (error?.message ?? message)}</p>
    </section>
  )
}
