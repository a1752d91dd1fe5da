// The conformance programs, and bare Engine.IO clients over either transport: nothing is done for
// the test but what it asks for, save that pings are answered where it does not care about them.
// SPDX-License-Identifier: MIT
import { spawn } from "node:child_process";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { WebSocket } from "ws";

import { BIN, until, wait } from "./tidemark.mjs";

export const PROGRAM = process.env.TIDE_CONFORMANCE ?? path.join(BIN, "../tests/conformance/tide-conformance");
export const PING_INTERVAL = 300, PING_TIMEOUT = 200;
/* For what is not about the heartbeat: a machine under load is no silent client. */
export const CALM = ["--ping-interval", "25000", "--ping-timeout", "20000"];
export const TRANSPORTS = ["polling", "websocket", "upgrade"];
export const SEPARATOR = "\x1e";

/* Where a server is: `path` is where its Engine.IO answers. */
export class Place {
    constructor(url, where) {
        this.url = url;
        this.port = Number(new URL(url).port);
        this.path = where;
    }

    /* The same server as seen through something that stands at another port. */
    through(port) {
        return new Place(`http://127.0.0.1:${port}`, this.path);
    }
}

/* Starts `tide-conformance KIND …` for a test, or takes the server that TIDE_CONFORMANCE_URL names
   (which has both paths, and the options of none but the plain one). */
