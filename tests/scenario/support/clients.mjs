// Clients: the stock Socket.IO client, and plain WebSockets that speak JSON.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { io } from "socket.io-client";
import { WebSocket } from "ws";

import { until, wait } from "./tidemark.mjs";

/* A stock client of its own, over WebSocket; connected when this resolves. */
export async function stockClient(t, where, options = {}) {
    const socket = io(where.url ?? where, {
        forceNew: true, transports: ["websocket"], reconnectionDelay: 20, reconnectionDelayMax: 100,
        randomizationFactor: 0, ...options
    });
    t.after(() => socket.disconnect());
    await connected(socket);
    return socket;
}

export function connected(socket) {
    if (socket.connected)
        return Promise.resolve();
    return until("a Socket.IO connection", () => socket.connected);
}

export async function subscribe(socket, topic, options = {}) {
    const answer = await socket.timeout(10000).emitWithAck("tide:subscribe", { topic, ...options });
    assert.equal(answer.ok, true, `tide:subscribe ${topic}: ${JSON.stringify(answer)}`);
    return answer;
}

/* Keeps what comes, in the order in which it comes. With meta: { n, seq, data, meta }. */
export class Collector {
    constructor(socket, event = "wave") {
        this.events = [];
        this.socket = socket;
        socket.on(event, (data, meta) => {
            this.events.push({ n: data?.n, seq: meta?.seq, data, meta });
        });
    }

    get ns() {
        return this.events.map((event) => event.n);
    }

    async count(count, timeoutMs = 60000) {
        await until(() => `${count} events (there are ${this.events.length}, the last of them ${
            JSON.stringify(this.events.at(-1))})`, () => this.events.length >= count, timeoutMs);
    }
}

/* Says the first place where a list is not first, first + 1, … */
export function assertRun(ns, first, count, what = "events") {
    for (let i = 0; i < Math.min(ns.length, count); i++)
        if (ns[i] !== first + i)
            assert.fail(`${what}: ${ns[i]} came where ${first + i} was due (place ${i}; around it: ${ns.slice(Math.max(0, i - 3), i + 4)})`);
    assert.equal(ns.length, count, `${what}: their number`);
}

export function assertRising(seqs, what = "sequences") {
    for (let i = 1; i < seqs.length; i++)
        if (!(seqs[i] > seqs[i - 1]))
            assert.fail(`${what}: ${seqs[i]} after ${seqs[i - 1]} (place ${i})`);
}

/* Joins a topic of `meta` and counts its reconnects and how often they were recovered. */
export async function reader(t, where, topic, options = {}) {
    const { client = {}, ...subscription } = options;
    const socket = await stockClient(t, where, client);
    const collector = new Collector(socket);
    collector.answer = await subscribe(socket, topic, { meta: true, ...subscription });
    collector.sid = socket.id;
    collector.connects = 0;
    collector.recoveries = 0;
    socket.on("connect", () => {
        collector.connects++;
        if (socket.recovered)
            collector.recoveries++;
    });
    return collector;
}

/* Until the client has come back, recovered, after something broke its connection. */
export async function comeBack(collector, connects) {
    await until(() => `reconnect ${connects} (there are ${collector.connects})`,
        () => collector.connects >= connects && collector.socket.connected, 40000);
}

/* -- plain WebSocket -------------------------------------------------------------------------- */

/* One connection to /ws. Everything that the server says is kept in `said`. */
export class JsonClient {
    constructor(url, options = {}) {
        this.said = [];
        this.waiting = new Map();
        this.lastId = 0;
        this.socket = new WebSocket(url, options.protocol ?? [], { perMessageDeflate: false });
        this.opened = new Promise((resolve, reject) => {
            this.socket.once("open", resolve);
            this.socket.once("error", reject);
        });
        this.socket.on("error", () => {});
        this.closed = new Promise((resolve) => {
            this.socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
        });
        this.socket.on("message", (bytes, isBinary) => {
            assert.equal(isBinary, false, "the JSON dialect has text frames only");
            const message = JSON.parse(bytes.toString());
            if (!this.onMessage?.(message))
                this.said.push(message);
            const resolve = this.waiting.get(message.id);
            if (resolve && message.op !== "event") {
                this.waiting.delete(message.id);
                resolve(message);
            }
        });
    }

    send(message) {
        this.socket.send(typeof message === "string" || Buffer.isBuffer(message) ? message : JSON.stringify(message));
    }

    /* Sends an op with an id of its own; resolves with the answer, be it ok or error. */
    ask(message) {
        const id = ++this.lastId;
        return new Promise((resolve, reject) => {
            this.waiting.set(id, resolve);
            this.closed.then(({ code }) => reject(new Error(`closed (${code}) before the answer to ${JSON.stringify(message)}`)));
            this.send({ ...message, id });
        });
    }

    async ok(message) {
        const answer = await this.ask(message);
        assert.equal(answer.op, "ok", `${JSON.stringify(message)} was answered ${JSON.stringify(answer)}`);
        return answer;
    }

    /* The next message of a kind that was not taken yet. */
    async take(op, timeoutMs = 20000) {
        return until(() => `"${op}"; the server said ${JSON.stringify(this.said).slice(-600)}`, () => {
            const at = this.said.findIndex((message) => message.op === op);
            return at < 0 ? undefined : this.said.splice(at, 1)[0];
        }, timeoutMs);
    }

    events(topic) {
        return this.said.filter((message) => message.op === "event" && (!topic || message.topic === topic));
    }

    async count(count, topic, timeoutMs = 60000) {
        await until(() => `${count} events of ${topic} (there are ${this.events(topic).length})`,
            () => this.events(topic).length >= count, timeoutMs);
    }
}

export async function jsonClient(t, where, options = {}) {
    const client = new JsonClient(where.ws ?? where, options);
    t.after(() => client.socket.terminate());
    await client.opened;
    return client;
}

/* A JSON client that comes back by itself with its session, until it is told to end. */
export class JsonReader {
    constructor(t, where, topic, { since = "live" } = {}) {
        this.where = where;
        this.topic = topic;
        this.since = since;
        this.events = [];
        this.resets = [];
        this.resumes = 0;
        this.renewals = 0;
        this.isEnded = false;
        t.after(() => this.end());
    }

    async start() {
        await this.connect();
        this.stay();
        return this;
    }

    /* One connection: hello with what there is of a session, and the topic where that is a new one. */
    async connect() {
        const client = new JsonClient(this.where.ws);
        this.client = client;
        client.onMessage = (message) => {
            if (message.op === "event")
                this.events.push(message);
            if (message.op === "reset")
                this.resets.push(message);
            return message.op === "event" || message.op === "reset";
        };
        await client.opened;
        const last = this.events.at(-1)?.seq;
        const position = last ? { since: last, epoch: this.epoch } : {};
        client.send({ op: "hello", ...(this.session ? { session: this.session, ...position } : {}) });
        const welcome = await client.take("welcome");
        const hadSession = Boolean(this.session);
        this.session = welcome.session;
        if (welcome.resumed)
            this.resumes++;
        else
            await client.ok({ op: "sub", topic: this.topic, ...(last ? position : { since: this.since }) });
        this.epoch = welcome.epoch;
        if (hadSession && !welcome.resumed)
            this.renewals++;
    }

    async stay() {
        while (!this.isEnded) {
            await this.client.closed;
            await wait(20);
            await this.connect().catch(() => this.client.socket.terminate());
        }
    }

    end() {
        this.isEnded = true;
        this.client?.socket.terminate();
    }
}
