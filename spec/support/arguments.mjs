import { parseArgs } from 'node:util';

/**
 * What follows a command of the repository, as parseArgs reads it. Prints `usage` for `--help`, and what is wrong with
 * arguments that nothing can be made of (exit code 2). `numbers` are the options that must be positive whole numbers.
 */
export function readArguments(usage, options, numbers) {
  try {
    const { values } = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h' } } });
    if (values.help) {
      console.log(usage);
      process.exit();
    }
    for (const name of numbers) {
      if (values[name] !== undefined && !/^[1-9]\d*$/.test(values[name])) {
        throw new Error(`--${name} is a positive whole number, not "${values[name]}"`);
      }
    }
    return values;
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}
