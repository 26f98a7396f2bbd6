/** How far the first set-up is. */

const steps = ['Administrator', 'First account', 'Push certificate'] as const;

export function SetUpSteps({ current }: { current: number }) {
  return (
    <ol className="steps" aria-label="Steps of the set-up">
      {steps.map((title, index) => (
        <li key={title} data-done={index < current} aria-current={index === current ? 'step' : undefined}>
          {title}
          {index < current && <span className="hidden-text"> (done)</span>}
        </li>
      ))}
    </ol>
  );
}
