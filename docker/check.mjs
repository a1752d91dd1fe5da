#!/usr/bin/env node
// Looks at a stack that is up from outside, and kills its parts while clients read and talk:
//
//     docker compose -f docker/compose.yaml up --build --detach
//     node docker/check.mjs [URL]
//
// Containers are found by their compose project (COMPOSE_PROJECT_NAME, or tidemark). Needs docker's
// command line and `npm ci` in tests/scenario; two windows of Chromium talk as well where it is there.
// What it kills it starts again. The last lines say what held; the status is 0 if all did.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { promisify } from "node:util";

import { assertRising, assertRun, Collector, connected, subscribe } from "../tests/scenario/support/clients.mjs";
import { until, wait } from "../tests/scenario/support/tidemark.mjs";

const { io } = createRequire(new URL("../tests/scenario/", import.meta.url))("socket.io-client");
const URL_OF_ALL = (process.argv[2] ?? `http://127.0.0.1:${process.env.PORT ?? 8080}`).replace(/\/$/, "");
const PROJECT = process.env.COMPOSE_PROJECT_NAME ?? "tidemark";
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const RUN = Date.now().toString(36);
const GATEWAYS = ["gateway-1", "gateway-2"];
const PATIENCE_MS = 60000;

/* -- containers -------------------------------------------------------------------------------- */

const run = promisify(execFile);
const docker = async (...args) => (await run("docker", args)).stdout.trim();

/* What the engine knows of the containers of a service, or of all. */
async function inspect(service) {
    const filters = [`label=com.docker.compose.project=${PROJECT}`];
    if (service)
        filters.push(`label=com.docker.compose.service=${service}`);
    const ids = await docker("ps", "--all", "--quiet", ...filters.flatMap((one) => ["--filter", one]));
    assert.ok(ids, `there is no container of ${service ?? "anything"} in project ${PROJECT}`);
    const all = JSON.parse(await docker("inspect", ...ids.split("\n")));
    return all.sort((one, other) => one.Name.localeCompare(other.Name));
}

const serviceOf = (container) => container.Config.Labels["com.docker.compose.service"];
const healthOf = ({ State }) => State.Health?.Status ?? State.Status;

const kill = async (container) => docker("kill", "--signal", "KILL", container.Id);
const start = async (container) => docker("start", container.Id);
const only = async (service) => (await inspect(service))[0];

async function healthy(service) {
    let all = [];
    await until(() => `health: ${all.map((one) => `${serviceOf(one)} ${healthOf(one)}`).join(", ")}`,
        async () => {
            all = await inspect(service);
            return all.every((one) => one.State.Running && healthOf(one) === "healthy");
        }, PATIENCE_MS);
    return all;
}

/* -- the gateways behind the balancer ------------------------------------------------------------ */

async function get(path, options = {}) {
    const answer = await fetch(URL_OF_ALL + path, { signal: AbortSignal.timeout(5000), ...options });
    return { status: answer.status, by: answer.headers.get("x-served-by"), text: await answer.text() };
}

/* A session's id begins with the lane that holds it: which gateway that is, the balancer tells. */
const lanes = new Map();

async function learnLanes() {
    lanes.clear();
    await until("an answer of both gateways", async () => {
        const { status, by, text } = await get("/socket.io/?EIO=4&transport=polling");
        if (status === 200) {
            const { sid } = JSON.parse(text.slice(1));
            lanes.set(sid.split(".")[0], by);
            await get(`/socket.io/?EIO=4&transport=polling&sid=${sid}`, { method: "POST", body: "1" });
        }
        return new Set(lanes.values()).size === GATEWAYS.length;
    });
}

const gatewayOf = (sid) => lanes.get(sid.split(".")[0]);

/* A client at a gateway: the balancer sends connections to them in turn, so one of the next is. */
async function clientAt(gateway) {
    for (let tries = 0; tries < 20; tries++) {
        const socket = io(URL_OF_ALL, { forceNew: true, transports: ["websocket"],
            reconnectionDelay: 50, reconnectionDelayMax: 500 });
        await connected(socket);
        if (gatewayOf(socket.io.engine.id) === gateway)
            return socket;
        socket.disconnect();
    }
    throw new Error(`the balancer gave no connection to ${gateway}`);
}

/* -- those who read -------------------------------------------------------------------------------- */

