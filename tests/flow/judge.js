// Judges a list of JSON documents by a JSON Schema: node judge.js MODULES SCHEMA DOCUMENTS
const [modules, schema, documents] = process.argv.slice(2);
const read = (path) => JSON.parse(require("fs").readFileSync(path, "utf8"));
const Ajv = require(modules + "/ajv").default;
const judge = new Ajv({ strict: false, allErrors: true, logger: false }).compile(read(schema));
const told = read(documents).map((document) =>
  judge(document) ? [] : judge.errors.map((error) => error.instancePath + " " + error.message),
);
process.stdout.write(JSON.stringify(told));
