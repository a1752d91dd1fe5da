// Starts, stops and kills the real programs, each on free ports and a data folder of its own.
// SPDX-License-Identifier: MIT
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
export const BIN = process.env.TIDEMARK_BIN ?? path.join(ROOT, "build/dev/bin");
export const SHARE = process.env.TIDEMARK_SHARE ?? path.join(BIN, "../share");
export const SHOTS = process.env.TIDEMARK_SHOTS ?? path.join(ROOT, "build/screenshots");
export const isLong = process.env.TIDE_LONG === "1";

/* Only for tries again and for load: nothing is taken to be done because time has passed. */
export const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/* Calls `look` until it gives something true; says what it waited for if that never comes. */
export async function until(what, look, timeoutMs = 20000) {
    const end = Date.now() + timeoutMs;
    for (;;) {
        const found = await look();
        if (found)
            return found;
        if (Date.now() > end)
            throw new Error(`waited ${timeoutMs} ms in vain for ${typeof what === "function" ? what() : what}`);
        await wait(10);
    }
}

/* A number below n, the same ones every run unless TIDE_SEED says otherwise. */
let state = Number(process.env.TIDE_SEED ?? 1) >>> 0;
export function random(n) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
}

function isFree(port) {
    return new Promise((resolve) => {
        const server = net.createServer();
        server.once("error", () => resolve(false));
        server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
}

/* The first of n free ports in a row, below those that the system gives to outgoing connections:
   a program that is started again must find its own free again. */
export async function freePorts(n) {
    for (let tries = 0; tries < 200; tries++) {
        const first = 12000 + Math.floor(Math.random() * 18000);
        const all = await Promise.all(Array.from({ length: n }, (_, i) => isFree(first + i)));
        if (all.every(Boolean))
            return first;
    }
    throw new Error("there are no free ports");
}

/* One process of one of our programs. */
class Program {
    constructor(name, args, env = {}) {
        this.name = name;
        this.args = args;
        this.env = { ...process.env, ...env };
        this.output = "";
        this.child = null;
    }

    start() {
        const child = spawn(path.join(BIN, this.name), this.args, { stdio: ["ignore", "pipe", "pipe"], env: this.env });
        const keep = (text) => { this.output = (this.output + text).slice(-20000); };
        child.stdout.on("data", keep);
        child.stderr.on("data", keep);
        child.on("error", (error) => keep(`${error}\n`));
        this.ended = new Promise((resolve) => {
            child.on("close", (code, signal) => {
                if (this.child === child)
                    this.child = null;
                resolve({ code, signal });
            });
        });
        this.child = child;
    }

    /* Ends it and returns how it ended: a clean stop is code 0. */
    async end(signal) {
        if (!this.child)
            return null;
        this.child.kill(signal);
        return this.ended;
    }

    /* Resident memory in bytes. */
    memory() {
        const status = readFileSync(`/proc/${this.child.pid}/status`, "utf8");
        return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024;
    }
}

/* A running Tidemark: `tidemark serve`, or broker and gateway as programs of their own. */
export class Tidemark {
    constructor({ port, brokerPort, data, isSeparate, broker = [], gateway = [], env }) {
        this.port = port;
        this.brokerPort = brokerPort;
        this.data = data;
        this.url = `http://127.0.0.1:${port}`;
        this.ws = `ws://127.0.0.1:${port}/ws`;
        this.endpoint = `tcp://127.0.0.1:${brokerPort}`;
        const forBroker = ["--broker", this.endpoint, "--data", data, ...broker];
        const forGateway = ["--listen", `127.0.0.1:${port}`, ...gateway];
        if (isSeparate) {
            this.broker = new Program("tidemark-broker", forBroker);
            this.gateway = new Program("tidemark-gateway", ["--broker", this.endpoint, ...forGateway], env);
        }
        else {
            this.broker = new Program("tidemark", ["serve", ...forBroker, ...forGateway], env);
            this.gateway = this.broker;
        }
        this.programs = new Set([this.broker, this.gateway]);
    }

    async start() {
        for (const program of this.programs)
            if (!program.child)
                program.start();
        await this.ready();
        return this;
    }

    async ready() {
        await until(() => `readiness; the programs said:\n${this.said()}`, async () => {
            for (const program of this.programs)
                if (!program.child)
                    throw new Error(`${program.name} ended:\n${program.output}`);
            return (await request(`${this.url}/readyz`).catch(() => ({}))).status === 200;
        }, 30000);
    }

    async stop() {
        const ends = [];
        for (const program of [this.gateway, this.broker])
            ends.push(await program.end("SIGTERM"));
        return ends.filter(Boolean);
    }

    /* kill -9 of everything, and starting it again on the same ports and the same log. */
    async killAndRestart() {
        await Promise.all([...this.programs].map((program) => program.end("SIGKILL")));
        await this.start();
    }

    said() {
        return [...this.programs].map((program) => program.output).join("\n");
    }

    async get(where) {
        const answer = await request(this.url + where);
        return { status: answer.status, text: answer.body, json: asJson(answer.body) };
    }

    /* One counter of /metrics, all labels added up. */
    async metric(name) {
        let sum = 0;
        for (const line of (await this.get("/metrics")).text.split("\n"))
            if (line.startsWith(`${name} `) || line.startsWith(`${name}{`))
                sum += Number(line.slice(line.lastIndexOf(" ") + 1));
        return sum;
    }

    /* Runs `tidemark SUBCOMMAND …`; resolves when it has ended. */
    cli(args, { input = "" } = {}) {
        return new Promise((resolve, reject) => {
            const child = spawn(path.join(BIN, "tidemark"), args, { stdio: ["pipe", "pipe", "pipe"] });
            let out = "", err = "";
            child.stdout.on("data", (text) => { out += text; });
            child.stderr.on("data", (text) => { err += text; });
            child.on("error", reject);
            child.on("close", (code) => resolve({ code, out, err }));
            child.stdin.on("error", () => {});
            child.stdin.end(input);
        });
    }
}

/* Starts one for a test, which ends with it: killed, its folder removed, its words kept on failure. */
export async function tidemark(t, options = {}) {
    const port = await freePorts(4);
    const data = await mkdtemp(path.join(os.tmpdir(), "tidemark-"));
    const made = new Tidemark({ port, brokerPort: port + 1, data, ...options });
    t.after(async () => {
        const early = [...made.programs].filter((program) => !program.child).map((program) => program.name);
        await Promise.all([...made.programs].map((program) => program.end("SIGKILL")));
        if (early.length > 0 && !made.mayBeDown)
            t.diagnostic(`had ended by itself: ${early.join(", ")}\n${made.said()}`);
        await rm(data, { recursive: true, force: true });
    });
    return made.start();
}

/* One more gateway on the broker of a Tidemark whose programs are separate; it ends with the test. */
export async function anotherGateway(t, server, gateway = []) {
    const port = await freePorts(1);
    const other = new Tidemark({ port, brokerPort: server.brokerPort, data: server.data, isSeparate: true, gateway });
    other.programs.delete(other.broker);
    t.after(() => other.gateway.end("SIGKILL"));
    return other.start();
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

/* One HTTP request. The agent's connections are reused; one that a kill broke is an error. */
export function request(url, { method = "GET", body, headers = {}, timeoutMs = 20000 } = {}) {
    return new Promise((resolve, reject) => {
        const sent = http.request(url, { method, headers, agent }, (answer) => {
            let text = "";
            answer.setEncoding("utf8");
            answer.on("data", (part) => { text += part; });
            answer.on("error", reject);
            answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: text }));
        });
        sent.on("error", reject);
        sent.setTimeout(timeoutMs, () => sent.destroy(new Error(`${method} ${url}: no answer in ${timeoutMs} ms`)));
        sent.end(body);
    });
}

