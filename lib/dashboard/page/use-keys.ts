import { useEffect, useRef } from 'preact/hooks';

/** Keys that work wherever nothing is being typed; space and Enter stay with the button that has the focus. */
export function useKeys(keys: Readonly<Record<string, (key: string) => void>>): void {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const { target, key } = event;
      const action = current.current[key];
      if (action === undefined || document.querySelector('dialog[open]') !== null) return;
      if (target instanceof HTMLInputElement || target instanceof HTMLSelectElement) return;
      if (target instanceof HTMLButtonElement && (key === ' ' || key === 'Enter')) return;
      event.preventDefault();
      action(key);
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}