/* A stock client that has joined a topic and keeps what comes, and how its connections went. */
async function reader(name, socket, topic) {
    await connected(socket);
    const self = new Collector(socket);
    self.name = name;
    self.answer = await subscribe(socket, topic, { meta: true });
    self.cuts = self.unrecovered = self.awayMs = 0;
    let since = 0;
    socket.on("disconnect", () => {
        self.cuts++;
        since = performance.now();
    });
    socket.on("connect", () => {
        self.unrecovered += socket.recovered ? 0 : 1;
        self.awayMs = Math.max(self.awayMs, performance.now() - since);
    });
    return self;
}

const clientBy = (transports) => io(URL_OF_ALL, { forceNew: true, transports,
    reconnectionDelay: 50, reconnectionDelayMax: 500 });

/* Publishes numbers for as long as it is let, each until it is acknowledged: under one id. */
class Wave {
    constructor(topic) {
        this.topic = topic;
        this.n = 0;
        this.again = 0;
        this.end = this.run();
    }

    async run() {
        for (; !this.isOver; this.n++) {
            const body = JSON.stringify({ topic: this.topic, event: "wave", data: { n: this.n }, id: `${RUN} ${this.n}` });
            while (!await this.publish(body)) {
                this.again++;
                await wait(50);
            }
            await wait(2);
        }
    }

    publish(body) {
        return get("/api/v1/publish", { method: "POST", body }).then(({ status }) => status === 200, () => false);
    }

    async more(count) {
        const to = this.n + count;
        await until(() => `event ${to} to be published (${this.n} are)`, () => this.n >= to, PATIENCE_MS);
    }
}

async function nobodyMissed(readers, wave) {
    await wave.more(100);
    const { n } = wave;
    for (const self of readers) {
        await self.count(n, PATIENCE_MS);
        const seen = self.events.slice(0, n);
        assertRun(seen.map((event) => event.n), 0, n, self.name);
        assertRising(seen.map((event) => event.seq), self.name);
        assert.equal(self.unrecovered, 0, `${self.name}: a reconnect was not recovered`);
    }
    return n;
}

/* -- those who talk -------------------------------------------------------------------------------- */

/* Speaks the chat example's protocol. What was not acknowledged is said again. */
class Talker {
    constructor(name, socket) {
        Object.assign(this, { name: `${name} ${RUN}`, socket, said: [], heard: [], unacknowledged: 0 });
        socket.on("new message", ({ username, message }) => this.heard.push({ username, message }));
    }

    async join() {
        await this.ask("add user", this.name);
    }

    async ask(event, ...args) {
        for (let tries = 0; ; tries++) {
            const answer = await this.socket.timeout(15000).emitWithAck(event, ...args).catch((error) => ({ ok: false, message: error.message }));
            if (answer?.ok !== false)
                return answer;
            this.unacknowledged++;
            assert.ok(tries < 5, `${event}: ${JSON.stringify(answer)}`);
        }
    }

    async say(count) {
        for (let i = 0; i < count; i++) {
            const message = `${this.name} says ${this.said.length}`;
            await this.ask("new message", message);
            this.said.push(message);
        }
    }

    /* All that another said, in its order; twice only what was not acknowledged at first. */
    async hearsAllOf(other) {
        const ofOther = () => this.heard.filter(({ username }) => username === other.name).map(({ message }) => message);
        await until(() => `${this.name} to hear ${other.said.length} messages (${ofOther().length} heard)`,
            () => new Set(ofOther()).size >= other.said.length);
        assert.deepEqual([...new Set(ofOther())], other.said);
        assert.ok(ofOther().length <= other.said.length + other.unacknowledged, `${this.name} heard something twice`);
    }
}

async function talk(one, other, count = 10) {
    await Promise.all([one.say(count), other.say(count)]);
    await one.hearsAllOf(other);
    await other.hearsAllOf(one);
    return `${one.said.length} and ${other.said.length} messages`;
}

/* -- windows ----------------------------------------------------------------------------------------- */

/* The chat's page in a window of its own, at a gateway. */
async function windowAt(browser, gateway, name) {
    for (let tries = 0; tries < 20; tries++) {
        const context = await browser.newContext();
        const page = await context.newPage();
        page.faults = [];
        page.on("pageerror", (error) => page.faults.push(error.message));
        page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => {
            if (String(payload).startsWith('0{"sid"'))
                page.gateway = gatewayOf(JSON.parse(String(payload).slice(1)).sid);
        }));
        await page.goto(`${URL_OF_ALL}/demo/chat/`);
        await page.waitForSelector(".connected");
        if (page.gateway !== gateway) {
            await context.close();
            continue;
        }
        page.who = `${name} ${RUN}`;
        page.said = [];
        await page.fill("#username", page.who);
        await page.press("#username", "Enter");
        await page.waitForSelector("#message:visible");
        return page;
    }
    throw new Error(`no window reached ${gateway}`);
}

