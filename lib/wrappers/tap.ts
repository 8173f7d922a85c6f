import type { Observer } from 'rxjs';
import type { ProviderEvent, ProviderOperator } from '../api.js';

/**
 * Look, don't touch: the `tap` of providers. The observer is told every event from the moment of wrapping, and costs what
 * it does itself; one without a `next` costs nothing. Streams and everything else are the provider's own. Several taps may
 * look on at once, and none of them ever takes a stream from `accept$`.
 */
export function tapProvider(
  observer: Partial<Observer<ProviderEvent>> | ((event: ProviderEvent) => void),
): ProviderOperator {
  return (provider) => {
    const told = typeof observer === 'function' ? { next: observer } : observer;
    // An observer without `next` is told the end only, and that is no reason to have events made.
    if (told.next === undefined) {
      if (told.complete !== undefined)
        provider.closed.then(
          () => told.complete?.(),
          () => told.complete?.(),
        );
      return provider;
    }
    // Called as methods: those of a Subject, or of a class of the caller's, are not its own properties.
    provider.events$.subscribe({
      next: (event) => told.next?.(event),
      error: (error: unknown) => told.error?.(error),
      complete: () => told.complete?.(),
    });
    return provider;
  };
}