export async function conformance(t, kind, ...args) {
    const where = kind === "engine" ? "/engine.io/" : "/socket.io/";
    if (process.env.TIDE_CONFORMANCE_URL && args.length === 0)
        return new Place(process.env.TIDE_CONFORMANCE_URL, where);
    const child = spawn(PROGRAM, [kind, "--port", "0", ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let out = "", err = "", end;
    child.stdout.on("data", (text) => { out += text; });
    child.stderr.on("data", (text) => { err += text; });
    const over = new Promise((resolve) => {
        child.on("error", (error) => resolve(end = String(error)));
        child.on("close", (code, signal) => resolve(end = `it ended by itself: ${signal ?? code}`));
    });
    t.after(async () => {
        if (end)
            t.diagnostic(`${PROGRAM} ${kind}: ${end}\n${err}`);
        child.kill("SIGTERM");
        await Promise.race([over, wait(5000).then(() => child.kill("SIGKILL"))]);
    });
    const url = await until(() => `${PROGRAM} ${kind} to listen; it said ${out}${err}`, () => {
        if (end)
            throw new Error(`${PROGRAM} ${kind}: ${end}\n${err}`);
        return /listening at (http:\S+)/.exec(out)?.[1];
    });
    const { origin } = new URL(url);
    await until(`${PROGRAM} ${kind} to have its broker`,
        async () => (await fetch(`${origin}/readyz`)).status === 200);
    return new Place(origin, where);
}

/* What comes one by one, and is taken one by one. */
class Inbox {
    constructor() {
        this.all = [];
        this.waiting = [];
    }

    push(one) {
        if (this.waiting.length > 0)
            this.waiting.shift().resolve(one);
        else
            this.all.push(one);
    }

    end(why) {
        this.ended = why;
        for (const { reject } of this.waiting.splice(0))
            reject(new Error(why));
    }

    next(what, timeoutMs = 10000) {
        if (this.all.length > 0)
            return Promise.resolve(this.all.shift());
        if (this.ended)
            return Promise.reject(new Error(`${this.ended} before ${what}`));
        return new Promise((resolve, reject) => {
            const one = { resolve: (value) => { clearTimeout(timer); resolve(value); },
                          reject: (error) => { clearTimeout(timer); reject(error); } };
            const timer = setTimeout(() => {
                this.waiting.splice(this.waiting.indexOf(one), 1);
                reject(new Error(`waited ${timeoutMs} ms in vain for ${what}`));
            }, timeoutMs);
            this.waiting.push(one);
        });
    }
}

/* Exactly so many ms after `begin` (of performance.now), never before. */
export async function at(begin, ms) {
    for (;;) {
        const left = begin + ms - performance.now();
        if (left <= 0)
            return;
        await wait(Math.max(1, left));
    }
}

/* -- HTTP ------------------------------------------------------------------------------------- */

export function target(place, query = {}) {
    const all = new URLSearchParams();
    for (const [name, value] of Object.entries({ EIO: 4, transport: "polling", ...query }))
        if (value !== undefined)
            all.append(name, value);
    return `${place.path}?${all}`;
}

/* One exchange. `answer` never rejects: a connection that broke has no status, but an error. */
export function exchange(place, { method = "GET", query, target: where, body, headers = {}, agent } = {}) {
    const self = {};
    self.answer = new Promise((resolve) => {
        self.sent = http.request({ host: "127.0.0.1", port: place.port, method, headers, agent,
                                   path: where ?? target(place, query) }, (answer) => {
            const parts = [];
            answer.on("data", (part) => parts.push(part));
            answer.on("error", (error) => resolve({ error }));
            answer.on("end", () => {
                const text = Buffer.concat(parts).toString();
                resolve({ status: answer.statusCode, headers: answer.headers, body: text, at: performance.now() });
            });
        });
        self.sent.on("error", (error) => resolve({ error }));
        self.sent.setTimeout(40000, () => self.sent.destroy(new Error("no answer in 40 s")));
    });
    self.onServer = new Promise((resolve) => {
        self.sent.on("socket", (socket) => socket.connecting ? socket.once("connect", resolve) : resolve());
    });
    self.abort = () => self.sent.destroy();
    if (body === null)
        self.sent.flushHeaders();   // the test writes the body itself
    else
        self.sent.end(body);
    return self;
}

export const ask = (place, options) => exchange(place, options).answer;

/* Bytes as they are; resolves with all that came until the connection's end, or its silence. */
export function rawly(place, pieces, { gapMs = 0, silenceMs = 20000 } = {}) {
    return new Promise((resolve) => {
        const parts = [];
        const socket = net.connect(place.port, "127.0.0.1", async () => {
            socket.setNoDelay(true);
            for (const piece of [pieces].flat()) {
                if (socket.destroyed)
                    break;
                socket.write(piece);
                if (gapMs > 0)
                    await wait(gapMs);
                else
                    await new Promise(setImmediate);
            }
        });
        socket.on("data", (part) => parts.push(part));
        socket.on("error", () => {});
        socket.on("close", () => resolve(Buffer.concat(parts).toString()));
        socket.setTimeout(silenceMs, () => socket.destroy());
    });
}

/* -- a polling session, request by request ---------------------------------------------------- */

export class Polling {
    static async open(place, query) {
        const answer = await ask(place, { query });
        if (answer.status !== 200 || answer.body[0] !== "0")
            throw new Error(`handshake: ${answer.status} ${answer.body} ${answer.error ?? ""}`);
        const self = new Polling(place);
        self.opened = answer.at;
        [self.hello, ...self.kept] = answer.body.split(SEPARATOR);
        self.open = JSON.parse(self.hello.slice(1));
        self.sid = self.open.sid;
        return self;
    }

    constructor(place) {
        this.place = place;
        this.kept = [];
    }

    get(options = {}) {
        return exchange(this.place, { ...options, query: { sid: this.sid, ...options.query } });
    }

    post(body, options = {}) {
        return this.get({ method: "POST", body, ...options });
    }

    poll() {
        return this.get().answer;
    }

    say(...packets) {
        return this.post(packets.join(SEPARATOR)).answer;
    }

    /* The next packet that is no ping; pings are answered. */
    async next() {
        for (;;) {
            if (this.kept.length > 0)
                return this.kept.shift();
            const answer = await this.poll();
            if (answer.status !== 200)
                throw new Error(`poll: ${answer.status} ${answer.body} ${answer.error ?? ""}`);
            for (const packet of answer.body.split(SEPARATOR)) {
                if (packet === "2")
                    await this.say("3");
                else
                    this.kept.push(packet);
            }
        }
    }

    /* What a message comes back as. */
    async echo(packet) {
        const { status } = await this.say(packet);
        if (status !== 200)
            throw new Error(`POST ${packet}: ${status}`);
        return this.next();
    }

    /* Whether the server knows it no more. Destroys it where it does. */
    async isGone() {
        const answer = await this.poll();
        return answer.status === 400 && JSON.parse(answer.body).code === 1;
    }
}

/* -- a bare WebSocket ------------------------------------------------------------------------- */

export class Frames {
    constructor(place, query = {}, { answersPings = true, headers = {} } = {}) {
        this.inbox = new Inbox();
        this.pings = [];
        this.socket = new WebSocket(`ws://127.0.0.1:${place.port}${target(place, { transport: "websocket", ...query })}`,
            { headers, perMessageDeflate: false });
        this.opened = new Promise((resolve) => { this.socket.once("open", () => resolve(true)); });
        this.refused = new Promise((resolve) => {
            this.socket.once("unexpected-response", (_, answer) => {
                let body = "";
                answer.on("data", (part) => { body += part; });
                answer.on("error", () => {});
                answer.on("close", () => resolve({ status: answer.statusCode, headers: answer.headers, body }));
            });
        });
        this.socket.on("error", (error) => { this.error = error; });
        this.closed = new Promise((resolve) => {
            this.socket.once("close", (code) => {
                this.inbox.end(`the WebSocket was closed (${code})`);
                resolve({ code, at: performance.now() });
            });
        });
        this.socket.on("message", (bytes, isBinary) => {
            if (!isBinary && bytes.toString() === "2" && answersPings) {
                this.pings.push(performance.now());
                this.socket.send("3");
            }
            else
                this.inbox.push(isBinary ? bytes : bytes.toString());
        });
    }

    /* Until the session is open: the open packet's object. */
    static async open(t, place, query, options) {
        const self = new Frames(place, query, options);
        t.after(() => self.socket.terminate());
        const first = await self.next("the open packet");
        if (typeof first !== "string" || first[0] !== "0")
            throw new Error(`handshake: ${first}`);
        self.hello = performance.now();
        self.open = JSON.parse(first.slice(1));
        self.sid = self.open.sid;
        return self;
    }

    send(frame) {
        this.socket.send(frame);
    }

    next(what = "a frame", timeoutMs) {
        return this.inbox.next(what, timeoutMs);
    }

    async echo(frame) {
        this.send(frame);
        return this.next(`the echo of ${String(frame).slice(0, 40)}`);
    }

    isClosed(timeoutMs = 5000) {
        return Promise.race([this.closed.then(() => true), wait(timeoutMs).then(() => false)]);
    }
}

/* A WebSocket with a polling session's sid, open but nothing said. */
export async function prober(t, session, options) {
    const frames = new Frames(session.place, { sid: session.sid }, options);
    t.after(() => frames.socket.terminate());
    await Promise.race([frames.opened, frames.closed.then(({ code }) => { throw new Error(`the probe socket was closed (${code})`); })]);
    return frames;
}

export async function probe(t, session, options) {
    const frames = await prober(t, session, options);
    frames.send("2probe");
    const answer = await frames.next("3probe");
    if (answer !== "3probe")
        throw new Error(`the probe was answered ${answer}`);
    return frames;
}

/* -- messages over any transport -------------------------------------------------------------- */

/* A client of messages, text or Buffer; pings are answered. Over polling it polls all the time. */
export class Link {
    static async open(t, place, transport) {
        const self = new Link();
        self.transport = transport;
        self.inbox = new Inbox();
        self.closed = new Promise((resolve) => { self.wasClosed = resolve; });
        t.after(() => self.end());
        if (transport === "websocket") {
            self.onFrames(await Frames.open(t, place));
            self.sid = self.frames.sid;
            return self;
        }
        self.session = await Polling.open(place);
        self.sid = self.session.sid;
        if (transport === "upgrade") {
            const frames = await probe(t, self.session);
            frames.send("5");
            self.onFrames(frames);
        }
        else {
            self.due = [];
            self.stay();
        }
        return self;
    }

    onFrames(frames) {
        this.frames = frames;
        const take = (frame) => {
            if (typeof frame !== "string")
                this.inbox.push(frame);
            else if (frame[0] === "4")
                this.inbox.push(frame.slice(1));
        };
        frames.inbox.all.splice(0).forEach(take);
        frames.inbox.push = take;
        frames.closed.then(() => this.over("the WebSocket was closed"));
    }

    over(why) {
        this.isOver = true;
        this.inbox.end(why);
        this.wasClosed(why);
    }

    async stay() {
        while (!this.isOver) {
            this.pending = this.session.get();
            const answer = await this.pending.answer;
            if (answer.status !== 200)
                return this.over(`the session ended: ${answer.status ?? answer.error}`);
            for (const packet of answer.body.split(SEPARATOR)) {
                if (packet === "2")
                    this.post("3");
                else if (packet[0] === "4")
                    this.inbox.push(packet.slice(1));
                else if (packet[0] === "b")
                    this.inbox.push(Buffer.from(packet.slice(1), "base64"));
                else if (packet === "1")
                    return this.over("the server closed the session");
            }
        }
    }

    /* One post at a time; what is to be said meanwhile is in the next. */
    async post(...packets) {
        this.due.push(...packets);
        if (this.isPosting)
            return;
        this.isPosting = true;
        while (this.due.length > 0 && !this.isOver)
            await this.session.say(...this.due.splice(0));
        this.isPosting = false;
    }

    /* One message, or several that belong together. */
    send(...messages) {
        if (this.frames)
            for (const message of messages)
                this.frames.send(typeof message === "string" ? `4${message}` : message);
        else
            this.post(...messages.map((message) => typeof message === "string"
                ? `4${message}` : `b${message.toString("base64")}`));
    }

    next(what = "a message", timeoutMs) {
        return this.inbox.next(what, timeoutMs);
    }

    isClosed(timeoutMs = 5000) {
        return Promise.race([this.closed.then(() => true), wait(timeoutMs).then(() => false)]);
    }

    end() {
        this.over("the test ended it");
        this.frames?.socket.terminate();
        this.pending?.abort();
    }
}

/* Joins a namespace and takes what the application says at once: { sid, auth }. */
export async function join(link, nsp = "/", auth) {
    const prefix = nsp === "/" ? "" : `${nsp},`;
    link.send(`0${prefix}${auth ? JSON.stringify(auth) : ""}`);
    const answer = await link.next(`the answer to CONNECT ${nsp}`);
    if (!answer.startsWith(`0${prefix}{`))
        throw new Error(`CONNECT ${nsp} was answered ${answer}`);
    const said = await link.next("the application's auth");
    if (!said.startsWith(`2${prefix}["auth",`))
        throw new Error(`the application said ${said}`);
    return { ...JSON.parse(answer.slice(1 + prefix.length)), auth: JSON.parse(said.slice(1 + prefix.length))[1] };
}

/* -- a client that must notice nothing -------------------------------------------------------- */

/* One client on each transport, joined to a namespace where there are some. What happens to others
   must not touch them: `check` makes each say something and hear it. */
export async function witnesses(t, place) {
    const links = await Promise.all(TRANSPORTS.map((transport) => Link.open(t, place, transport)));
    const isSocket = place.path === "/socket.io/";
    if (isSocket)
        await Promise.all(links.map((link) => join(link)));
    let n = 0;
    return async (what) => {
        n++;
        await Promise.all(links.map(async (link) => {
            if (link.isOver)
                throw new Error(`${what}: ended a client on ${link.transport} that had nothing to do with it`);
            link.send(isSocket ? `2["message",${n}]` : `${n}`);
            const heard = await link.next(`an echo after ${what} (${link.transport})`);
            if (heard !== (isSocket ? `2["message-back",${n}]` : `${n}`))
                throw new Error(`${what}: another client heard ${heard}`);
        }));
    };
}
