// Compiles keeper/devnet/contracts to keeper/devnet/artifacts with the solc that keeper/devnet/package.json pins.
//   node scripts/compile.mjs            writes the artifacts
//   node scripts/compile.mjs --check    compares them with what is committed; exits 1 naming each difference
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const devnet = join(dirname(dirname(fileURLToPath(import.meta.url))), "keeper", "devnet");
const sourceDir = join(devnet, "contracts");
const artifactDir = join(devnet, "artifacts");

// Contract name -> artifact name. An interface stands in for its contract only where the contract does not exist.
const published = ["PriceOracle", "PerpExchange", "PerpLens", "QuoteToken", "HostileToken"];
const settings = {
  optimizer: { enabled: true, runs: 200 },
  viaIR: true,
  evmVersion: "cancun",
  // No metadata hash at the end of the code: the bytecode depends on what the code does, not on its comments.
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: {
    "*": { "*": ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences", "evm.deployedBytecode.object"] },
  },
};

function loadCompiler() {
  try {
    return createRequire(join(devnet, "package.json"))("solc");
  } catch {
    console.error("solc is not installed: npm ci --ignore-scripts --prefix keeper/devnet");
    process.exit(2);
  }
}

function readSources() {
  const names = readdirSync(sourceDir).filter((name) => name.endsWith(".sol")).sort();
  return Object.fromEntries(names.map((name) => [name, { content: readFileSync(join(sourceDir, name), "utf8") }]));
}

function compile(solc) {
  const input = { language: "Solidity", sources: readSources(), settings };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const complaints = output.errors ?? [];
  for (const complaint of complaints) console.error(complaint.formattedMessage);
  if (complaints.length > 0) process.exit(1); // warnings too: a clean build stays clean
  return output.contracts;
}

function artifactsOf(contracts, compiler) {
  const found = {};
  for (const file of Object.values(contracts)) {
    for (const [name, built] of Object.entries(file)) {
      if (published.includes(name)) found[name] = built;
      const implemented = name.slice(1);
      if (published.includes(implemented)) found[implemented] ??= built;
    }
  }
  return Object.fromEntries(published.filter((name) => found[name]).map((name) => [name, {
    contractName: name,
    compiler,
    settings: { optimizer: settings.optimizer, viaIR: settings.viaIR, evmVersion: settings.evmVersion },
    abi: found[name].abi,
    bytecode: "0x" + found[name].evm.bytecode.object,
    linkReferences: found[name].evm.bytecode.linkReferences,
    runtimeBytes: found[name].evm.deployedBytecode.object.length / 2,
  }]));
}

const render = (artifact) => JSON.stringify(artifact, null, 1) + "\n";

function differences(artifacts) {
  const found = [];
  for (const [name, artifact] of Object.entries(artifacts)) {
    const path = join(artifactDir, `${name}.json`);
    if (!existsSync(path)) { found.push(`${name}.json is missing`); continue; }
    const committed = JSON.parse(readFileSync(path, "utf8"));
    for (const key of Object.keys({ ...committed, ...artifact })) {
      if (JSON.stringify(committed[key]) !== JSON.stringify(artifact[key])) found.push(`${name}.json: ${key} differs`);
    }
  }
  for (const name of readdirSync(artifactDir)) {
    if (name.endsWith(".json") && !(name.slice(0, -5) in artifacts)) found.push(`${name} has no contract`);
  }
  return found;
}

function write(artifacts) {
  mkdirSync(artifactDir, { recursive: true });
  for (const name of readdirSync(artifactDir)) {
    if (name.endsWith(".json") && !(name.slice(0, -5) in artifacts)) unlinkSync(join(artifactDir, name));
  }
  for (const [name, artifact] of Object.entries(artifacts)) {
    writeFileSync(join(artifactDir, `${name}.json`), render(artifact));
    console.log(`${name}: ${artifact.runtimeBytes} bytes of runtime code`);
  }
}

const solc = loadCompiler();
const artifacts = artifactsOf(compile(solc), solc.version());
if (process.argv.includes("--check")) {
  const found = differences(artifacts);
  for (const line of found) console.error(line);
  if (found.length > 0) process.exit(1);
  console.log(`${Object.keys(artifacts).length} artifacts match the sources`);
} else {
  write(artifacts);
}