function asJson(text) {
    try {
        return JSON.parse(text);
    }
    catch {
        return undefined;
    }
}

/* Publishes one event or an array of them by HTTP; throws where that was not acknowledged. */
export async function publish(server, events) {
    const answer = await request(`${server.url}/api/v1/publish`, {
        method: "POST", body: JSON.stringify(events), headers: { "Content-Type": "application/json" }
    });
    const json = asJson(answer.body);
    if (answer.status !== 200)
        throw Object.assign(new Error(`publish: ${answer.status} ${answer.body}`), { status: answer.status, code: json?.error?.code });
    return json;
}

/* Publishes until it is acknowledged, whatever dies meanwhile. The events need ids. */
export async function publishSurely(server, events, timeoutMs = 60000) {
    const end = Date.now() + timeoutMs;
    for (;;) {
        try {
            return await publish(server, events);
        }
        catch (error) {
            if (error.status >= 400 && error.status < 500 || Date.now() > end)
                throw error;
            await wait(20);
        }
    }
}

/* Publishes { n: first … first + count - 1 } in batches, several at a time but each in order. */
export async function publishMany(server, topic, count, { event = "wave", first = 0, batch = 200, extra = {} } = {}) {
    for (let n = 0; n < count; n += batch)
        await publish(server, Array.from({ length: Math.min(batch, count - n) },
            (_, i) => ({ topic, event, data: { n: first + n + i, ...extra } })));
}

/* All that the log holds of a topic. */
export async function history(server, topic, since = 0) {
    const events = [];
    for (;;) {
        const { status, json, text } = await server.get(
            `/api/v1/history?topic=${encodeURIComponent(topic)}&since=${since}&limit=1000`);
        if (status !== 200)
            throw new Error(`history: ${status} ${text}`);
        events.push(...json.events);
        if (!json.more)
            return events;
        since = json.events[json.events.length - 1].seq;
    }
}

/* Publishes many small events as fast as the server takes them, in no particular order. */
export async function noise(server, topic, count) {
    let left = count;
    await Promise.all(Array.from({ length: 8 }, async () => {
        while (left > 0) {
            const batch = Math.min(250, left);
            left -= batch;
            await publish(server, Array.from({ length: batch }, () => ({ topic, event: "noise", data: 0 })));
        }
    }));
}
