const ts = require('typescript');

/**
 * A ts-jest transformer: specs run as CommonJS, where `import.meta` is a syntax error, so `import.meta.url`,
 * `.filename` and `.dirname` become what they would have been.
 */
module.exports = {
  name: 'import-meta',
  version: 1,
  factory() {
    return (context) => (file) => {
      const { factory } = context;
      const name = (text) => factory.createIdentifier(text);
      const url = () =>
        factory.createPropertyAccessExpression(
          factory.createCallExpression(
            factory.createPropertyAccessExpression(
              factory.createCallExpression(name('require'), undefined, [
                factory.createStringLiteral('node:url'),
              ]),
              'pathToFileURL',
            ),
            undefined,
            [name('__filename')],
          ),
          'href',
        );
      const meta = { url, filename: () => name('__filename'), dirname: () => name('__dirname') };
      const visit = (node) => {
        const isMeta =
          ts.isPropertyAccessExpression(node) &&
          ts.isMetaProperty(node.expression) &&
          Object.hasOwn(meta, node.name.text);
        return isMeta ? meta[node.name.text]() : ts.visitEachChild(node, visit, context);
      };
      return ts.visitNode(file, visit);
    };
  },
};
