// Compiles Depositor.sol with the solc that keeper/devnet/package.json pins: node benchmarks/contracts/compile.mjs
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const solc = createRequire(join(here, "..", "..", "keeper", "devnet", "package.json"))("solc");
const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none", appendCBOR: false },
};
const input = {
  language: "Solidity",
  sources: { "Depositor.sol": { content: readFileSync(join(here, "Depositor.sol"), "utf8") } },
  settings: { ...settings, outputSelection: { "*": { Depositor: ["abi", "evm.bytecode.object"] } } },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const complaint of output.errors ?? []) console.error(complaint.formattedMessage);
if (output.errors) process.exit(1);
const built = output.contracts["Depositor.sol"].Depositor;
const artifact = {
  contractName: "Depositor",
  compiler: solc.version(),
  settings,
  abi: built.abi,
  bytecode: "0x" + built.evm.bytecode.object,
};
writeFileSync(join(here, "Depositor.json"), JSON.stringify(artifact, null, 1) + "\n");
