const files = (folders) => folders.map((folder) => `<rootDir>/${folder}`);

/** Specs run as CommonJS, each file transpiled alone; `npm run check` has the types. */
export default {
  roots: files(['lib', 'spec']),
  testMatch: ['<rootDir>/spec/**/*.spec.ts'],
  testPathIgnorePatterns: files(['spec/bench/', 'spec/support/fixtures/']),
  modulePathIgnorePatterns: files(['dist/', '.cache/', 'spec/bench/']),
  runner: '<rootDir>/spec/support/runner.mjs',
  testEnvironment: '<rootDir>/spec/support/environment.mjs',
  reporters: ['default', '<rootDir>/spec/support/reporter.mjs'],
  transform: {
    '\\.ts$': [
      'ts-jest',
      {
        tsconfig: '<rootDir>/tsconfig.spec.json',
        diagnostics: false,
        astTransformers: { before: ['<rootDir>/spec/support/import-meta.cjs'] },
      },
    ],
  },
  moduleNameMapper: {
    // The same table as `paths` in tsconfig.json.
    '^rxmux$': '<rootDir>/lib/index.ts',
    '^rxmux/node$': '<rootDir>/lib/node.ts',
    '^rxmux/(framer|spdy|http2|ssh|dashboard|opentelemetry)$': '<rootDir>/lib/$1/index.ts',
    '^rxmux/conformance$': '<rootDir>/spec/conformance/index.ts',
    '^(\\.{1,2}/.*)\\.js$': ['$1.ts', '$1.js'],
  },
  moduleFileExtensions: ['ts', 'js', 'mjs', 'cjs', 'json', 'node'],
  // A rejection nobody handles belongs to the test that caused it, not to the next one.
  waitForUnhandledRejections: true,
  // Jest leaves one core free otherwise; two cores would mean one file at a time.
  maxWorkers: '100%',
};
