// bench_trip.mjs - how long a client waits at low load: a stock socket.io-client, one thing at a time.
//
//   1. the round trip of a publish that is acknowledged;
//   2. from the call that publishes to the event at another client;
//   each over WebSocket and over long-polling, with the log in memory and durable on disk.
//
//   bench_trip.mjs [--long] [--data DIR]     the log is in DIR meanwhile, else in the build folder
//
// Publisher, reader and generator are this one process; the server is another. Between two publishes
// there is a pause, so that each finds everything at rest. Figures are printed, not judged.
// SPDX-License-Identifier: MIT
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { io } = createRequire(path.join(ROOT, "tests/scenario/package.json"))("socket.io-client");
const { values: options } = parseArgs({ options: { long: { type: "boolean" }, data: { type: "string" } } });

const SAMPLES = options.long ? 10000 : 1000;
const WARM_UP = 100;
const PAUSE_MS = 2;
const START_MS = 10000;
const DATA = { text: "x".repeat(100) };

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function freePort() {
    return new Promise((resolve, reject) => {
        const server = net.createServer();
        server.once("error", reject);
        server.listen(0, "127.0.0.1", () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });
}

let running = null;

async function startServer(store) {
    const port = await freePort();
    const child = spawn(path.join(ROOT, "build/release/bin/tidemark"),
        ["serve", "--listen", `127.0.0.1:${port}`, "--broker", "tcp://127.0.0.1:*", "--log-level", "error", ...store],
        { stdio: ["ignore", "ignore", "inherit"] });
    running = child;
    const server = { child, url: `http://127.0.0.1:${port}` };
    server.ended = new Promise((resolve) => { child.once("close", resolve); });
    child.once("error", () => {});
    for (const end = performance.now() + START_MS;;) {
        if ((await fetch(`${server.url}/readyz`).catch(() => ({}))).ok)
            return server;
        if (child.exitCode !== null || performance.now() > end) {
            child.kill("SIGKILL");
            throw new Error("the server does not start");
        }
        await pause(20);
    }
}

async function stopServer({ child, ended }) {
    child.kill("SIGTERM");
    await ended;
}

async function ask(socket, what, request) {
    const answer = await socket.timeout(10000).emitWithAck(what, request);
    if (!answer.ok)
        throw new Error(`${what}: ${answer.code}: ${answer.message}`);
}

async function client(server, transport) {
    const socket = io(server.url, { forceNew: true, transports: [transport] });
    await new Promise((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("connect_error", reject);
    });
    return socket;
}

/* Calls `once`, which returns milliseconds, again and again. */
async function measure(name, once) {
    const samples = [];
    for (let n = -WARM_UP; n < SAMPLES; n++) {
        const took = await once();
        if (n >= 0)
            samples.push(took);
        await pause(PAUSE_MS);
    }
    samples.sort((a, b) => a - b);
    const at = (part) => samples[Math.min(samples.length - 1, Math.floor(part * samples.length))].toFixed(3).padStart(8);
    console.log(`  ${name.padEnd(38)} median ${at(0.5)}  p90 ${at(0.9)}  p99 ${at(0.99)} ms, ${samples.length} samples`);
}

async function trips(server, transport, name) {
    const publisher = await client(server, transport);
    const reader = await client(server, transport);
    const publish = { topic: "trip", event: "trip", data: DATA };
    await measure(`${name}, publish to its answer`, async () => {
        const start = performance.now();
        await ask(publisher, "tide:publish", publish);
        return performance.now() - start;
    });
    await ask(reader, "tide:subscribe", { topic: "trip" });
    await measure(`${name}, publish to delivery`, async () => {
        const arrived = new Promise((resolve) => { reader.once("trip", () => resolve(performance.now())); });
        const start = performance.now();
        const answered = ask(publisher, "tide:publish", publish);
        const took = (await arrived) - start;
        await answered;
        return took;
    });
    publisher.disconnect();
    reader.disconnect();
}

async function run(what, store) {
    const server = await startServer(store);
    try {
        console.log(what);
        await trips(server, "websocket", "WebSocket");
        await trips(server, "polling", "polling");
    }
    finally {
        await stopServer(server);
    }
}

const folder = mkdtempSync(path.join(options.data ?? path.join(ROOT, "build"), "bench-data-"));
process.once("exit", () => {
    running?.kill("SIGKILL"); // a signal leaves no time to stop it
    rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"])
    process.once(signal, () => process.exit(1));
await run("in memory, 100 bytes, one at a time", ["--memory"]);
await run("durable, --sync always", ["--data", folder]);
process.exit();