async function write(page) {
    const text = `${page.who} writes ${page.said.length}`;
    await page.fill("#message", text);
    await page.press("#message", "Enter");
    page.said.push(text);
}

/* Each window shows all that was written in either, once, in one and the same order. */
async function bothShowAll(one, other) {
    const shown = async (page) => (await page.locator(".bubble").allTextContents()).filter((text) => text.includes(` ${RUN} writes `));
    const due = () => one.said.length + other.said.length;
    let texts = [];
    await until(() => `${due()} messages in both windows: ${JSON.stringify(texts)}`, async () => {
        texts = await Promise.all([shown(one), shown(other)]);
        return texts.every((all) => all.length >= due());
    });
    assert.deepEqual(texts[0], texts[1], "the windows differ");
    for (const page of [one, other]) {
        assert.deepEqual(texts[0].filter((text) => page.said.includes(text)), page.said);
        assert.deepEqual(page.faults, []);
    }
    return `${due()} messages in both`;
}

/* -- what is held ------------------------------------------------------------------------------------ */

const rows = [];

async function holds(what, look) {
    const begin = performance.now();
    let how, result = "held";
    try {
        how = await look() ?? "";
    }
    catch (error) {
        result = "FAILED";
        how = error.message;
    }
    rows.push({ what, result, how, seconds: ((performance.now() - begin) / 1000).toFixed(1) });
    console.log(`${result.padEnd(6)}  ${rows.at(-1).seconds.padStart(5)} s  ${what}${how && `: ${how}`}`);
}

function sumUp() {
    const failed = rows.filter(({ result }) => result !== "held").length;
    console.log(`\n${rows.length - failed} passed, ${failed} failed`);
    return failed === 0 ? 0 : 1;
}

async function looks() {
    await holds("every container is healthy", async () => {
        const all = await healthy();
        return all.map(serviceOf).join(", ");
    });
    await holds("none may do more than it needs", async () => {
        for (const one of await inspect()) {
            const { HostConfig, Config } = one, name = serviceOf(one);
            assert.ok(Config.User && !["root", "0"].includes(Config.User), `${name} runs as root`);
            assert.ok(HostConfig.ReadonlyRootfs, `${name} can write to its image`);
            assert.deepEqual(HostConfig.CapDrop, ["ALL"], name);
            const ports = Object.values(HostConfig.PortBindings ?? {}).flat();
            assert.deepEqual(ports.map(({ HostIp }) => HostIp), name === "balancer" ? ["127.0.0.1"] : [], name);
        }
        return "not root, read-only, no capabilities, one port on the loopback address";
    });
    await holds("the balancer goes to both gateways in turn", async () => {
        await learnLanes();
        const by = [];
        for (let i = 0; i < 10; i++)
            by.push((await get("/readyz")).by);
        for (const gateway of GATEWAYS)
            assert.equal(by.filter((one) => one === gateway).length, 5, by.join());
        return "five requests of ten each";
    });
}

