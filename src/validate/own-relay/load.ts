/** Loads a module by its URL and gives its exports; throws what it throws. */
export async function loadModule(url: string): Promise<{ readonly createRelay?: unknown }> {
  return (await import(/* @vite-ignore */ url)) as { createRelay?: unknown };
}