async function kills() {
    const topic = `check/${RUN}`;
    const [atOne, atTwo] = [await clientAt("gateway-1"), await clientAt("gateway-2")];
    const readers = [
        await reader("WebSocket at gateway-1", atOne, topic),
        await reader("WebSocket at gateway-2", atTwo, topic),
        await reader("long-polling at both in turn", clientBy(["polling"]), topic),
        await reader("from polling to WebSocket", clientBy(["polling", "websocket"]), topic),
    ];
    const [ann, ben] = [new Talker("Ann", atOne), new Talker("Ben", atTwo)];
    const epoch = readers[0].answer.epoch;
    const wave = new Wave(topic);
    const cuts = () => readers.map((self) => self.cuts).join();
    /* A poll that waits at the gateway which does not hold its session goes with the broker. */
    const cutsOfWebSockets = () => readers.filter(({ socket }) => socket.io.engine.transport.name === "websocket")
        .map((self) => self.cuts).join();

    await holds("four clients on both gateways read on", async () => {
        assert.equal(await nobodyMissed(readers, wave) > 0, true);
        assert.equal(cuts(), "0,0,0,0", "somebody was cut off");
    });
    await holds("two on different gateways talk through the chat's workers", async () => {
        await Promise.all([ann.join(), ben.join()]);
        return talk(ann, ben);
    });
    await holds("gateway-1 killed: nobody misses anything", async () => {
        const gateway = await only("gateway-1");
        await kill(gateway);
        await until("its client to notice", () => readers[0].cuts === 1, PATIENCE_MS);
        await connected(atOne);
        const n = await nobodyMissed(readers, wave);
        assert.equal(readers[1].cuts, 0, "the other gateway's client was cut off");
        await talk(ann, ben);
        return `${n} events; its client was away for ${Math.round(readers[0].awayMs)} ms`;
    });
    await holds("gateway-1 is back", async () => {
        await start(await only("gateway-1"));
        await healthy("gateway-1");
        await learnLanes();
    });
    await holds("the broker killed: no WebSocket is cut off, pages are served", async () => {
        const before = cutsOfWebSockets();
        await kill(await only("broker"));
        await until("the gateways to say so", async () => {
            const { status } = await get("/readyz");
            return status === 503;
        });
        for (let i = 0; i < 10; i++)
            assert.equal((await get("/")).status, 200);
        assert.equal(cutsOfWebSockets(), before, "somebody was cut off");
    });
    await holds("the broker is back: nobody misses anything", async () => {
        const saying = Promise.all([ann.say(1), ben.say(1)]);
        await start(await only("broker"));
        const n = await nobodyMissed(readers, wave);
        await saying;
        await talk(ann, ben);
        assert.equal((await subscribe(atTwo, `${topic}/epoch`)).epoch, epoch, "it is another log");
        return `${n} events, ${wave.again} publishes were tried again`;
    });
    await holds("one chat worker killed: the other goes on", async () => {
        const [one, ...others] = await healthy("chat");
        assert.ok(others.length > 0, "there is only one");
        const talking = talk(ann, ben, 50);
        await kill(one);
        return talking;
    });
    await holds("no chat worker left: a call waits for one", async () => {
        for (const one of await inspect("chat"))
            if (one.State.Running)
                await kill(one);
        let isAnswered = false;
        const saying = ann.say(1).then(() => { isAnswered = true; });
        await wait(1000);
        assert.equal(isAnswered, false, "somebody answered");
        const begin = performance.now();
        for (const one of await inspect("chat"))
            await start(one);
        await saying;
        const waited = performance.now() - begin;
        await talk(ann, ben);
        return `answered ${Math.round(waited)} ms after the workers were started`;
    });
    await holds("in the end all of it is in the log", async () => {
        wave.isOver = true;
        await wave.end;
        const n = [];
        for (let since = 0, more = true; more;) {
            const page = JSON.parse((await get(`/api/v1/history?topic=${topic}&since=${since}&limit=1000`)).text);
            n.push(...page.events.map(({ data }) => data.n));
            ({ last: since, more } = page);
        }
        assertRun(n, 0, wave.n, "the log");
        return `${n.length} events`;
    });
    for (const { socket } of readers)
        socket.disconnect();
}

async function windows() {
    const { launch } = await import("../tests/scenario/support/browser.mjs");
    const browser = await launch();
    try {
        await learnLanes();
        let one, other;
        await holds("two windows of Chromium on different gateways talk", async () => {
            one = await windowAt(browser, "gateway-1", "Cleo");
            other = await windowAt(browser, "gateway-2", "Dora");
            for (let i = 0; i < 3; i++) {
                await write(one);
                await write(other);
            }
            return bothShowAll(one, other);
        });
        if (!other)
            return;
        await holds("the gateway of one killed: both show all", async () => {
            await kill(await only("gateway-1"));
            await write(other);
            await until("the window to go to the other gateway", () => one.gateway === "gateway-2");
            await one.waitForSelector(".back, .connected");
            await write(one);
            return bothShowAll(one, other);
        });
        await holds("the broker killed: what is written meanwhile comes", async () => {
            await kill(await only("broker"));
            await write(one);
            await write(other);
            await start(await only("broker"));
            await start(await only("gateway-1"));
            return bothShowAll(one, other);
        });
    }
    finally {
        await browser.close();
    }
}

await looks();
await kills();
if (existsSync(CHROMIUM))
    await windows();
else
    console.log(`There is no Chromium at ${CHROMIUM}: its windows were not looked at`);
await holds("every container is healthy again", async () => {
    await healthy();
});
process.exit(sumUp());
